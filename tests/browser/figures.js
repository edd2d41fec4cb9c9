// The figures of a page that break the rules: called with its HTML, or null for the page itself.
([html, pattern, outside, word, without, set, exactUnits]) => {
  const page = html === null ? document : new DOMParser().parseFromString(html, "text/html");
  const main = page.querySelector("main") ?? page.body;
  const figure = new RegExp(pattern), source = new RegExp(word), explained = new RegExp(without, "i");
  const wrong = [];
  const textOf = (element) => element?.textContent.replace(/\s+/g, " ").trim() ?? "";
  // The head of a cell's column, or the term of a description.
  const headOf = (shown) => {
    const cell = shown.closest("td, th");
    if (!cell) {
      let term = shown.closest("dd");
      while (term && term.tagName !== "DT") term = term.previousElementSibling;
      return term;
    }
    let column = 0;
    for (let before = cell.previousElementSibling; before; before = before.previousElementSibling)
      column += before.colSpan;
    for (const head of cell.closest("table").tHead?.rows[0]?.cells ?? []) {
      if (column < head.colSpan) return head;
      column -= head.colSpan;
    }
    return null;
  };
  // A source for all of a row or a term, or in a column of its own.
  const named = (element) => {
    const row = element.closest("tr, dd");
    const texts = [...(row?.cells ?? [])].map((cell) => cell.textContent);
    return row?.querySelector(".source") != null || headOf(element)?.querySelector(".source") != null
      || source.test(texts.join(" "));
  };
  const walker = page.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent, parent = walker.currentNode.parentElement;
    if (/^\s*n\/a\s*$/.test(text)) {
      const why = parent.closest(".unknown")?.querySelector("p") ?? parent.closest("tr")?.querySelector(".remark");
      if (!textOf(why)) wrong.push(`n/a without a reason: ${textOf(parent.closest("tr, dd, p, div")).slice(0, 120)}`);
    }
    if (!figure.test(text) || parent.closest(outside) || parent.closest(".figure")) continue;
    if (!named(parent)) wrong.push(`not a figure: ${text.trim().slice(0, 120)}`);
  }
  for (const shown of main.querySelectorAll("span.figure")) {
    const text = textOf(shown), head = headOf(shown), row = shown.closest("tr");
    const data = shown.querySelector("data"), value = data?.getAttribute("value");
    if (!value || Number.isNaN(Number(value))) wrong.push(`no value: ${text}`);
    if (!shown.title) wrong.push(`no exact value: ${text}`);
    const [, unit] = /^[-+\d.e]+ (.+)$/.exec(shown.title) ?? [];
    if (unit === undefined) continue; // a score or a ratio
    const shownUnit = data.querySelector(".unit") ?? head?.querySelector(".unit") ?? row?.cells[0].querySelector(".unit");
    if (!textOf(shownUnit)) wrong.push(`no unit: ${text}`);
    if (textOf(head) === set) continue;
    if (!shown.querySelector(".source") && !named(shown)) wrong.push(`no source: ${text}`);
    const place = (shown.closest(".tile") ? null : shown.closest(".card, section")) ?? main;
    const hasInterval = shown.querySelector(".interval") !== null || row?.querySelector(".interval") != null;
    if (!hasInterval && Number(value) !== 0 && !exactUnits.includes(unit) && !explained.test(textOf(place)))
      wrong.push(`no interval: ${text}`);
    if (shown.classList.contains("provisional") && !shown.querySelector(".provisional-mark"))
      wrong.push(`not marked as provisional: ${text}`);
  }
  return wrong;
}
