"use strict";
// Only shortcuts: everything they do is a link or a button of the page.
const rows = [...document.querySelectorAll("table.lines tbody tr")];
let chosen = -1;

function choose(step) {
  rows[chosen]?.classList.remove("chosen");
  chosen = Math.min(Math.max(chosen + step, 0), rows.length - 1);
  rows[chosen].classList.add("chosen");
  rows[chosen].querySelector("a").focus({ preventScroll: true });
  rows[chosen].scrollIntoView({ block: "nearest" });
}

function follow(id) {
  document.getElementById(id)?.click();
}

function correct() {
  const details = document.querySelector("details.correct");
  if (!details) return;
  details.open = true;
  details.querySelector("select, textarea, input:not([type=hidden])")?.focus();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const actions = rows.length
    ? { j: () => choose(1), k: () => choose(-1), "/": () => document.querySelector("[name=q]").focus() }
    : {
        j: () => follow("next"),
        k: () => follow("previous"),
        u: () => follow("list"),
        r: () => document.querySelector("#right button")?.click(),
        w: correct,
      };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
