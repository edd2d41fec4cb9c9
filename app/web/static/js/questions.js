// Questions before what cannot be undone: the page that asks, in a dialog. Without script, or if
// it cannot be read, the page itself opens.

/** @param {Document} root Forms with `data-asks` lead to a page with a form `.question`. */
export function questions(root) {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !("asks" in form.dataset)) return;
    event.preventDefault();
    const fields = [...new FormData(form)].map(([name, value]) => [name, String(value)]);
    const query = new URLSearchParams(fields).toString();
    void ask(form.action + (query ? `?${query}` : ""));
  });
}

/** @param {string} address */
async function ask(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  const text = response?.ok && !response.redirected ? await response.text() : "";
  const form = new DOMParser().parseFromString(text, "text/html").querySelector("form.question");
  if (!(form instanceof HTMLFormElement)) return document.location.assign(address);
  form.setAttribute("action", new URL(form.getAttribute("action") ?? "", address).href);
  show(form);
}

/** @param {HTMLFormElement} form */
function show(form) {
  const asker = document.activeElement?.closest("form")?.getAttribute("action") ?? "";
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "question-title");
  dialog.append(document.adoptNode(form));
  const back = form.querySelector("[data-back]");
  if (back instanceof HTMLElement) {
    back.autofocus = true; // what a hasty Enter does
    back.addEventListener("click", (event) => {
      event.preventDefault();
      dialog.close();
    });
  }
  dialog.addEventListener("close", () => {
    dialog.remove();
    // The row may have been rendered anew in the meantime.
    const button = document.querySelector(`form[action="${CSS.escape(asker)}"] button`);
    if (button instanceof HTMLElement) button.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}
