// "Explore": draws a chart's own document in the page. The Vega bundle is loaded when asked for.

const BUNDLE = "../vendor/vega.js";

/** Settings without which Vega would need inline styles and evaluated code, which the policy forbids. */
const SETTINGS = {
  ast: true,
  renderer: "svg",
  actions: false,
  defaultStyle: false,
  tooltip: { disableDefaultStyle: true },
};

/** @type {[number, string][]} Widths of the picture below which a size fits. */
const SIZES = [[430, "narrow"], [640, "medium"], [930, "wide"]];

/** @param {ParentNode} root Adds "Explore" to the charts of a page or a part of one. */
export function explorers(root) {
  for (const figure of root.querySelectorAll("figure[data-chart]")) {
    const button = figure.querySelector("button.explore");
    if (!(figure instanceof HTMLElement) || !(button instanceof HTMLButtonElement)) continue;
    button.classList.remove("waiting");
    button.addEventListener("click", () => toggle(figure, button));
  }
}

/** @param {HTMLElement} figure @param {HTMLButtonElement} button */
async function toggle(figure, button) {
  const picture = figure.querySelector("picture");
  if (!picture || button.getAttribute("aria-busy") === "true") return;
  const place = figure.querySelector(".explored");
  if (place) {
    place.remove();
    picture.hidden = false;
    button.setAttribute("aria-pressed", "false");
    return;
  }
  button.setAttribute("aria-busy", "true");
  try {
    const made = await drawn(figure, picture);
    picture.after(made);
    picture.hidden = true;
    button.setAttribute("aria-pressed", "true");
    announce("The chart can be zoomed with the wheel and dragged; values are shown at the pointer. Its table has the same values.");
  } catch (error) {
    announce(`The chart cannot be explored: ${error instanceof Error ? error.message : error}`);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** @param {HTMLElement} figure @param {HTMLElement} picture @returns {Promise<HTMLElement>} */
async function drawn(figure, picture) {
  const width = picture.getBoundingClientRect().width;
  const look = `theme=${isDark() ? "dark" : "light"}&size=${SIZES.find(([most]) => width < most)?.[1] ?? "full"}`;
  const [{ embed }, response] = await Promise.all([import(BUNDLE), fetch(`${figure.dataset.chart}.json?${look}`)]);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  tooltip();
  const place = document.createElement("div");
  place.className = "explored";
  place.tabIndex = 0; // it scrolls sideways where the screen is narrower
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", figure.querySelector("figcaption :first-child")?.textContent ?? "Chart");
  await embed(place, await response.json(), SETTINGS);
  for (const group of place.querySelectorAll("[class$='_brush'], [class$='_brush_bg']")) {
    group.setAttribute("aria-hidden", "true");
  }
  return place;
}

/** Values at the pointer, which Vega fills; the table has them for those who do not see it. */
function tooltip() {
  if (document.getElementById("vg-tooltip-element")) return;
  const element = document.createElement("div");
  element.id = "vg-tooltip-element";
  element.setAttribute("aria-hidden", "true");
  document.body.append(element);
}

/** @returns {boolean} Whether the page is dark now. */
function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** @param {string} text */
function announce(text) {
  const place = document.getElementById("announcements");
  if (place) place.textContent = text;
}
