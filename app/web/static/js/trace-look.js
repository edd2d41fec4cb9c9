// How a trace looks: colors of the theme, settings of uPlot, stages as bands, names at the lines' ends.
import { number, span } from "./trace-data.js";
/** @typedef {import("./trace.js").Line} Line */
/** @typedef {import("./trace.js").Band} Band */
/** @typedef {{ink: string, muted: string, grid: string, shade: string, lines: string[], fills: string[]}} Colors */

const FONT = "12px system-ui, sans-serif";
const LINE_PX = 14;
const RIGHT_AXIS = 64;
const INCREMENTS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800];

/** @param {HTMLElement} place @param {Line[]} lines @returns {Colors} What the tokens are in the theme of now. */
export function colorsOf(place, lines) {
  const probe = document.createElement("i");
  place.append(probe);
  const color = (/** @type {string} */ token) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const [ink, muted, grid, shade, ...own] = ["--ink", "--muted", "--line", "--raised", ...lines.map((line) => line.color)].map(color);
  probe.remove();
  return { ink, muted, grid, shade, lines: own, fills: own.map((text) => text.replace("rgb(", "rgba(").replace(")", ", 0.18)")) };
}

/** @param {import("./trace.js").Trace} trace @returns {any} Settings of uPlot, without its size. */
export function settings(trace) {
  const { lines, options } = trace;
  const values = (/** @type {any} */ _u, /** @type {number[]} */ splits) => splits.map((value) => number(value));
  const times = (/** @type {any} */ _u, /** @type {number[]} */ splits) => splits.map((x) => span(x, options.clock));
  const axis = { font: FONT, stroke: () => trace.colors.muted, grid: { width: 1, stroke: () => trace.colors.grid },
    ticks: { width: 1, size: 4, stroke: () => trace.colors.grid } };
  const upright = { ...axis, size: 46, labelSize: 18, labelFont: FONT, values };
  const hasRight = lines.some((line) => line.side === "right");
  const room = options.room ? options.room - (hasRight ? RIGHT_AXIS : 0) : roomFor(lines, trace.plot.clientWidth);
  const range = (/** @type {any} */ _u, /** @type {number} */ low, /** @type {number} */ high) => [Math.min(0, low ?? 0), (high || 1) * 1.06];
  return {
    ...rows(trace), legend: { show: false }, padding: [8, room, 0, 0],
    cursor: { y: false, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: Boolean(options.clock) }, left: { range }, right: { range } },
    axes: [{ ...axis, values: times, size: 30, space: 80, ...(options.clock ? {} : { incrs: INCREMENTS_S }) },
      { ...upright, scale: "left", side: 3, label: options.unit },
      ...(hasRight ? [{ ...upright, scale: "right", side: 1, label: options.rightUnit, grid: { show: false } }] : [])],
    hooks: { drawClear: [(/** @type {any} */ u) => drawBands(u, trace.bands, trace.colors)],
      draw: [(/** @type {any} */ u) => drawLabels(u, lines, trace.colors, room - 10)],
      setSelect: [(/** @type {any} */ u) => trace.select(u)] },
  };
}

/** @param {import("./trace.js").Trace} trace The rows of uPlot's data: each line, and the edges of its band. */
function rows(trace) {
  const { lines, options } = trace;
  const series = [{}], bands = /** @type {object[]} */ ([]);
  lines.forEach((line, index) => {
    const scale = line.side ?? "left";
    const fill = () => trace.colors.fills[index];
    const row = series.push({ scale, label: line.label, dash: line.dash, width: 1.5, stroke: () => trace.colors.lines[index],
      ...(options.stacked && !index ? { fill } : {}) }) - 1;
    if (options.stacked && index) bands.push({ series: [row, row - 1], fill });
    if (!options.stacked && line.low && line.high) {
      const edge = { scale, width: 0, stroke: "transparent", points: { show: false } };
      const top = series.push({ ...edge }, { ...edge }) - 1;
      bands.push({ series: [top, top - 1], fill });
    }
  });
  return { series, bands };
}

/** @param {Line[]} lines @param {number} width @returns {number} Pixels right of the plot for the longest name. */
function roomFor(lines, width) {
  const letters = Math.max(0, ...lines.map((line) => line.label.length));
  return Math.min(150, width * 0.22, 14 + 7 * letters);
}

/** @param {any} u @param {Band[]} bands @param {Colors} colors Stages shaded in turn, attempts as dashed lines. */
function drawBands(u, bands, colors) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  Object.assign(ctx, { font: `${11 * ratio}px system-ui, sans-serif`, textBaseline: "top", textAlign: "start" });
  bands.forEach((band, index) => {
    const left = u.valToPos(band.from, "x", true);
    const right = band.isBreak ? left : u.valToPos(band.to, "x", true);
    ctx.fillStyle = colors.shade;
    if (!band.isBreak && index % 2 === 0) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.strokeStyle = colors.muted;
    ctx.setLineDash(band.isBreak ? [4 * ratio, 3 * ratio] : []);
    ctx.lineWidth = ratio;
    if (band.isBreak) ctx.strokeRect(left, bbox.top - ratio, 0, bbox.height + 2 * ratio);
    ctx.fillStyle = colors.muted;
    const room = band.isBreak ? Infinity : Math.min(right, bbox.left + bbox.width) - Math.max(left, bbox.left) - 8 * ratio;
    const text = shortened(ctx, band.label, room);
    if (text) ctx.fillText(text, Math.max(left, bbox.left) + 4 * ratio, bbox.top + (band.isBreak ? LINE_PX + 4 : 4) * ratio);
  });
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {string} text @param {number} room @returns {string} What fits; empty if too little does. */
function shortened(ctx, text, room) {
  if (ctx.measureText(text).width <= room) return text;
  const letters = [...text];
  while (letters.length && ctx.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return letters.length > 2 ? `${letters.join("")}…` : "";
}

/** @param {any} u @param {Line[]} lines @param {Colors} colors @param {number} room Each name where its line ends, moved apart where they meet. */
function drawLabels(u, lines, colors, room) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  const { max } = u.scales.x;
  const rowOf = (/** @type {Line} */ line) => u.series.findIndex((/** @type {any} */ row) => row.label === line.label && row.width === 1.5);
  const ends = lines.flatMap((line, index) => {
    const row = u.data[rowOf(line)] ?? [];
    const last = row.findLastIndex((/** @type {any} */ value, /** @type {number} */ at) => value != null && u.data[0][at] <= max);
    return last < 0 ? [] : [{ line, index, y: u.valToPos(row[last], line.side ?? "left", true) }];
  }).sort((one, other) => one.y - other.y);
  const step = LINE_PX * ratio;
  ends.forEach((end, at) => (end.y = Math.max(end.y, at ? ends[at - 1].y + step : bbox.top + step / 2)));
  let limit = bbox.top + bbox.height - step / 2;
  for (const end of ends.toReversed()) limit = (end.y = Math.min(end.y, limit)) - step;
  ctx.save();
  Object.assign(ctx, { font: `${12 * ratio}px system-ui, sans-serif`, textBaseline: "middle", textAlign: "end" });
  for (const { line, index, y } of ends) {
    ctx.fillStyle = colors.lines[index];
    ctx.fillText(shortened(ctx, line.label, room * ratio), ctx.canvas.width - 2 * ratio, y);
  }
  ctx.restore();
}
