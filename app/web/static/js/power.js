// The power wall: watts and a line of 60 seconds for every device, and the sum of the lab.
import { live } from "./live.js";
import { showPower } from "./live-figures.js";
import { keyOf } from "./live-store.js";
import { PowerTrace } from "./power-trace.js";
import { Sparkline } from "./sparkline.js";

const STOPPED = "the device has stopped reporting";
const figure = document.querySelector("figure[data-power-trace]");
const trace = figure instanceof HTMLElement ? new PowerTrace(figure) : null;
const lines = /** @type {WeakMap<Element, Sparkline>} */ (new WeakMap());
let updates = 0;

live({
  renewedBy: ["devices", "runs"],
  everyMs: 250,
  draw(store) {
    const began = performance.now();
    const at = Date.now() - store.delayMs;
    const byKey = new Map([...store.devices.values()].map((device) => [keyOf(device.described), device]));
    let total = /** @type {number | null} */ (null);
    for (const device of store.devices.values()) {
      const watts = device.at(at);
      if (watts !== null) total = (total ?? 0) + watts;
    }
    for (const tile of document.querySelectorAll("[data-component]")) {
      const key = keyOf({ node: tile.getAttribute("data-node") ?? "", component: tile.getAttribute("data-component") ?? "" });
      const device = byKey.get(key);
      if (updates % 2 === 0) {
        const watts = device?.at(at) ?? null;
        showPower(tile.querySelector("[data-power]"), watts, STOPPED);
        const meter = tile.querySelector("meter");
        if (meter) meter.value = watts ?? 0;
      }
      const canvas = tile.querySelector("canvas");
      if (!canvas) continue;
      const line = lines.get(canvas) ?? new Sparkline(canvas);
      lines.set(canvas, line);
      line.draw(device?.fine ?? [], at);
    }
    if (updates % 2 === 0) showPower(document.querySelector("[data-power=total]"), total, "no device reports");
    if (updates % 4 === 0) trace?.draw(store);
    updates += 1;
    performance.measure("wall", { start: began, end: performance.now() });
    if (updates % 400 === 0) performance.clearMeasures("wall");
  },
});

const full = document.querySelector("[data-full-screen]");
if (full instanceof HTMLElement && document.fullscreenEnabled) {
  full.hidden = false;
  full.addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.getElementById("wall")?.requestFullscreen();
  });
}
