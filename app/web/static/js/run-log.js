// The newest lines of a log, followed while the run goes on; bounded.

const FIRST = 200;
const MOST = 2000;
const EVERY_MS = 2000;

/** @param {HTMLElement} place @param {() => boolean} goesOn */
export async function followLog(place, goesOn) {
  const list = place.querySelector("ol");
  const { lines: source = "", linePage = "" } = place.dataset;
  if (!list) return;
  let after = await add(`${source}?newest=true&limit=${FIRST}`);
  place.scrollTop = place.scrollHeight;
  while (goesOn()) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    if (document.hidden) continue;
    const isAtEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
    after = await add(after ? `${source}?after=${encodeURIComponent(after)}&limit=1000` : `${source}?newest=true&limit=${FIRST}`, after);
    if (isAtEnd) place.scrollTop = place.scrollHeight;
  }

  /** @param {string} address @param {string | null} [last] @returns {Promise<string | null>} */
  async function add(address, last = null) {
    try {
      const response = await fetch(address);
      if (!response.ok) return last;
      const page = await response.json();
      list?.append(...page.items.map((/** @type {any} */ line) => row(line, linePage)));
      place.hidden = !list?.childElementCount;
      while (list && list.childElementCount > MOST) list.firstElementChild?.remove();
      return page.next_after ?? last;
    } catch {
      return last; // asked again
    }
  }
}

/** @param {{attempt: number, seq: number, stream: string, text: string}} line @param {string} page */
function row(line, page) {
  const item = document.createElement("li");
  const name = `${line.attempt}.${line.seq}`;
  const link = Object.assign(document.createElement("a"), {
    href: `${page}?attempt=${line.attempt}&line=${line.seq}#L${line.attempt}-${line.seq}`, textContent: name });
  const stream = Object.assign(document.createElement("span"), { className: "stream", textContent: line.stream });
  item.append(link, stream, Object.assign(document.createElement("bdi"), { textContent: line.text }));
  return item;
}
