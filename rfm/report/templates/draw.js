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

  // plotly.js adds style elements; the policy of the page lets in only those that carry its nonce
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    if (String(name).toLowerCase() === "style") element.nonce = nonce;
    return element;
  };

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
  const reader = new Promise((here) => {
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

  async function draw(canvas) {
    const figure = given(canvas);
    await load();
    const layout = dress(figure.layout, threed(figure));
    if (figure.data.every(({ type }) => /treemap|sankey/.test(type))) layout.margin = { l: 4, r: 4, t: 8, b: 8 }; // no axes
    await Plotly.react(canvas, figure.data, layout,
      { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] });
    canvas.classList.add("drawn");
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
    for (const canvas of document.querySelectorAll(".canvas")) {
      const figure = canvas.dataset.height ? null : given(canvas);
      canvas.style.height = `${canvas.dataset.height || figure.layout.height || (threed(figure) ? 560 : 420)}px`;
      near.observe(canvas);
    }
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

  function onPaper(event) {
    if (event.type === "beforeprint") { root.dataset.before = root.dataset.theme || ""; root.dataset.theme = "light"; }
    else if (root.dataset.before) root.dataset.theme = root.dataset.before;
    else delete root.dataset.theme;
    for (const plot of document.querySelectorAll(".plot:not(:has(.drawn, .image)) .same")) plot.open = event.type === "beforeprint";
    redraw();
  }

  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  addEventListener("beforeprint", onPaper);
  addEventListener("afterprint", onPaper);
  addEventListener("DOMContentLoaded", () => { wireToggle(); showHere(); drawWhenNear(); followReader(); });
})();
