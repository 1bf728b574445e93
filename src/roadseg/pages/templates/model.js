"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", event => {
    const heading = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const column = heading.cellIndex, down = heading.getAttribute("aria-sort") === "ascending";
    for (const each of table.tHead.querySelectorAll("th")) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const numbers = [...table.tBodies[0].rows].every(row => value(row) !== "" && !isNaN(value(row)));
    const order = (a, b) => numbers ? value(a) - value(b) : value(a).localeCompare(value(b));
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => down ? order(b, a) : order(a, b)));
  });
}
const shots = document.querySelector(".shots");
function show(group) {
  const place = shot => (shot.dataset.places.match(new RegExp(`(?:^|\\s)${group}:(\\d+)`)) || [])[1];
  for (const shot of shots.children) shot.hidden = place(shot) === undefined;
  shots.append(...[...shots.children].sort((a, b) => (place(a) ?? Infinity) - (place(b) ?? Infinity)));
}
if (shots) {
  const buttons = [...document.querySelectorAll("[data-group]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", each === button);
      show(button.dataset.group);
    });
  }
  show(buttons[0].dataset.group);
  const large = document.querySelector("#large");
  shots.addEventListener("click", event => {
    const picture = event.target.closest(".open")?.querySelector("img");
    if (!picture) return;
    const shown = large.querySelector("img");
    shown.src = picture.src;
    shown.alt = picture.alt;
    large.showModal();
  });
  large.addEventListener("click", event => event.target === large && large.close());
}
