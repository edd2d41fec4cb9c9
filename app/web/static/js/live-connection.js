// One connection to the live stream: read, resumed after a break, and tried again with jitter.

const SILENT_MS = 25000; // a comment comes every 15 s
const SLOWEST_MS = 10000;

/**
 * @typedef {"opening" | "open" | "lost" | "signed-out"} State
 * @typedef {object} Handlers
 * @property {(name: string, data: string) => void} event
 * @property {(state: State, reason: string) => void} state
 */

/** Follows a stream until it is stopped.
 * @param {string} url @param {Handlers} handlers @returns {{stop: () => void, nudge: () => void}} */
export function connect(url, handlers) {
  let isStopped = false;
  let lastId = "";
  let failures = 0;
  /** @type {AbortController | null} */
  let reading = null;
  /** @type {(() => void) | null} */
  let goOn = null;

  async function follow() {
    while (!isStopped) {
      try {
        await readOnce();
        throw new Error("the server ended the connection");
      } catch (error) {
        if (isStopped) return;
        const isOut = error instanceof Problem && error.status === 401;
        handlers.state(isOut ? "signed-out" : "lost", reasonOf(error));
      }
      failures += 1;
      await pause(Math.min(SLOWEST_MS, 500 * 2 ** failures) * (0.5 + Math.random()));
    }
  }

  async function readOnce() {
    const own = reading = new AbortController();
    let timer = setTimeout(() => own.abort(), SILENT_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
      const response = await fetch(url, { headers, signal: own.signal, cache: "no-store" });
      if (!response.ok || !response.body) throw await problemOf(response);
      handlers.state("open", "");
      for await (const block of blocks(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => own.abort(), SILENT_MS);
        failures = 0;
        const { id, name, data } = parsed(block);
        if (id) lastId = id;
        if (name) handlers.event(name, data);
      }
    } finally {
      clearTimeout(timer);
      own.abort();
    }
  }

  /** @param {number} ms */
  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => goOn?.(), ms);
      goOn = () => {
        clearTimeout(timer);
        goOn = null;
        resolve(undefined);
      };
    });
  }

  follow();
  return {
    stop() {
      isStopped = true;
      reading?.abort();
      goOn?.();
    },
    nudge: () => goOn?.(),
  };
}

class Problem extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {Response} response */
async function problemOf(response) {
  const document = await response.json().catch(() => null);
  return new Problem(document?.detail ?? `the server answered ${response.status}`, response.status);
}

/** @param {unknown} error @returns {string} */
function reasonOf(error) {
  if (error instanceof Problem) return error.message;
  if (error instanceof DOMException) return "nothing came for 25 seconds";
  return "the server cannot be reached";
}

/** @param {ReadableStream<Uint8Array>} body @returns {AsyncGenerator<string>} Events and comments as text. */
async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop() ?? "";
    yield* whole;
  }
}

/** @param {string} block @returns {{id: string, name: string, data: string}} */
function parsed(block) {
  const fields = { id: "", event: "", data: "" };
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) fields[/** @type {"id"} */ (line.slice(0, at))] = line.slice(at + 2);
  }
  return { id: fields.id, name: fields.event, data: fields.data };
}
