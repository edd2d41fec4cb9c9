// What every live page does: one feed, one line about it, parts that are rendered anew.
import { localTimes } from "./times.js";
import { Bar, calm } from "./live-bar.js";
import { follow } from "./live-feed.js";
import { Parts } from "./live-parts.js";
import { Store } from "./live-store.js";

const CALM_MS = 30000;
const SNAPSHOT_MS = 3000; // the page has what the stream begins with

/** Makes the page live.
 * @param {object} page
 * @param {string[]} page.renewedBy  Events after which the server's parts are rendered anew.
 * @param {number} page.everyMs  How often `draw` is called at most.
 * @param {(store: Store, bar: Bar) => void} page.draw  Draws what the store has; never in a hidden tab. */
export function live({ renewedBy, everyMs, draw }) {
  const root = document.querySelector("[data-stream]");
  if (!(root instanceof HTMLElement)) return;
  const store = new Store();
  const bar = new Bar(root);
  const mayDraw = () => !document.hidden && !bar.isPaused;
  const parts = new Parts(() => mayDraw() && !bar.isLost, () => {
    for (const part of document.querySelectorAll("[data-live-part]")) localTimes(part);
    drawn = 0;
  });
  let drawn = 0;
  let opened = Infinity;

  function frame() {
    const pause = calm.matches ? CALM_MS : everyMs;
    if (mayDraw() && !bar.isLost && Date.now() - drawn >= pause && (store.newest || !calm.matches)) {
      drawn = Date.now();
      draw(store, bar);
      bar.show(store.delayMs);
    }
  }
  setInterval(() => mayDraw() && requestAnimationFrame(frame), Math.min(everyMs, 500));
  bar.onPause = () => {
    drawn = 0;
    if (!bar.isPaused) parts.soon();
  };

  follow(/** @type {string} */ (root.dataset.stream), {
    event(name, data) {
      if (!bar.isPaused) bar.seen = Date.now();
      store.apply(name, data);
      const wasReachable = bar.isReachable;
      bar.isReachable = store.isReachable;
      if (wasReachable !== bar.isReachable) say(bar, true);
      const isNews = renewedBy.includes(name) && Date.now() - opened > SNAPSHOT_MS;
      if (isNews || (!wasReachable && bar.isReachable)) parts.soon();
    },
    state(state, reason) {
      const wasLost = bar.isLost;
      if (state === "open") opened = Date.now();
      Object.assign(bar, { state, reason });
      say(bar, wasLost || bar.isLost);
      if (wasLost && state === "open") parts.soon();
    },
  });
}

/** Shows the state, and announces a loss and its end. @param {Bar} bar @param {boolean} isNews */
function say(bar, isNews) {
  bar.show();
  const place = document.getElementById("announcements");
  if (place && isNews) place.textContent = bar.text.textContent;
}
