// Power of a run by component, and its loss and quality on the same time axis.
import { link, Trace } from "./trace.js";
/** @typedef {import("./trace.js").Line} Line */
/** @typedef {import("./trace.js").Band} Band */
/** @typedef {{number: number, startS: number, stages: [string, number, number | null][]}} Attempt */

const POINTS = 2000;
const PAGES = 4;
const MOST_METRICS = 6;
const DASHES = [[], [7, 3], [2, 3], [10, 3, 2, 3], [4, 2], [1, 2], [12, 4], [6, 2, 1, 2]];
const METHOD_DASHES = { counter: [], integrated: [12, 3], modelled: [7, 3], estimated: [4, 3], assumed: [2, 3] };
const QUALITY = /accuracy|f1|mcc|pearson|spearman|exact_match/;

/** @param {HTMLElement} place */
export async function showTraces(place) {
  const { power: powerUrl = "", metrics: metricsUrl = "", attempt = "", from = "", to = "" } = place.dataset;
  const wanted = attempt ? `attempt=${attempt}` : "";
  const attempts = attemptsOf(attempt);
  const [power, metrics] = await Promise.all([
    read(`${powerUrl}?points=${POINTS}${wanted && `&${wanted}`}`), allMetrics(`${metricsUrl}?limit=5000${wanted && `&${wanted}`}`)]);
  const root = document.getElementById("power-trace");
  const lines = power ? powerLines(power.attempts, attempts) : [];
  if (!root) return;
  if (!lines.length) {
    root.replaceChildren(Object.assign(document.createElement("p"), { className: "muted",
      textContent: power ? "No power was recorded." : "The power could not be read; load the page again." }));
    return;
  }
  const bands = bandsOf(attempts, Math.max(...lines.map((line) => line.x.at(-1) ?? 0)));
  const trace = new Trace(root, lines, { name: "Power by component", unit: "W", bands, height: 260, room: roomOf(place),
    table: document.getElementById("power-table"), onZoom: (start, end, isWhole) => keep(attempts, start, end, isWhole) });
  const others = showMetrics(metrics, bands, trace.ends(), roomOf(place));
  link(trace, ...others);
  const chosen = attempts.find((each) => String(each.number) === (attempt || "1")) ?? attempts[0];
  if (from !== "" && to !== "") trace.zoom(chosen.startS + Number(from), chosen.startS + Number(to));
}

/** @param {HTMLElement} place @returns {number} Pixels for names and a second axis, in both charts. */
function roomOf(place) {
  return Math.min(210, Math.max(110, place.clientWidth * 0.2));
}

/** @param {string} attempt @returns {Attempt[]} From the table of attempts; times since the first one's start. */
function attemptsOf(attempt) {
  const rows = [...document.querySelectorAll("#attempt-rows tbody tr")].map((row) => /** @type {HTMLElement} */ (row).dataset);
  const first = Date.parse(rows[0]?.started ?? "");
  return rows.filter((row) => !attempt || row.attempt === attempt).map((row) => ({ number: Number(row.attempt),
    startS: (Date.parse(row.started ?? "") - first) / 1000, stages: JSON.parse(row.stages ?? "[]") }));
}

