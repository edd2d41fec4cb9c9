// The page of a run: traces of power and quality, the newest lines of its log, what it has used so far.
import { followLog } from "./run-log.js";
import { showTraces } from "./run-traces.js";
import { localTimes } from "./times.js";
import { copying } from "./copying.js";

const EVERY_MS = 5000;

const traces = document.getElementById("traces");
if (traces) showTraces(traces);
const log = document.getElementById("log");
if (log) followLog(log, () => Boolean(document.querySelector("#progress[data-live]")));
copying(document);
later();

/** Renews what the run has used so far, until it ends; then the page has another content. */
function later() {
  setTimeout(async () => {
    const place = document.getElementById("progress");
    if (!place?.dataset.live) return;
    if (document.hidden || place.contains(document.activeElement)) return later();
    try {
      const response = await fetch(place.dataset.live);
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const next = page.getElementById("progress");
      if (!next) return later();
      if (next.dataset.status !== place.dataset.status) return location.reload();
      place.replaceWith(document.adoptNode(next));
      localTimes(next);
    } catch {
      place.classList.add("stale");
      place.title = "The server did not answer; these are the last figures.";
    }
    later();
  }, EVERY_MS);
}
