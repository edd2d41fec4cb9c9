// The line that says how live a page is: shown behind its time, paused, or what was lost and since when.
import { areOff, takesText } from "./keys.js";

const PAUSED = "pricetag-live-paused";
const AFTER_G_MS = 1500;
export const calm = matchMedia("(prefers-reduced-motion: reduce)");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** @param {number} at @returns {string} For example `14:03:22`. */
export function clockTime(at) {
  return clock.format(new Date(at));
}

export class Bar {
  /** @param {HTMLElement} root The page's live part, whose figures grey out with `data-live`. */
  constructor(root) {
    this.root = root;
    this.text = /** @type {HTMLElement} */ (root.querySelector("[data-live-text]"));
    this.button = root.querySelector("[data-live-pause]");
    this.state = /** @type {import("./live-connection.js").State} */ ("opening");
    this.reason = "";
    this.seen = 0;
    this.isReachable = true;
    this.isPaused = localStorage.getItem(PAUSED) === "1";
    this.onPause = () => {};
    if (this.button instanceof HTMLElement) this.button.hidden = false;
    this.button?.addEventListener("click", () => this.pause(!this.isPaused));
    this.#listenForKey();
    addEventListener("storage", ({ key, newValue }) => key === PAUSED && this.#set(newValue === "1"));
    this.show();
  }

  /** @param {boolean} isPaused It stays so on all pages. */
  pause(isPaused) {
    if (isPaused) localStorage.setItem(PAUSED, "1");
    else localStorage.removeItem(PAUSED);
    this.#set(isPaused);
  }

  /** @param {boolean} isPaused */
  #set(isPaused) {
    this.isPaused = isPaused;
    this.show();
    this.onPause();
  }

  #listenForKey() {
    let went = 0;
    document.addEventListener("keydown", (event) => {
      const isFirst = Date.now() - went > AFTER_G_MS;
      went = event.key === "g" ? Date.now() : 0;
      if (event.key !== "p" || !isFirst || event.defaultPrevented || areOff()) return;
      if (event.ctrlKey || event.metaKey || event.altKey || takesText(event.target)) return;
      this.pause(!this.isPaused);
    });
  }

  /** Whether figures on the page are not those of now. */
  get isLost() {
    return this.state === "lost" || this.state === "signed-out" || !this.isReachable;
  }

  /** @param {number} [delayMs] How far behind their time samples are shown. */
  show(delayMs) {
    if (delayMs) this.delayMs = delayMs;
    this.root.dataset.live = this.isLost ? "lost" : this.isPaused ? "paused" : this.state;
    this.button?.setAttribute("aria-pressed", String(this.isPaused));
    const text = this.#words();
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  #words() {
    const since = this.seen ? `last seen ${clockTime(this.seen)}` : "nothing seen yet";
    if (this.state === "signed-out") return `You are signed out: ${since}. Reload this page to sign in.`;
    if (this.state === "lost") return `Connection lost (${this.reason}): ${since}. Trying again.`;
    if (!this.isReachable) return `The server cannot reach its database: ${since}. It tries again.`;
    if (this.isPaused) return `Paused: ${since}.`;
    if (this.state !== "open") return "Connecting.";
    const behind = `${((this.delayMs ?? 1500) / 1000).toFixed(1)} s behind`;
    return calm.matches ? `Live, twice a minute, as you prefer less motion.` : `Live, shown ${behind}.`;
  }
}
