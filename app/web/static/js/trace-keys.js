// Keys of a trace: arrows, Home and End move its cursor; plus, minus and 0 zoom.

export const HINT = "Left and right arrows move the cursor, with Shift by ten; Home and End go to the ends; plus and minus zoom, 0 shows all.";

/** @param {import("./trace.js").Trace} trace @param {KeyboardEvent} event */
export function press(trace, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const [first, last] = trace.ends();
  const [min, max] = trace.window ?? [first, last];
  const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
  const time = nextTime(trace, event, min, max);
  if (time !== undefined) trace.moveTo(time);
  else if (event.key === "0") trace.zoom(null, null);
  else if (factor) {
    const middle = Math.min(max, Math.max(min, trace.at ?? (min + max) / 2));
    const half = ((max - min) * factor) / 2;
    if (2 * half >= last - first) trace.zoom(null, null);
    else trace.zoom(middle - half, middle + half);
  } else return;
  event.preventDefault();
  event.stopPropagation();
  trace.say();
}

/** @param {import("./trace.js").Trace} trace @param {KeyboardEvent} event @param {number} min @param {number} max @returns {number | undefined} */
function nextTime(trace, event, min, max) {
  const times = trace.lines[0]?.x.filter((time) => time >= min && time <= max) ?? [];
  const end = { Home: 0, End: times.length - 1 }[event.key];
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (end === undefined && step === undefined) return undefined;
  const now = Math.max(0, times.findLastIndex((time) => time <= (trace.at ?? min)));
  const next = end ?? now + (step ?? 0) * (event.shiftKey ? 10 : 1);
  return times[Math.min(times.length - 1, Math.max(0, next))];
}
