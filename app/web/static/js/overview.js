// The overview, live: the trace, the sums, and parts that the server renders anew.
import { live } from "./live.js";
import { showPower } from "./live-figures.js";
import { PowerTrace } from "./power-trace.js";
import { keyOf } from "./live-store.js";

const figure = document.querySelector("figure[data-power-trace]");
const trace = figure instanceof HTMLElement ? new PowerTrace(figure) : null;
const SILENT = "no device reports";

live({
  renewedBy: ["runs", "budgets", "queue"],
  everyMs: 500,
  draw(store) {
    const at = Date.now() - store.delayMs;
    const shares = store.shares();
    const sums = /** @type {Map<string, number>} */ (new Map());
    const silent = /** @type {Map<string, number>} */ (new Map());
    const add = (/** @type {string} */ name, /** @type {number} */ watts) => sums.set(name, (sums.get(name) ?? 0) + watts);
    for (const device of store.devices.values()) {
      const watts = device.at(at);
      if (!device.described.reporting) for (const key of ["", device.described.node]) silent.set(key, (silent.get(key) ?? 0) + 1);
      if (watts === null) continue;
      const charged = watts * (shares.get(keyOf(device.described)) ?? 0);
      const parts = /** @type {[string, number][]} */ ([["total", watts], ["charged", charged], ["unallocated", watts - charged]]);
      for (const [name, part] of parts) {
        add(name, part);
        add(`${device.described.node}\n${name}`, part);
      }
    }
    for (const place of document.querySelectorAll("[data-power]")) {
      const node = place.closest("[data-node]")?.getAttribute("data-node");
      const name = place.getAttribute("data-power") ?? "";
      showPower(place, sums.get(node ? `${node}\n${name}` : name) ?? null, SILENT, silent.get(node ?? "") ?? 0);
    }
    trace?.draw(store);
  },
});
