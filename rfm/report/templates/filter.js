// The cards of the page that a form lets through; the choice stands in the address, so it can be sent to somebody.
(() => {
  "use strict";
  const form = document.querySelector(".filters");
  const cards = [...document.querySelectorAll("[data-segment]")];
  const said = form.querySelector("output");
  const count = new Intl.NumberFormat("en-GB");

  const wanted = (card, { segment, tier, size }) => (!segment || card.dataset.segment === segment)
    && (!tier || card.dataset.tier === tier) && Number(card.dataset.size) >= Number(size || 0);

  function show() {
    const choice = Object.fromEntries(new FormData(form));
    for (const card of cards) card.hidden = !wanted(card, choice);
    const left = cards.filter((card) => !card.hidden);
    const people = left.reduce((sum, card) => sum + Number(card.dataset.size), 0);
    said.textContent = `${left.length} of ${cards.length} segments, ${count.format(people)} customers`;
  }

  function keep() {
    show();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `#${chosen}`);
  }

  function recall() {
    if (!location.hash.includes("=")) return;
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (form.elements[name]) form.elements[name].value = value;
  }

  form.hidden = false;
  form.addEventListener("input", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(keep));
  addEventListener("hashchange", () => { recall(); show(); });
  recall();
  show();
})();
