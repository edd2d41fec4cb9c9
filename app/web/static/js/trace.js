// A trace over time: uPlot with keys, themes, a table and announcements. Gaps stay gaps.
// The page loads vendor/uplot.css, and vendor/uplot.js before this module (`defer`).
import { dataOf, fillTable, lastTime, number, span, valueAt } from "./trace-data.js";
import { HINT, press } from "./trace-keys.js";
import { colorsOf, settings } from "./trace-look.js";

/**
 * @typedef {object} Line
 * @property {string} label  Written at the end of the line.
 * @property {string} color  A token, for example `--series-1`.
 * @property {number[]} [dash]  Lengths in pixels; a solid line without.
 * @property {"left" | "right"} [side]  The axis it is read from.
 * @property {number[]} x  Seconds. Lines may share one array, and do so if `stacked`.
 * @property {(number | null)[]} y  null is a gap.
 * @property {(number | null)[]} [low]  With `high`: extremes or an interval, drawn as a band.
 * @property {(number | null)[]} [high]
 *
 * @typedef {{from: number, to: number, label: string, isBreak?: boolean}} Band  A stage, or the start of an attempt.
 *
 * @typedef {object} Options
 * @property {string} name  What a screen reader calls the chart.
 * @property {string} unit  Unit of the left axis.
 * @property {string} [rightUnit]  Unit of the right axis.
 * @property {boolean} [clock]  Whether x is seconds since 1970, shown as times of the reader's zone.
 * @property {boolean} [stacked]  Whether lines lie on one another.
 * @property {number} [height]  In pixels.
 * @property {number} [keepS]  Seconds that `append` keeps; all without.
 * @property {[number, number]} [span]  The whole time, where it is not that of the lines.
 * @property {number} [room]  Pixels right of the plot, where charts below one another need the same.
 * @property {Band[]} [bands]
 * @property {HTMLElement | null} [table]  A `<details>` that gets the data as a table when it is opened.
 * @property {(from: number, to: number, isWhole: boolean) => void} [onZoom]
 */

const ANNOUNCE_MS = 5000;
const CALM_MS = 30000;
const MOST = 8;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
let count = 0;

