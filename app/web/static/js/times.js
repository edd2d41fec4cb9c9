// Times arrive in UTC; readers see their own zone, named, and UTC in the title.

const format = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "2-digit", day: "2-digit",
  hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

/** @param {Date} moment @returns {string} For example `2026-11-29 18:03 GMT+1`. */
export function inZone(moment) {
  const part = Object.fromEntries(format.formatToParts(moment).map((p) => [p.type, p.value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute} ${part.timeZoneName}`;
}

/** @param {ParentNode} root Rewrites the times of a page or a part of one. */
export function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.getAttribute("datetime") ?? "");
    if (Number.isNaN(moment.getTime())) continue;
    element.setAttribute("title", moment.toISOString());
    element.textContent = inZone(moment);
  }
}
