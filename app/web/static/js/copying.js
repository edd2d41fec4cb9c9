// Buttons with `data-copies`: the text of the element with this ID goes to the clipboard.

/** @param {Document} root */
export function copying(root) {
  if (!navigator.clipboard) return; // not over plain http
  for (const button of root.querySelectorAll("button[data-copies]")) {
    if (!(button instanceof HTMLButtonElement)) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = root.getElementById(button.dataset.copies ?? "")?.textContent ?? "";
      const isDone = await navigator.clipboard.writeText(text).then(() => true, () => false);
      const place = root.getElementById("announcements");
      if (place) place.textContent = isDone ? "Copied." : "The browser did not allow copying.";
      button.textContent = isDone ? "Copied" : "Not allowed";
    });
  }
}
