// Two things: the reader's choice of light or dark, and the figures in the page's own colours.
(() => {
  "use strict";
  const root = document.documentElement;
  const { nonce, dataset: { plotly } } = document.currentScript;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const key = "rfm-theme";

  const recall = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem(key, theme); } catch { /* private window */ } };
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  if (recall()) root.dataset.theme = recall();
  root.classList.add("scripted"); // tables that are open without scripts are closed from the first

  // plotly.js adds style elements; the policy of the page lets in only those that carry its nonce
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    if (String(name).toLowerCase() === "style") element.nonce = nonce;
    return element;
  };

  // what scripts say, in the language of the page: {fields} filled in, of several forms the one that fits a number
  let spoken;
  const words = () => spoken ||= JSON.parse(document.getElementById("words").textContent);
  window.say = (name, fields = {}) => {
    let text = words()[name];
    if (Array.isArray(text)) {
      const rule = new Intl.PluralRules(words().locale), known = rule.resolvedOptions().pluralCategories;
      const order = ["zero", "one", "two", "few", "many", "other"].filter((one) => known.includes(one));
      text = text[Math.min(order.indexOf(rule.select(fields.count)), text.length - 1)];
    }
    return text.replace(/\{(\w+)\}/g, (all, field) => fields[field] ?? all);
  };
  window.say.number = (value, digits = 0) => new Intl.NumberFormat(words().locale,
    { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  function dressAxis(axis, ink) {
    return { ...axis, automargin: true, gridcolor: ink.line, zerolinecolor: ink.line, linecolor: ink.line,
      tickfont: { ...axis?.tickfont, color: ink.muted } };
  }

  function dressScene(scene, ink) {
    const side = (axis) => ({ ...axis, gridcolor: ink.line, zerolinecolor: ink.line, color: ink.muted,
      showbackground: false });
    return { ...scene, bgcolor: "rgba(0,0,0,0)", xaxis: side(scene?.xaxis), yaxis: side(scene?.yaxis),
      zaxis: side(scene?.zaxis) };
  }

  function dress(given, threed) {
    const ink = { ink: colour("ink"), muted: colour("muted"), line: colour("line"), surface: colour("surface") };
    const layout = { ...given, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...given.font, family: getComputedStyle(document.body).fontFamily, color: ink.ink },
      hoverlabel: { ...given.hoverlabel, bgcolor: ink.surface, bordercolor: ink.line, font: { color: ink.ink } },
      margin: { l: 48, r: 16, b: 48, ...given.margin, t: Math.min(given.margin?.t ?? 28, 36) },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink.muted, activecolor: ink.ink } };
    delete layout.width;
    if (!threed) for (const name of ["xaxis", "yaxis"]) layout[name] ||= {};
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) layout[name] = dressAxis(layout[name], ink);
      if (/^scene\d*$/.test(name)) layout[name] = dressScene(layout[name], ink);
    }
    if (threed && !layout.scene) layout.scene = dressScene({}, ink);
    if (narrow.matches) {
      const below = -80 / Math.max(200, (given.height || 420) - 180); // under the title of the axis, whatever the height
      layout.legend = { ...given.legend, orientation: "h", x: 0, xanchor: "left", y: below, yanchor: "top" };
    }
    return layout;
  }

  // plotly.js is large: it comes when a figure is near and the reader has moved, or has looked on for a while,
  // never before the page can be read
  const signs = ["pointermove", "pointerdown", "touchstart", "keydown", "scroll"];
  const printer = /HeadlessChrome/.test(navigator.userAgent); // `chromium --headless --print-to-pdf` prints once all is loaded
  const reader = printer ? Promise.resolve() : new Promise((here) => {
    for (const sign of signs) addEventListener(sign, here, { once: true, passive: true });
    setTimeout(here, 8000);
  });

  let library;
  const load = () => library ||= reader.then(() => new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: plotly, nonce, onload: done, onerror: failed });
    document.head.append(script);
  }));

  const given = (canvas) => JSON.parse(canvas.nextElementSibling.textContent);
  const threed = (figure) => figure.data.some((trace) => /3d$|surface|cone/.test(trace.type || ""));

  const PAPER = { width: 658, tallest: 310, zoom: 0.7, lower: 0.85 }; // pixels; three figures fill a sheet of A4

  let paper = false; // while the page is printed

  // without waiting, as a page is printed when its listeners return
  function paint(canvas) {
    const figure = paper ? flat(given(canvas)) : given(canvas);
    const layout = dress(figure.layout, threed(figure));
    if (figure.data.every(({ type }) => /treemap|sankey/.test(type))) layout.margin = { l: 4, r: 4, t: 12, b: 16 }; // no axes
    if (narrow.matches && !paper) figure.data.forEach(narrowed);
    const height = canvas.dataset.height * (paper ? PAPER.lower : 1);
    const zoom = Math.min(PAPER.zoom, PAPER.tallest / height), width = PAPER.width / zoom;
    if (paper) Object.assign(layout, { autosize: false, width, height });
    Object.assign(canvas.style, { height: `${height}px`, width: paper ? `${width}px` : "", zoom: paper ? zoom : "" });
    const done = Plotly.react(canvas, figure.data, layout,
      { ...words().plotly, responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"], staticPlot: paper });
    canvas.classList.add("drawn");
    return done;
  }

  // on a narrow screen texts at the left and the right would meet: those of bars are smaller, those of flows in two lines
  function narrowed({ type, mode, textfont, node }) {
    if (mode === "text" && textfont) textfont.size = 10;
    if (type === "sankey") { node.pad = 26; node.label = node.label.map(inTwoLines); }
  }

  function inTwoLines(label) {
    const parts = label.replace(" · ", "\u00a0·\u00a0").split(" ");
    const ways = parts.map((_, at) => [parts.slice(0, at).join(" "), parts.slice(at).join(" ")]);
    const longest = (way) => Math.max(...way.map((line) => line.length));
    const best = ways.reduce((one, other) => longest(other) < longest(one) ? other : one);
    return label.length < 18 ? label : best.filter(Boolean).join("<br>");
  }

  const draw = (canvas) => load().then(() => paint(canvas));

  // paper shows no space: the first against the last axis, and what only colours tell apart by its symbol
  const SYMBOLS = ["circle", "triangle-up-open", "square", "x-thin-open", "star-triangle-down", "hexagon-open"];
  function flat(figure) {
    if (!threed(figure)) return figure;
    const { scene: { xaxis, zaxis }, ...layout } = figure.layout;
    const data = figure.data.map(({ z, marker, ...trace }, place) => ({ ...trace, type: "scatter", y: z,
      marker: { ...marker, size: 4, symbol: marker.symbol === "circle" ? SYMBOLS[place % SYMBOLS.length] : marker.symbol } }));
    return { data, layout: { ...layout, xaxis, yaxis: zaxis } };
  }

  // one at a time, and between two the page answers its reader
  let last = Promise.resolve();
  const breath = () => new Promise((done) => { setTimeout(done); });
  const soon = (canvas) => { last = last.then(load).then(breath).then(() => draw(canvas)).catch(console.error); };

  const redraw = () => { for (const canvas of document.querySelectorAll(".canvas.drawn")) draw(canvas); };

  function drawWhenNear() {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        soon(entry.target);
      }
    }, { rootMargin: "400px 0px" });
    const canvases = document.querySelectorAll(".canvas");
    for (const canvas of canvases) {
      const figure = canvas.dataset.height ? null : given(canvas);
      canvas.dataset.height ||= figure.layout.height || (threed(figure) ? 560 : 420);
      canvas.style.height = `${canvas.dataset.height}px`;
      near.observe(canvas);
    }
    if (canvases.length) load(); // so that the page can be printed
  }

  // without scripts a table stands open in the place of its figure
  function closeTables() {
    for (const table of document.querySelectorAll(".plot .same")) table.open = false;
    root.classList.remove("scripted");
  }

  function wireToggle() {
    const button = document.querySelector(".theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      keep(root.dataset.theme);
      redraw();
    });
  }

  // on a narrow screen the menu scrolls: show where we are
  function showHere() {
    const here = document.querySelector(".pages [aria-current]");
    if (here) here.closest("nav").scrollLeft = here.offsetLeft - here.closest("nav").offsetLeft - 48;
  }

  // the section being read, marked in the list at the side
  function followReader() {
    const links = new Map([...document.querySelectorAll(".rail a")].map((a) => [a.hash.slice(1), a]));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "location");
      }
    }, { rootMargin: "-15% 0px -70% 0px" });
    for (const id of links.keys()) { const part = document.getElementById(id); if (part) seen.observe(part); }
  }

  // the figures of the whole page, or their tables where plotly.js has not come yet
  function onPaper({ type }) {
    paper = type === "beforeprint";
    if (paper) { root.dataset.before = root.dataset.theme || ""; root.dataset.theme = "light"; }
    else if (root.dataset.before) root.dataset.theme = root.dataset.before;
    else delete root.dataset.theme;
    if (window.Plotly) for (const canvas of document.querySelectorAll(".canvas")) paint(canvas);
    for (const plot of document.querySelectorAll(".plot:not(:has(.drawn, .image)) .same")) plot.open = paper;
  }

  // a reader who prints before anything else waits for plotly.js
  function waitToPrint(event) {
    if (!(event.ctrlKey || event.metaKey) || event.key !== "p" || window.Plotly || !document.querySelector(".canvas")) return;
    event.preventDefault();
    load().then(() => print());
  }

  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  addEventListener("beforeprint", onPaper);
  addEventListener("afterprint", onPaper);
  addEventListener("keydown", waitToPrint);
  addEventListener("DOMContentLoaded", () => { closeTables(); wireToggle(); showHere(); drawWhenNear(); followReader(); });
})();
