// The theme changes at once; the form's request keeps the choice for the next page.

/** @param {Document} document */
export function themes(document) {
  for (const form of document.querySelectorAll("form.themes")) {
    form.addEventListener("submit", (event) => {
      const button = /** @type {SubmitEvent} */ (event).submitter;
      if (!(button instanceof HTMLButtonElement) || !(form instanceof HTMLFormElement)) return;
      event.preventDefault();
      show(document, button.value);
      const body = new URLSearchParams({ theme: button.value, next: "/login" });
      fetch(form.action, { method: "POST", body, redirect: "manual" });
    });
  }
}

/** Paper is light: also what scripts have drawn. @param {Document} document */
export function paper(document) {
  const root = document.documentElement;
  let own = root.dataset.theme;
  addEventListener("beforeprint", () => {
    own = root.dataset.theme;
    root.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    if (own) root.dataset.theme = own;
    else delete root.dataset.theme;
  });
}

/** @param {Document} document @param {string} theme */
function show(document, theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const source of document.querySelectorAll("picture source[data-theme]")) {
    if (source instanceof HTMLSourceElement) source.media = media(source.dataset, theme);
  }
  for (const button of document.querySelectorAll("form.themes button")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("value") === theme));
  }
}

/** @param {DOMStringMap} picture @param {string} theme @returns {string} As `Picture.media` on the server. */
function media({ theme: own, screen }, theme) {
  if (own === "light") return screen || "all";
  if (theme === "light") return "not all";
  return ["screen", theme === "dark" ? "" : "(prefers-color-scheme: dark)", screen].filter(Boolean).join(" and ");
}
