// Copies the address of a link; the browser knows it behind any prefix.

/**
 * @param {HTMLAnchorElement} link
 */
async function copy(link) {
  try {
    await navigator.clipboard.writeText(link.href);
    return "Copied.";
  } catch {
    getSelection()?.selectAllChildren(link);
    return "Selected: copy it with the keys of your system.";
  }
}

for (const link of document.querySelectorAll("a[data-address]")) {
  link.textContent = /** @type {HTMLAnchorElement} */ (link).href;
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  const link = document.getElementById(button.getAttribute("data-copy") ?? "");
  const status = button.parentElement?.querySelector("[data-copied]");
  if (!(link instanceof HTMLAnchorElement) || !status) continue;
  button.classList.remove("waiting");
  button.addEventListener("click", async () => {
    status.textContent = await copy(link);
  });
}