/** @param {string} url @returns {Promise<any>} null where it cannot be read. */
async function read(url) {
  try {
    const response = await fetch(url);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** @param {string} url @returns {Promise<any[]>} The first metrics, up to a bound. */
async function allMetrics(url) {
  const items = [];
  let cursor = "";
  for (let page = 0; page < PAGES; page += 1) {
    const part = await read(cursor ? `${url}&cursor=${encodeURIComponent(cursor)}` : url);
    items.push(...(part?.items ?? []));
    cursor = part?.next_cursor;
    if (!cursor) break;
  }
  return items;
}

/** @param {any[]} measured @param {Attempt[]} attempts @returns {Line[]} A line a component, broken between attempts. */
function powerLines(measured, attempts) {
  const lines = /** @type {Map<string, Line>} */ (new Map());
  for (const { attempt, series } of measured) {
    const startS = attempts.find((each) => each.number === attempt)?.startS ?? 0;
    for (const part of series) {
      const index = lines.size;
      if (!lines.has(part.component)) lines.set(part.component, { label: name(part), color: `--series-${(index % 8) + 1}`,
        dash: METHOD_DASHES[/** @type {"counter"} */ (part.method)] ?? [2, 3], x: [], y: [], low: [], high: [] });
      const line = /** @type {Line} */ (lines.get(part.component));
      const end = part.t_s.length - 1;
      line.x.push(...part.t_s.map((/** @type {number} */ t) => startS + t), startS + part.t_s[end] + part.duration_s[end]);
      line.y.push(...part.mean_w, null);
      line.low?.push(...part.min_w, null);
      line.high?.push(...part.max_w, null);
    }
  }
  return distinct([...lines.values()]);
}

/** @param {{kind: string | null, name: string | null, component: string}} part */
function name(part) {
  return part.kind === "gpu" ? `GPU ${part.component.split(":").at(-1)?.replace(/^GPU-/, "").slice(0, 6)}`
    : { cpu: "CPU", ram: "RAM", host: "Host" }[part.kind ?? ""] ?? part.component.slice(0, 14);
}

/** @param {Line[]} lines Lines of one name get numbers. */
function distinct(lines) {
  const counts = /** @type {Map<string, number>} */ (new Map());
  for (const line of lines) {
    const count = (counts.get(line.label) ?? 0) + 1;
    counts.set(line.label, count);
    if (count > 1) line.label = `${line.label} ${count}`;
  }
  return lines;
}

/** @param {Attempt[]} attempts @param {number} last @returns {Band[]} */
function bandsOf(attempts, last) {
  return attempts.flatMap(({ number, startS, stages }, index) => [
    ...stages.map(([label, start, end]) => ({ label, from: startS + start, to: end === null ? last : startS + end })),
    ...(index ? [{ label: `attempt ${number}`, from: startS, to: startS, isBreak: true }] : []),
  ]);
}

/** @param {any[]} items @param {Band[]} bands @param {[number, number]} span @param {number} room @returns {Trace[]} */
function showMetrics(items, bands, span, room) {
  const figure = document.getElementById("quality-figure");
  const root = document.getElementById("quality-trace");
  const first = Date.parse(/** @type {HTMLElement} */ (document.querySelector("#attempt-rows tbody tr"))?.dataset.started ?? "");
  const lines = /** @type {Map<string, Line>} */ (new Map());
  const last = /** @type {Map<string, number>} */ (new Map());
  for (const item of items) {
    const isQuality = QUALITY.test(item.name);
    if (item.value === null || (!isQuality && !/loss/.test(item.name))) continue;
    const label = `${item.name}${item.split ? ` ${item.split}` : ""}`;
    if (!lines.has(label) && lines.size >= MOST_METRICS) continue;
    const index = lines.size;
    if (!lines.has(label)) lines.set(label, { label, color: `--series-${((index + 2) % 8) + 1}`, dash: DASHES[index],
      side: isQuality ? "left" : "right", x: [], y: [] });
    const line = /** @type {Line} */ (lines.get(label));
    const time = (Date.parse(item.at) - first) / 1000;
    if (last.get(label) !== item.attempt && line.x.length) line.y.push(null), line.x.push(time - 1e-3);
    last.set(label, item.attempt);
    line.x.push(time);
    line.y.push(item.value);
  }
  if (!lines.size || !figure || !root) return [];
  figure.hidden = false;
  return [new Trace(root, [...lines.values()], { name: "Loss and quality", unit: "score", rightUnit: "loss", bands, span, room, height: 180,
    table: document.getElementById("quality-table") })];
}

/** Keeps the visible part in the fields and in the address. @param {Attempt[]} attempts @param {number} start @param {number} end @param {boolean} isWhole */
function keep(attempts, start, end, isWhole) {
  const own = attempts.findLast((each) => each.startS <= start) ?? attempts[0];
  const values = { attempt: String(own.number), from: (start - own.startS).toFixed(2), to: (end - own.startS).toFixed(2) };
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    const field = document.getElementById(`window-${name}`);
    const isField = field instanceof HTMLInputElement || field instanceof HTMLSelectElement;
    if (isField) field.value = isWhole && name !== "attempt" ? "" : value;
  }
  const shown = [["from_s", values.from], ["to_s", values.to], ...(attempts.length > 1 ? [["attempt", values.attempt]] : [])];
  for (const [name, value] of shown) {
    if (isWhole) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(null, "", address);
}
