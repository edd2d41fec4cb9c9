// Keys: `/` search, `j` and `k` rows, `g` then a letter for a page, `?` all keys. They can be turned off.

const OFF = "pricetag-keys-off";
const WAIT_MS = 1500;

/** @type {Map<string, () => void>} What a page does at further keys. */
export const actions = new Map();

/** @returns {boolean} Whether the reader turned single keys off. */
export function areOff() {
  return localStorage.getItem(OFF) === "1";
}

/** @param {boolean} off */
export function turnOff(off) {
  if (off) localStorage.setItem(OFF, "1");
  else localStorage.removeItem(OFF);
}

/** @param {EventTarget | null} target @returns {boolean} Whether keys are typed into it. */
export function takesText(target) {
  return target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** @param {Document} document */
export function keys(document) {
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (areOff() || event.ctrlKey || event.metaKey || event.altKey || takesText(event.target)) return;
    if (event.key === "g") {
      went = Date.now();
      return;
    }
    const follows = Date.now() - went < WAIT_MS;
    went = 0;
    const href = follows ? pageOf(document, event.key) : event.key === "?" ? pageOf(document, "?") : null;
    if (href) {
      event.preventDefault();
      document.location.assign(href);
    } else if (!follows && (event.key === "j" || event.key === "k")) {
      moveRow(document, event.key === "j" ? 1 : -1);
    } else if (!follows && actions.has(event.key)) {
      actions.get(event.key)?.();
    } else if (!follows && event.key === "/") {
      event.preventDefault();
      document.getElementById("search")?.focus();
    }
  });
}

/** @param {Document} document @param {number} step Focuses another row: its link, or its name. */
function moveRow(document, step) {
  const rows = [...document.querySelectorAll("main tbody th[scope=row]")].map((name) => name.querySelector("a") ?? name);
  const next = rows.indexOf(/** @type {Element} */ (document.activeElement)) + step;
  const row = rows[Math.max(0, Math.min(rows.length - 1, next))];
  if (row instanceof HTMLElement) row.focus();
}

/** @param {Document} document @param {string} key @returns {string | null} */
function pageOf(document, key) {
  const link = document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`);
  return link instanceof HTMLAnchorElement ? link.href : null;
}
