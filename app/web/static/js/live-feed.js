// The live stream for all tabs of a browser: one of them reads and passes on what comes. When its
// tab closes, the next one takes over; one that says nothing for long loses the reading, too.
import { connect } from "./live-connection.js";

const ALIVE_MS = 5000;
const MUTE_MS = 20000;

/**
 * @typedef {import("./live-connection.js").State} State
 * @typedef {object} Listener
 * @property {(name: string, data: any) => void} event
 * @property {(state: State, reason: string) => void} state
 */

/** Follows the stream in this tab. @param {string} url @param {Listener} listener */
export function follow(url, listener) {
  // Servers below one host, each with a prefix of its own, have a reader each.
  const name = `pricetag-live ${new URL(url, location.href).pathname}`;
  const channel = new BroadcastChannel(name);
  /** @type {ReturnType<typeof connect> | null} */
  let connection = null;
  let heard = Date.now();
  /** @type {[State, string]} */
  let present = ["opening", ""];

  /** @param {State} state @param {string} reason */
  function shown(state, reason) {
    heard = Date.now();
    const isNew = state !== present[0] || reason !== present[1];
    present = [state, reason];
    if (isNew) listener.state(state, reason);
  }

  const say = () => channel.postMessage({ kind: "state", state: present[0], reason: present[1] });
  channel.onmessage = ({ data: message }) => {
    if (connection) {
      if (message.kind === "nudge") connection.nudge();
      else if (message.kind === "hello") say();
      return;
    }
    if (message.kind === "state") {
      const wasOpen = present[0] === "open";
      shown(message.state, message.reason);
      if (!wasOpen && message.state === "open") catchUp(url, listener);
    } else if (message.kind === "event") {
      heard = Date.now();
      listener.event(message.name, JSON.parse(message.data));
    }
  };

  /** Reads for all tabs until another one takes the reading away. */
  function read() {
    if (connection) return;
    return new Promise((_, reject) => {
      connection = connect(url, {
        event(name, data) {
          channel.postMessage({ kind: "event", name, data });
          listener.event(name, JSON.parse(data));
        },
        state(state, reason) {
          channel.postMessage({ kind: "state", state, reason });
          shown(state, reason);
        },
      });
      stopReading = reject;
    });
  }
  /** @type {(reason: unknown) => void} */
  let stopReading = () => {};

  async function take(options = {}) {
    if (!navigator.locks) return read();
    try {
      await navigator.locks.request(name, options, read);
    } catch {
      connection?.stop(); // another tab took it
      connection = null;
      stopReading(new Error("taken"));
      take();
    }
  }

  setInterval(() => {
    if (connection) say();
    else if (!document.hidden) tellReader();
  }, ALIVE_MS);

  /** A reader in a hidden tab may sleep while others look. */
  function tellReader() {
    if (present[0] !== "open") channel.postMessage({ kind: "nudge" });
    if (Date.now() - heard > MUTE_MS) {
      heard = Date.now();
      take({ steal: true });
    }
  }
  const wake = () => (connection ? connection.nudge() : channel.postMessage({ kind: "nudge" }));
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  addEventListener("pagehide", () => connection?.stop());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  take();
  channel.postMessage({ kind: "hello" });
}

/** The present state for a tab that does not read itself. @param {string} url @param {Listener} listener */
function catchUp(url, listener) {
  const once = connect(`${url}&follow=false`, {
    event: (name, data) => listener.event(name, JSON.parse(data)),
    state: (state) => state === "open" || once.stop(),
  });
}