export class Trace {
  /** @param {HTMLElement} root Empty element of the chart. @param {Line[]} lines @param {Options} options */
  constructor(root, lines, options) {
    Object.assign(this, { root, lines, options, at: /** @type {number | null} */ (null), said: 0, drawn: 0 });
    this.peers = /** @type {Trace[]} */ ([]);
    const hint = document.createElement("p");
    Object.assign(hint, { className: "hidden", id: `trace-keys-${++count}`, textContent: HINT });
    this.readout = document.createElement("p");
    this.readout.className = "trace-readout";
    this.plot = document.createElement("div");
    this.plot.className = "trace-plot";
    this.plot.tabIndex = 0;
    this.plot.style.minHeight = `${this.#size().height}px`;
    for (const [name, value] of Object.entries({ role: "application", "aria-roledescription": "chart",
      "aria-label": options.name, "aria-describedby": hint.id })) this.plot.setAttribute(name, value);
    root.replaceChildren(this.plot, this.readout, hint);
    this.plot.addEventListener("keydown", (event) => press(this, event));
    this.watch = new AbortController();
    new ResizeObserver(() => this.u?.setSize(this.#size())).observe(this.plot);
    dark.addEventListener("change", () => this.#recolor(), { signal: this.watch.signal });
    this.observer = new MutationObserver(() => this.#recolor());
    this.observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    options.table?.addEventListener("toggle", () => this.#fill());
    this.set(lines, options.bands);
  }

  /** Shows other lines. @param {Line[]} lines @param {Band[]} [bands] */
  set(lines, bands = this.options.bands ?? []) {
    Object.assign(this, { lines, bands, colors: colorsOf(this.plot, lines) });
    this.u?.destroy();
    const look = { ...settings(this), ...this.#size() };
    const u = this.u = new /** @type {any} */ (window).uPlot(look, dataOf(lines, this.options.stacked), this.plot);
    u.over.addEventListener("dblclick", () => this.zoom(null, null));
    u.over.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.moveTo(u.posToVal(event.offsetX, "x")));
    if (this.window || this.options.span) this.zoom(this.window?.[0] ?? null, this.window?.[1] ?? null, false);
    this.#read();
  }

  /** Adds samples: the times, and the values of each line at them. @param {number[]} x @param {(number | null)[][]} values */
  append(x, values) {
    const times = new Set(this.lines.map((line) => line.x));
    for (const own of times) own.push(...x);
    this.lines.forEach((line, index) => line.y.push(...values[index]));
    const first = this.options.keepS ? (x.at(-1) ?? 0) - this.options.keepS : -Infinity;
    for (const own of times) {
      let old = 0;
      while (own[old] < first) old += 1;
      if (!old) continue;
      own.splice(0, old);
      for (const line of this.lines) if (line.x === own) line.y.splice(0, old);
    }
    this.#soon();
  }

  /** Shows a part of the time. @param {number | null} from @param {number | null} to */
  zoom(from, to, isFirst = true) {
    const [first, last] = this.ends();
    const isWhole = from === null || to === null;
    this.window = isWhole ? null : [Math.max(first, from), Math.min(last, to)];
    if (this.window && this.window[1] <= this.window[0]) this.window = null;
    const [min, max] = this.window ?? [first, last];
    this.u.setScale("x", { min, max });
    this.#fill();
    if (!isFirst) return;
    for (const peer of this.peers) peer.zoom(this.window?.[0] ?? null, this.window?.[1] ?? null, false);
    this.options.onZoom?.(min, max, !this.window);
  }

  /** Moves the cursor. @param {number} x */
  moveTo(x, isFirst = true) {
    this.at = x;
    this.u.setCursor({ left: this.u.valToPos(x, "x"), top: this.u.over.clientHeight / 2 }, false);
    this.#read();
    if (isFirst) for (const peer of this.peers) peer.moveTo(x, false);
  }

  destroy() {
    this.watch.abort();
    this.observer.disconnect();
    this.u.destroy();
    this.root.replaceChildren();
  }

  /** @returns {[number, number]} First and last time. */
  ends() {
    const x = this.u.data[0];
    return this.options.span ?? [x[0] ?? 0, x.at(-1) ?? 1];
  }

  #size() {
    return { width: Math.max(160, this.plot.clientWidth), height: this.options.height ?? 240 };
  }

  /** Draws at the next frame, which a hidden tab has not; calm readers get two a minute. */
  #soon() {
    const wait = calm.matches ? Math.max(0, this.drawn + CALM_MS - Date.now()) : 0;
    this.waiting ??= setTimeout(() => requestAnimationFrame(() => {
      Object.assign(this, { waiting: undefined, drawn: Date.now() });
      this.u.setData(dataOf(this.lines, this.options.stacked), !this.window);
      this.#read();
      this.#fill();
    }), wait);
  }

  #recolor() {
    this.colors = colorsOf(this.plot, this.lines);
    this.u?.redraw();
  }

  /** Shows the values at the cursor, or the last ones. */
  #read() {
    if (this.at !== null && this.at < this.ends()[0]) this.at = null;
    const x = this.at ?? lastTime(this.lines);
    const stage = this.bands.findLast((band) => !band.isBreak && band.from <= x && x <= band.to)?.label;
    const values = this.lines.slice(0, MOST).map((line) => {
      const value = valueAt(line, x);
      const unit = line.side === "right" ? this.options.rightUnit : this.options.unit;
      return value === null ? `${line.label} no value` : `${line.label} ${number(value)} ${unit ?? ""}`.trimEnd();
    });
    if (this.lines.length > MOST) values.push(`${this.lines.length - MOST} more in the table`);
    this.readout.textContent = `${span(x, this.options.clock)}${stage ? `, ${stage}` : ""}: ${values.join(", ")}`;
    this.say();
  }

  /** Announces them, at most every five seconds and only where the focus is. */
  say() {
    if (document.activeElement !== this.plot || this.saying) return;
    this.saying = setTimeout(() => {
      Object.assign(this, { saying: undefined, said: Date.now() });
      const place = document.getElementById("announcements");
      if (place && document.activeElement === this.plot) place.textContent = this.readout.textContent;
    }, Math.max(0, this.said + ANNOUNCE_MS - Date.now()));
  }

  #fill() {
    const table = this.options.table;
    if (table instanceof HTMLDetailsElement && table.open) fillTable(table, this.lines, this.options, this.window ?? this.ends());
  }

  /** A part that was drawn with the pointer. @param {any} u */
  select(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.zoom(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  }
}

/** Charts that share their time: cursor and zoom go together. @param {...Trace} traces */
export function link(...traces) {
  for (const trace of traces) trace.peers = traces.filter((peer) => peer !== trace);
}
