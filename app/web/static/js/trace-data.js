// Numbers of a trace: as uPlot takes them, as texts, as a table.
/** @typedef {import("./trace.js").Line} Line */
/** @typedef {import("./trace.js").Options} Options */

const ROWS = 200;
const EXPAND_NULLS = 2; // of uPlot.join: a gap reaches from value to value, whatever other lines have between
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const digits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

/** @param {number} value @returns {string} Three significant digits, and all of a whole number. */
export function number(value) {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : digits.format(value);
}

/** @param {number} seconds @param {boolean} [isClock] @returns {string} `14:03:22`, `1:02:03` or `2d 01:02:03` since the start. */
export function span(seconds, isClock = false) {
  if (isClock) return clock.format(new Date(seconds * 1000));
  const whole = Math.floor(Math.abs(seconds));
  const [days, hours, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, whole % 3600];
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const text = `${days ? two(hours) : hours}:${two(Math.floor(rest / 60))}:${two(rest % 60)}`;
  return `${seconds < 0 ? "-" : ""}${days ? `${days}d ` : ""}${text}`;
}

/** @param {Line[]} lines @param {boolean} [stacked] @returns {any} The columns of uPlot. */
export function dataOf(lines, stacked = false) {
  if (!lines.length) return [[]];
  /** @type {any[][][]} */
  const tables = lines.map((line) => [line.x, line.y, ...(line.low && line.high ? [line.low, line.high] : [])]);
  if (stacked) return [lines[0].x, ...stack(lines)];
  if (lines.every((line) => line.x === lines[0].x)) return [lines[0].x, ...tables.flatMap((table) => table.slice(1))];
  return /** @type {any} */ (window).uPlot.join(tables, tables.map((table) => table.map(() => EXPAND_NULLS)));
}

/** @param {Line[]} lines Sums from below; where a line has no value it has a gap. */
function stack(lines) {
  const below = lines[0].x.map(() => 0);
  return lines.map((line) => line.y.map((value, index) => (value === null ? null : (below[index] += value))));
}

/** @param {Line} line @param {number} x @returns {number | null} Its last value up to then; null in a gap and outside. */
export function valueAt(line, x) {
  let low = 0, high = line.x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.x[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low ? line.y[low - 1] : null;
}

/** @param {Line[]} lines @returns {number} The last time at which one of them has a value. */
export function lastTime(lines) {
  return Math.max(0, ...lines.map((line) => line.x[line.y.findLastIndex((value) => value !== null)] ?? 0));
}

/** The visible part as a table, built with the document's own elements.
 * @param {HTMLElement} place @param {Line[]} lines @param {Options} options @param {number[]} window */
export function fillTable(place, lines, options, [from, to]) {
  const times = (lines[0]?.x ?? []).filter((x) => x >= from && x <= to);
  const every = Math.max(1, Math.ceil(times.length / ROWS));
  const unit = (/** @type {Line} */ line) => (line.side === "right" ? options.rightUnit : options.unit);
  const table = document.createElement("table");
  const caption = `${options.name}, ${span(from, options.clock)} to ${span(to, options.clock)}`;
  table.createCaption().textContent = every > 1 ? `${caption}; every ${every}th point` : caption;
  const head = table.createTHead().insertRow();
  for (const text of ["Time", ...lines.map((line) => `${line.label} ${unit(line) ?? ""}`.trim())]) {
    const cell = document.createElement("th");
    Object.assign(cell, { scope: "col", textContent: text, className: text === "Time" ? "" : "number" });
    head.append(cell);
  }
  const body = table.createTBody();
  for (let index = 0; index < times.length; index += every) {
    const row = body.insertRow();
    const name = document.createElement("th");
    Object.assign(name, { scope: "row", textContent: span(times[index], options.clock) });
    row.append(name);
    for (const line of lines) {
      const value = valueAt(line, times[index]);
      Object.assign(row.insertCell(), { textContent: value === null ? "no value" : number(value), className: "number" });
    }
  }
  const scroller = document.createElement("div");
  Object.assign(scroller, { className: "scroller", tabIndex: 0 });
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", `${options.name}: table`);
  scroller.append(table);
  place.querySelector(".scroller")?.remove();
  place.append(scroller);
}
