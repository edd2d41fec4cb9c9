// Parts of a page that the server renders anew when the lab has changed: focus, open details and
// scrolling stay.

const PAUSE_MS = 5000;
const LEAST_MS = 300;
const JITTER_MS = 700; // tabs that hear the same news do not ask at once
const OLD_MS = 60000; // the day, the month and the hour of the grid change without news

/** Renews the parts of this page: elements with `data-live-part`, each with an ID. */
export class Parts {
  /** @param {() => boolean} mayDraw @param {() => void} onRenewed */
  constructor(mayDraw, onRenewed = () => {}) {
    this.mayDraw = mayDraw;
    this.onRenewed = onRenewed;
    this.isDue = false;
    this.began = 0;
    document.addEventListener("visibilitychange", () => this.isDue && this.soon());
    setInterval(() => Date.now() - this.began >= OLD_MS && this.soon(), OLD_MS / 4);
  }

  /** Renews the parts soon, but not more often than every five seconds. */
  soon() {
    this.isDue = true;
    if (this.timer || !this.mayDraw()) return;
    const wait = Math.max(LEAST_MS, this.began + PAUSE_MS - Date.now()) + Math.random() * JITTER_MS;
    this.timer = setTimeout(() => this.#renew(), wait);
  }

  async #renew() {
    this.timer = undefined;
    if (!this.mayDraw()) return;
    this.isDue = false;
    this.began = Date.now();
    const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!response?.ok || response.redirected) return this.soon(); // again, and again after a pause
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live-part]")) {
      const newer = fresh.getElementById(part.id);
      if (newer) replace(part, newer);
    }
    this.onRenewed();
  }
}

/** @param {Element} part @param {Element} newer */
function replace(part, newer) {
  if (!(part instanceof HTMLElement)) return;
  const text = newer.innerHTML;
  if (part.dataset.shown === hash(text) || isBusy(part)) return;
  const focused = part.contains(document.activeElement) ? placeOf(part, document.activeElement) : null;
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  const scrolled = [...part.querySelectorAll(".scroller")].map((region) => [region.scrollLeft, region.scrollTop]);
  part.replaceChildren(...document.adoptNode(newer).childNodes);
  part.dataset.shown = hash(text);
  part.querySelectorAll("details").forEach((details, index) => (details.open = open[index] ?? details.open));
  part.querySelectorAll(".scroller").forEach((region, index) => {
    [region.scrollLeft, region.scrollTop] = scrolled[index] ?? [0, 0];
  });
  const again = focused ? part.querySelector(focused) : null;
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
}

/** Whether somebody is filling in a form there. @param {Element} part */
function isBusy(part) {
  const element = document.activeElement;
  return part.contains(element) && /^(INPUT|SELECT|TEXTAREA)$/.test(element?.tagName ?? "");
}

/** A selector that finds the element again. @param {Element} part @param {Element | null} element */
function placeOf(part, element) {
  if (!element || element === part) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href") ?? element.closest("form")?.getAttribute("action");
  const name = href && (element.hasAttribute("href") ? `[href="${CSS.escape(href)}"]` : `[action="${CSS.escape(href)}"] button`);
  return name || null;
}

/** @param {string} text @returns {string} */
function hash(text) {
  let sum = 0;
  for (let index = 0; index < text.length; index += 1) sum = (Math.imul(sum, 31) + text.charCodeAt(index)) | 0;
  return String(sum);
}
