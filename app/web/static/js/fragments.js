// Parts of pages are exchanged in place by htmx; without it, links and forms are plain ones.
import "../vendor/htmx.js";
import { localTimes } from "./times.js";

/** @typedef {{ ctx: { response?: { raw: Response }, target?: Element } }} Detail */

/** @param {string} text Says it to screen readers, without moving the focus. */
export function announce(text) {
  const place = document.getElementById("announcements");
  if (place) place.textContent = text;
}

document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = /** @type {CustomEvent<Detail>} */ (event).detail;
  const response = ctx.response?.raw;
  if (!response?.redirected) return;
  event.preventDefault(); // to the sign-in, or to another page
  document.location.assign(response.url);
});

document.addEventListener("htmx:after:swap", () => {
  localTimes(document);
  const count = document.querySelector("main .tally")?.textContent;
  if (count) announce(count);
});

document.addEventListener("htmx:error", () => announce("The server cannot be reached. Try again."));
