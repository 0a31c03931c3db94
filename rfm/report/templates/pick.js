// What a reader picks from data in the page: two days on Segments, a segment and a state on Trade. The choice stands in the
// address, beside that of the page's other form, so it can be sent to somebody.
(() => {
  "use strict";
  const $ = (selector) => document.querySelector(selector);
  const form = $(".pick"), store = $("#picks"), said = form.querySelector("output");
  const data = JSON.parse(store.textContent), { currency } = store.dataset;
  const round = (least, most) => new Intl.NumberFormat(say("locale"), { minimumFractionDigits: least, maximumFractionDigits: most, roundingMode: "halfEven" });
  const whole = round(0, 0), exact = round(2, 2), few = round(0, 1), one = round(1, 1); // they round as Python does
  const dates = new Intl.DateTimeFormat(say("locale"), { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const months = new Intl.DateTimeFormat(say("locale"), { month: "long", year: "numeric", timeZone: "UTC" });

  const date = (iso, form = dates) => form.format(Date.parse(`${iso}T00:00:00Z`));
  const count = (value) => whole.format(value);
  const money = (cents) => `${cents < 0 ? "−" : ""}${say("money", { amount: (Math.abs(cents) < 100000 ? exact : whole).format(Math.abs(cents) / 100), sign: currency })}`;
  const share = (value) => say("percent", { number: (value > 0 && value < 0.0995 ? few : whole).format(100 * value) });
  const tenths = (value) => say("percent", { number: one.format(100 * value) });
  const points = (value) => say("points", { n: one.format(100 * value) });
  const told = (name) => data.told[name] ?? name; // segments and states are English in the data and in addresses

  function make(name, attributes = {}, ...inside) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  }
  const cell = (text, small, more = "") => make("td", { class: `num${more}` }, text, ...(small ? [make("small", {}, small)] : []));
  const row = (name, cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells);

  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  function hash(chosen) {
    const all = address();
    for (const [name, value] of Object.entries(chosen)) all.set(name, value);
    return `#${all}`;
  }

  // ── two days ──
  function change(then, now, form) {
    const moved = now - then, text = form(Math.abs(moved));
    return moved && /[1-9]/.test(text) ? `${moved > 0 ? "▲ +" : "▼ −"}${text}` : say("unchanged");
  }
  const inTurn = (list, size) => Array.from({ length: list.length / size }, (_, at) => list.slice(size * at, size * (at + 1)));

  function totals(then, now) {
    const [before, after] = [then, now].map((day) => new Map(inTurn(data.totals[day], 3).map(([name, ...values]) => [name, values])));
    const sum = (found) => [0, 1].map((part) => [...found.values()].reduce((all, values) => all + values[part], 0));
    const [old, fresh] = [sum(before), sum(after)], none = [0, 0];
    const line = (name, was, is) => row(name, [0, 1].flatMap((part) => {
      const form = part ? money : count, parts = [was[part] / (old[part] || 1), is[part] / (fresh[part] || 1)];
      return [cell(`${form(was[part])} → ${form(is[part])}`, change(was[part], is[part], form)),
        cell(parts.map(tenths).join(" → "), change(...parts, points))];
    }));
    const there = data.names.flatMap((name, at) => before.has(at) || after.has(at) ? [line(told(name), before.get(at) || none, after.get(at) || none)] : []);
    $("#compare-totals tbody").replaceChildren(...there, line(say("allCustomers"), old, fresh));
    $("#compare-totals caption").textContent = `${date(data.days[then])} → ${date(data.days[now])}`;
  }

  function moves(then, now) {
    const found = inTurn(data.moves[`${then} ${now}`] || [], 4), none = data.names.length;
    const ways = new Map(found.map(([from, to, ...values]) => [`${from} ${to}`, values]));
    const side = (at) => [...data.names.keys(), none].filter((name) => found.some((way) => way[at] === name));
    const [rows, columns] = [side(0), side(1)], table = $(".crossed");
    const was = table.tHead.rows[0].cells[0];
    table.tHead.rows[0].replaceChildren(was, ...columns.map((to) => make("th", { scope: "col", class: "num" }, to === none ? say("gone") : told(data.names[to]))));
    table.tBodies[0].replaceChildren(...rows.map((from) => row(from === none ? say("newCustomer") : told(data.names[from]), columns.map((to) => {
      const [people, cents] = ways.get(`${from} ${to}`) || [];
      return people ? cell(count(people), money(cents), from === to ? " stay" : "") : cell("");
    }))));
    $("#compare-moves").hidden = !found.length;
    const people = (test) => count(found.reduce((all, [from, to, number]) => all + (test(from, to) ? number : 0), 0));
    said.textContent = found.length ? say("moved", { stayed: people((from, to) => from === to),
      came: people((from) => from === none), moved: people((from, to) => from !== to && from !== none && to !== none) }) : "";
    return found.length;
  }

  function days() {
    const pairs = Object.keys(data.moves).map((pair) => pair.split(" ").map(Number)), kept = new Set(pairs.flat());
    const apart = (one, other) => Math.abs(Date.parse(data.days[one]) - Date.parse(data.days[other]));
    const far = (pair, other) => apart(pair[0], other[0]) + apart(pair[1], other[1]);
    const nearest = (pair) => pairs.reduce((best, other) => far(pair, other) < far(pair, best) ? other : best);
    const first = { ...form.dataset };
    for (const select of form.querySelectorAll("select")) {
      let group;
      for (const [at, day] of [...data.days.entries()].reverse()) {
        if (group?.label !== date(day, months)) select.append(group = make("optgroup", { label: date(day, months) }));
        group.append(make("option", { value: day }, `${date(day)}${kept.has(at) ? " ✓" : ""}`));
      }
    }
    return function show() {
      const asked = address(), note = $("#compare-note");
      const wanted = ["then", "now"].map((name) => asked.get(name) || first[name]);
      const strange = wanted.find((day) => !data.days.includes(day));
      const [then, now] = (strange ? [first.then, first.now] : wanted).sort();
      form.elements.then.value = then;
      form.elements.now.value = now;
      const pair = [then, now].map((day) => data.days.indexOf(day));
      totals(...pair);
      const moved = moves(...pair);
      note.hidden = !strange && (moved || then === now);
      if (strange) note.textContent = say("noRun", { day: strange, days: count(data.days.length) });
      else if (!note.hidden) {
        const [one, other] = nearest(pair).map((at) => data.days[at]);
        note.replaceChildren(say("tooFar"), " ", make("a", { href: hash({ then: one, now: other }) }, `${date(one)} → ${date(other)}`));
      }
    };
  }

  // ── products of a segment and a state ──
  function groups() {
    const { segment, state } = form.elements;
    const choose = (select, value) => { select.value = value; if (select.selectedIndex < 0) select.value = ""; };
    const first = form.dataset.state;
    const line = ([product, pieces, cents, people, lift], size) => {
      const [code, name] = data.products[product];
      return row(name, [make("td", {}, code), ...[money(cents), count(pieces), count(people), share(people / size), few.format(lift / 100)].map((text) => cell(text))]);
    };
    return function show() {
      const asked = address();
      choose(segment, asked.get("segment") || "");
      choose(state, asked.get("state") ?? (asked.has("segment") ? "" : first));
      const [size = 0, ...rows] = data.groups[`${segment.selectedIndex} ${state.selectedIndex}`] || [];
      const table = $(".bought");
      table.tBodies[0].replaceChildren(...inTurn(rows, 5).map((numbers) => line(numbers, size)));
      table.caption.textContent = `${told(segment.value) || say("everySegment")}, ${told(state.value) || say("everyState")}`;
      said.textContent = size ? say("customers", { count: size, n: count(size) }) : "";
      table.parentElement.hidden = !rows.length;
      $("#bought-note").hidden = rows.length > 0;
    };
  }

  const show = { days, groups }[form.dataset.of]();
  function keep() {
    history.replaceState(null, "", hash(Object.fromEntries(new FormData(form))));
    show();
  }
  form.hidden = false;
  form.addEventListener("input", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", show);
  show();
})();
