// All customers in columns; only the rows of one page are ever in the document. What is shown stands in the address:
// #q=…&segment=…&tier=…&state=…&label=…&sort=-cents&page=2&customer=12346, so that it can be sent to somebody and Back works.
(() => {
  "use strict";
  const SIZE = 50;
  const $ = (selector) => document.querySelector(selector);
  const all = $("#all"), one = $("#one"), form = $(".filters"), said = form.querySelector("output");
  const body = $(".grid tbody"), turn = $(".turn"), file = turn.querySelector("a"), place = turn.querySelector("span");
  const heads = [...document.querySelectorAll(".grid th[data-sort]")];
  const { day, currency } = $("#data").dataset;
  const data = JSON.parse($("#data").textContent);
  const { names } = data, total = data.id.length;
  const number = new Intl.NumberFormat(say("locale")), exact = new Intl.NumberFormat(say("locale"), { minimumFractionDigits: 2 });
  const percent = new Intl.NumberFormat(say("locale"), { style: "percent" });
  const natural = new Intl.Collator(say("locale"), { numeric: true });
  const dates = new Intl.DateTimeFormat(say("locale"), { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

  let opened;
  const details = () => opened ||= JSON.parse($("#details").textContent);
  const at = (list, row) => names[list][data[list][row]];
  const held = new Set(data.held);
  const segment = (row) => at("segment", row);
  const tier = (row) => data.tiers[segment(row)];
  const slug = (text) => text.toLowerCase().replace(/[^a-z]+/g, "-");
  const told = (name) => data.told[name] ?? name; // segments, tiers and states are English in the data and in addresses
  const money = (cents) => `${cents < 0 ? "−" : ""}${say("money", { amount: exact.format(Math.abs(cents) / 100), sign: currency })}`;
  const date = (iso) => dates.format(new Date(`${iso}T00:00:00Z`));
  const ago = (days) => dates.format(Date.parse(`${day}T00:00:00Z`) - days * 864e5);
  const many = (name, count, more) => say(name, { count, n: number.format(count), ...more });

  // ── the address ──
  const state = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const hash = (changed) => `#${new URLSearchParams(Object.entries({ ...state(), ...changed }).filter(([, value]) => value))}`;
  function go(changed, quietly) {
    history[quietly ? "replaceState" : "pushState"](null, "", hash(changed));
    show();
  }

  // ── elements: text is only ever text ──
  function make(name, attributes = {}, ...inside) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  }
  const dot = (name) => make("span", { class: `tier ${slug(name)}` }, told(name));
  const mark = (row) => at("state", row) ? [make("span", { class: `state ${slug(at("state", row))}` }, told(at("state", row)))] : [];
  const link = (row) => make("a", { href: hash({ customer: data.id[row] }) }, data.id[row]);
  const line = (row) => make("tr", {},
    make("th", { scope: "row", class: "id" }, link(row)), make("td", {}, told(segment(row)), ...(held.has(row) ? [make("small", { class: "held" }, say("held"))] : [])), make("td", { class: "less" }, dot(tier(row))),
    make("td", { class: "less" }, ...mark(row)),
    make("td", { class: "num" }, number.format(data.days[row])), make("td", { class: "num less" }, number.format(data.orders[row])),
    make("td", { class: "num" }, money(data.cents[row])), make("td", { class: "num less" }, data.rfm[row]));

  // ── which rows, in which order ──
  function wanted({ q = "", segment: name, tier: group, state: condition, label }) {
    const tests = [];
    const text = q.trim().toLowerCase();
    if (text) tests.push((row) => data.id[row].toLowerCase().includes(text));
    if (name) tests.push((row) => segment(row) === name);
    if (group) tests.push((row) => tier(row) === group);
    if (condition) tests.push((row) => at("state", row) === condition);
    if (label) tests.push((row) => at("label", row) === label);
    const rows = [];
    for (let row = 0; row < total; row += 1) if (tests.every((test) => test(row))) rows.push(row);
    return rows;
  }

  const orders = {}; // column -> the place of each row in its order, found once
  function ranks(column) {
    if (orders[column]) return orders[column];
    const named = { segment, tier, state: (row) => at("state", row) }[column];
    const value = named ? (row) => told(named(row)) : (row) => data[column][row];
    const text = typeof value(0) === "string";
    const rows = Uint32Array.from({ length: total }, (_, row) => row);
    rows.sort((one, other) => (text ? natural.compare(value(one), value(other)) : value(one) - value(other)) || one - other);
    const rank = new Uint32Array(total);
    rows.forEach((row, index) => { rank[row] = index; });
    return orders[column] = rank;
  }

  const sorting = ({ sort = "-cents" }) => {
    const column = sort.replace("-", "");
    return heads.some((head) => head.dataset.sort === column) ? [column, sort.startsWith("-") ? -1 : 1] : ["cents", -1];
  };

  let last = "", found = []; // the rows of the last choice: turning a page searches nothing
  function rowsOf(now) {
    const choice = JSON.stringify([now.q, now.segment, now.tier, now.state, now.label, sorting(now)]);
    if (choice !== last) {
      const [column, way] = sorting(now), rank = total ? ranks(column) : [];
      found = wanted(now).sort((one, other) => way * (rank[one] - rank[other]));
      last = choice;
    }
    return found;
  }

  function list(now) {
    const rows = rowsOf(now), pages = Math.max(1, Math.ceil(rows.length / SIZE));
    const page = Math.min(pages, Math.max(1, parseInt(now.page, 10) || 1));
    const [column, way] = sorting(now);
    body.replaceChildren(...rows.slice((page - 1) * SIZE, page * SIZE).map(line));
    for (const head of heads) {
      if (head.dataset.sort === column) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    for (const field of form.elements) if (field.name && field.value !== (now[field.name] || "")) field.value = now[field.name] || "";
    said.textContent = rows.length === total ? many("customers", total) : many("some", total, { some: number.format(rows.length) });
    place.textContent = say("page", { page: number.format(page), pages: number.format(pages) });
    for (const button of turn.querySelectorAll("button")) {
      const to = page + Number(button.dataset.by);
      button.disabled = to < 1 || to > pages;
      button.onclick = () => { go({ page: to > 1 ? to : "" }); all.scrollIntoView(); };
    }
    file.hidden = !(now.segment in data.slugs);
    if (!file.hidden) { file.href = `exports/${data.slugs[now.segment]}.csv`; file.textContent = `${told(now.segment)}, CSV`; }
  }

  // ── one customer ──
  function sentence(row) {
    const text = details().why[row].map((piece) => typeof piece === "number" ? details().phrases[piece] : piece).join("");
    return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  }
  const pairs = (list) => Array.from({ length: list.length / 2 }, (_, index) => list.slice(2 * index, 2 * index + 2));
  const fact = (name, value, ...more) => make("div", {}, make("dt", {}, name), make("dd", {}, value), ...more);
  const card = (title, ...inside) => make("section", { class: "card today" }, make("h3", {}, title), ...inside);
  function table(label, headings, rows) {
    const cell = (kind, text, index) => make(kind, index ? { class: "num" } : {}, text);
    return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, make("table", {},
      make("thead", {}, make("tr", {}, ...headings.map((text, index) => make("th", { scope: "col", ...(index && { class: "num" }) }, text)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text, index) => cell("td", text, index)))))));
  }

  function spells(row) {
    const { runs, names: segments, history } = details(), begun = pairs(history[row]);
    return begun.map(([first, name], index) => {
      const end = index + 1 < begun.length ? begun[index + 1][0] - 1 : runs.length - 1;
      return { name: segments[name], from: runs[first], to: runs[end], runs: end - first + 1 };
    });
  }

  // ── her line: purchases, segments and states over the same days ──
  const WIDE = 1000, HIGH = 44;
  const time = (iso) => Date.parse(`${iso}T00:00:00Z`) / 864e5;

  function conditions(row) {
    const { days, states } = details(), begun = pairs(states[row]);
    return begun.map(([first, name], index) => {
      const end = index + 1 < begun.length ? begun[index + 1][0] - 1 : days.length - 1;
      return { name: data.states[name], from: days[first], to: days[end], seen: end - first + 1 };
    });
  }

  function lanes(row) {
    const sales = pairs(details().bought[row]), named = spells(row), states = conditions(row), end = time(day);
    const start = Math.min(end - 1, ...sales.slice(-1).map(([days]) => end - days), ...named.slice(0, 1).map(({ from }) => time(from)));
    const x = (at) => WIDE * (at - start) / (end - start), most = Math.max(1, ...sales.map(([, cents]) => cents));
    const draw = (name, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const lane = (label, kind, high, shapes) => {
      const drawn = draw("svg", { viewBox: `0 0 ${WIDE} ${high}`, preserveAspectRatio: "none", class: kind, "aria-hidden": true, style: `height:${high}px` });
      drawn.append(...shapes);
      return [make("small", {}, label), drawn];
    };
    const band = (known, style) => known.map(({ name, from, to }, index) => {
      const left = x(time(from)), right = x(index + 1 < known.length ? time(known[index + 1].from) : end);
      const part = draw("rect", { x: left, y: 0, width: Math.max(3, right - left - 2), height: 14, class: style(name) });
      part.append(draw("title", {}));
      part.firstChild.textContent = told(name);
      return part;
    });
    const stems = sales.map(([days, cents]) => draw("path", { d: `M${x(end - days).toFixed(1)},${HIGH}V${(HIGH - 4 - (HIGH - 8) * Math.sqrt(Math.max(0, cents) / most)).toFixed(1)}` }));
    return make("div", { class: "lanes" }, ...lane(say("purchases"), "stems", HIGH, stems), ...lane(say("itsSegments"), "band", 14, band(named, (name) => slug(data.tiers[name] || ""))),
      ...(states.length ? lane(say("itsStates"), "band of", 14, band(states, slug)) : []),
      make("p", {}, make("span", {}, dates.format(start * 864e5)), make("span", {}, date(day))));
  }

  function path(row) {
    const period = ({ from, to }) => from === to ? date(from) : say("span", { from: date(from), to: date(to) });
    const list = (known, small) => make("ol", { class: "spells" }, ...[...known].reverse().map((spell) => make("li", {}, make("b", {}, told(spell.name)), make("span", {}, period(spell)), ...small(spell))));
    const states = conditions(row), seen = ({ seen: n }) => [make("small", {}, many("seen", n))];
    const part = (title, ...inside) => make("div", {}, make("h4", {}, title), ...inside);
    return card(say("overTime"), lanes(row), make("div", { class: "pair three" }, part(say("purchases"), ...bought(row)),
      part(say("itsSegments"), list(spells(row), (spell) => [make("small", {}, many("runs", spell.runs))])),
      ...(states.length ? [part(say("itsStates"), list(states, seen))] : [])));
  }

  function bought(row) {
    const known = pairs(details().bought[row]), [more, cents] = details().earlier[row] || [];
    const rows = known.map(([days, amount]) => [ago(days), money(amount)]);
    const word = more ? [make("p", { class: "more" }, many("earlier", more, { money: money(cents) }))] : [];
    return [table(say("purchases"), [say("day"), say("amount")], rows), ...word];
  }

  function ways(row) {
    const rows = [[say("byCluster"), told(at("label", row))], [say("byValue"), [at("value", row), at("engagement", row)].filter(Boolean).join(", ")],
      [say("byOwn"), at("own", row)], [say("byScore"), [data.rfm[row], at("scored", row)].filter(Boolean).join(", ")]];
    return card(say("fourWays"), make("dl", { class: "named" }, ...rows.map(([name, text]) => fact(name, text || "–"))));
  }

  function foreseen(row) {
    const [chance, cents, why] = details().forecast[row];
    if (chance === undefined) return [];
    return [card(say("expect"), make("dl", { class: "named" }, fact(say("order30"), percent.format(chance / 100)),
      fact(say("spend90"), money(cents)), fact(say("drivers"), why)))];
  }

  function open(id) {
    const row = data.id.indexOf(id);
    const back = make("p", { class: "back" }, make("a", { href: hash({ customer: "" }) }, say("allCustomers")));
    const title = make("h2", { id: "one-title", tabindex: -1 }, say("customer", { id }));
    one.setAttribute("aria-labelledby", "one-title");
    if (row < 0) return one.replaceChildren(back, title, make("p", {}, say("unknown")));
    const tiles = make("dl", { class: "tiles four" }, fact(say("segment"), told(segment(row)), make("dd", { class: "since" }, dot(tier(row)))),
      fact(say("state"), told(at("state", row)) || "–", make("dd", { class: "since" }, at("rhythm", row))),
      fact(say("spent"), money(data.cents[row])), fact(say("orders"), number.format(data.orders[row])),
      fact(say("last"), ago(data.days[row]), make("dd", { class: "since" }, data.days[row] ? many("before", data.days[row]) : say("onTheDay"))));
    one.replaceChildren(back, title, tiles, make("div", { class: "pair" }, card(say("why"), make("p", {}, sentence(row) || "–")), card(say("todo"), make("p", {}, at("action", row) || "–")), ...foreseen(row), ways(row)), path(row));
  }

  let shown; // the customer who is open
  function show() {
    const now = state();
    if (now.customer) open(now.customer); else list(now);
    one.hidden = !now.customer;
    all.hidden = Boolean(now.customer);
    if (now.customer && now.customer !== shown) { $("#one-title").focus({ preventScroll: true }); one.scrollIntoView(); }
    if (!now.customer && shown) [...body.querySelectorAll("a")].find((found) => found.textContent === shown)?.focus();
    shown = now.customer;
  }

  for (const head of heads) {
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && head.classList.contains("num"));
      go({ sort: `${down ? "-" : ""}${head.dataset.sort}`, page: "" });
    });
    head.append(button);
  }
  form.addEventListener("input", ({ target }) => go({ [target.name]: target.value, page: "" }, target.name === "q"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); go({ q: "", segment: "", tier: "", state: "", label: "", page: "" }); });
  addEventListener("hashchange", show);
  form.hidden = turn.hidden = false;
  show();
})();
