// The cards or rows that a form lets through: a text is the same, a number at least as large. The choice stands in the
// address, so it can be sent to somebody.
(() => {
  "use strict";
  const form = document.querySelector(".filters");
  const cards = [...document.querySelectorAll("[data-segment]")];
  const said = form.querySelector("output");
  const { said: name, currency: sign } = form.dataset;
  const count = say.number;

  const wanted = (card, choice) => Object.entries(choice).every(([name, value]) => !value
    || (form.elements[name].type === "number" ? Number(card.dataset[name]) >= Number(value) : card.dataset[name] === value));

  function show() {
    const choice = Object.fromEntries(new FormData(form));
    for (const card of cards) card.hidden = !wanted(card, choice);
    const left = cards.filter((card) => !card.hidden);
    const sum = left.reduce((total, card) => total + Number(card.dataset.size), 0);
    const total = count(Math.round(sum));
    said.textContent = say(name, { n: count(left.length), all: count(cards.length), sum: total, money: say("money", { amount: total, sign }) });
  }

  function keep() {
    show();
    const chosen = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    for (const [name, value] of new FormData(form)) if (value) chosen.set(name, value); else chosen.delete(name);
    history.replaceState(null, "", `#${chosen}`);
  }

  function recall() {
    if (!location.hash.includes("=")) return;
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (form.elements[name]) form.elements[name].value = value;
  }

  for (const cell of document.querySelectorAll(".calls .id")) {
    const link = document.createElement("a");
    link.href = `customers.html#${new URLSearchParams({ customer: cell.textContent })}`;
    link.append(...cell.childNodes);
    cell.append(link);
  }
  form.hidden = false;
  form.addEventListener("input", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(keep));
  addEventListener("hashchange", () => { recall(); show(); });
  recall();
  show();
})();
