// The lab's power of ten minutes, stacked: by use (charged to runs or unallocated), or by node.
// What runs had reserved before the stream told of them is not known.
import { Trace } from "./trace.js";
import { keyOf } from "./live-store.js";

const WINDOW_S = 600;
const COLORS = 8;
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const EARLIER = "use not known";
const USES = ["charged to runs", "unallocated", EARLIER];

/** @typedef {import("./live-store.js").Store} Store */

export class PowerTrace {
  /** @param {HTMLElement} figure A figure with an empty element `[data-trace]` and a `<details>`. */
  constructor(figure) {
    this.by = figure.dataset.by ?? "use";
    const place = /** @type {HTMLElement} */ (figure.querySelector("[data-trace]"));
    this.names = /** @type {string[]} */ ([]);
    this.last = 0;
    this.trace = new Trace(place, [], {
      name: "Power of the lab, last ten minutes",
      unit: "W",
      clock: true,
      stacked: true,
      keepS: WINDOW_S,
      table: figure.querySelector("details"),
    });
  }

  /** Adds the seconds that are whole by now. @param {Store} store */
  draw(store) {
    const end = Math.floor((Date.now() - store.delayMs) / 1000);
    if (end <= this.last) return;
    const names = this.#names(store);
    const isSame = names.join("\n") === this.names.join("\n");
    const first = isSame ? Math.max(this.last, end - WINDOW_S) : end - WINDOW_S;
    const shares = store.shares();
    const known = this.by === "node" ? first : Math.min(end, Math.max(first, Math.ceil(store.begun / 1000)));
    const before = store.sums(first, known, () => [[EARLIER, 1]]);
    const since = store.sums(known, end, (device) => this.#groups(device, shares.get(keyOf(device)) ?? 0));
    const seconds = Array.from({ length: end - first }, (_, index) => first + index);
    const part = (/** @type {typeof since} */ sums, /** @type {string} */ name, /** @type {number} */ length) =>
      sums.get(name) ?? new Array(length).fill(null);
    const values = names.map((name) => [...part(before, name, known - first), ...part(since, name, end - known)]);
    if (isSame) this.trace.append(seconds, values);
    else this.trace.set(names.map((name, index) => line(name, index, seconds, values[index])));
    this.names = names;
    this.last = end;
  }

  /** @param {Store} store */
  #names(store) {
    if (this.by !== "node") return USES;
    return [...new Set([...store.devices.values()].map((device) => device.described.node))].sort();
  }

  /** @param {{node: string}} device @param {number} share @returns {[string, number][]} */
  #groups(device, share) {
    return this.by === "node" ? [[device.node, 1]] : [[USES[0], share], [USES[1], 1 - share]];
  }
}

/** @param {string} label @param {number} index @param {number[]} x @param {(number | null)[]} y */
function line(label, index, x, y) {
  const dash = DASHES[Math.floor(index / COLORS) % DASHES.length];
  return { label, color: `--series-${(index % COLORS) + 1}`, dash, x, y };
}
