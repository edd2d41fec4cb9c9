// The table of runs: `x` selects the row in focus, `c` compares, and figures are kept up to date.
import "./fragments.js";
import { actions } from "./keys.js";

const EVERY_MS = 15_000;

/** @param {Element | null} place @returns {HTMLInputElement | null} The box of the row. */
function boxOf(place) {
  return place?.closest("tr")?.querySelector("input[name=run], input[name=group]") ?? null;
}

actions.set("x", () => boxOf(document.activeElement)?.click());
actions.set("c", () => {
  const compare = document.querySelector("#selection button[value=compare]");
  if (compare instanceof HTMLElement) compare.click();
});

setInterval(() => {
  if (!document.hidden) document.getElementById("refresh")?.dispatchEvent(new Event("refresh"));
}, EVERY_MS);
