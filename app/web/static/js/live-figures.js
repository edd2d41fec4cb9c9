// Figures that change while the page is open, written as the server writes them.

/** @param {number} value @returns {string} Three significant digits, and all of a whole part. */
export function digits(value) {
  if (value === 0) return "0";
  const places = Math.max(0, 2 - Number(value.toExponential(2).split("e")[1]));
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
}

/** @param {number} watts @returns {[string, string]} Digits and unit. */
export function power(watts) {
  if (Math.abs(watts) >= 1e6) return [digits(watts / 1e6), "MW"];
  return Math.abs(watts) >= 1000 ? [digits(watts / 1000), "kW"] : [digits(watts), "W"];
}

/** Shows a power in an element with `data` and its unit; without one, why there is none.
 * @param {Element | null} place @param {number | null} watts @param {string} reason
 * @param {number} [silent] Devices that a known power is without. */
export function showPower(place, watts, reason, silent = 0) {
  if (!place) return;
  const caveat = silent > 0 ? `without ${silent} that stopped reporting` : "";
  const written = watts === null ? reason : `${power(watts).join(" ")} ${caveat}`;
  if (place.getAttribute("data-shown") === written) return;
  place.setAttribute("data-shown", written);
  const source = place.querySelector(".source") ?? sources.get(place);
  if (source) sources.set(place, source);
  if (watts === null) place.replaceChildren(unknown(reason));
  else place.replaceChildren(known(watts), ...(source ? [" ", source] : []), ...(caveat ? [" ", element("span", "hint caveat", caveat)] : []));
}

const sources = /** @type {WeakMap<Element, Element>} */ (new WeakMap());

/** @param {number} watts */
function known(watts) {
  const [text, unit] = power(watts);
  const figure = element("span", "figure", element("data", "", text, element("span", "unit", ` ${unit}`)));
  figure.title = `${watts} W`;
  figure.firstElementChild?.setAttribute("value", String(watts));
  return figure;
}

/** @param {string} reason */
function unknown(reason) {
  return element("details", "figure unknown", element("summary", "", "n/a"), element("p", "", reason));
}

/** @param {string} name @param {string} className @param {...(string | Node)} content */
function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}
