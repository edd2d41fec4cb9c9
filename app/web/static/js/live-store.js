// What the stream has said: devices, their samples of ten minutes, running runs. Nothing is repeated:
// where no sample came there is a gap.

const KEPT_S = 600;
const FINE_MS = 62000;
const LEAST_DELAY_MS = 1500;
const MOST_DELAY_MS = 10000;
const LATENESSES = 20;
const BURST_MS = 1500;

/**
 * @typedef {{id: number, node: string, component: string, kind: string, name: string, limit_w: number | null, reporting: boolean}} Described
 * @typedef {{t0: number, dt: number, w: (number | null)[]}} Samples
 * @typedef {{id: string, name: string, status: string, node: string | null, components: string[], reserved_ratios: number[], progress: any}} LiveRun
 */

export class Device {
  /** @param {Described} described */
  constructor(described) {
    this.described = described;
    this.fine = /** @type {Samples[]} */ ([]);
    this.means = /** @type {Map<number, number>} */ (new Map());
  }

  /** @param {Samples} samples */
  add(samples) {
    const { t0, dt, w } = samples;
    const known = /** @type {number[]} */ (w.filter((power) => power !== null));
    const mean = known.reduce((sum, power) => sum + power, 0) / known.length;
    const first = Math.floor(t0 / 1000);
    for (let second = first; known.length && second < first + Math.max(1, (dt * w.length) / 1000); second += 1) {
      if (dt <= 1000 || !this.means.has(second)) this.means.set(second, mean);
    }
    if (dt <= 1000) this.#addFine(samples);
  }

  /** @param {Samples} samples */
  #addFine(samples) {
    const same = this.fine.findLastIndex((other) => other.t0 <= samples.t0);
    if (same >= 0 && this.fine[same].t0 === samples.t0) this.fine[same] = samples;
    else this.fine.splice(same + 1, 0, samples);
  }

  /** @param {number} now */
  forget(now) {
    while (this.fine.length && this.fine[0].t0 < now - FINE_MS) this.fine.shift();
    for (const second of this.means.keys()) if (second < now / 1000 - KEPT_S) this.means.delete(second);
  }

  /** The sample at a time; null in a gap. @param {number} at @returns {number | null} */
  at(at) {
    const samples = this.fine.findLast(({ t0 }) => t0 <= at);
    if (!samples || !this.described.reporting) return null;
    return samples.w[Math.floor((at - samples.t0) / samples.dt)] ?? null;
  }
}

export class Store {
  constructor() {
    this.devices = /** @type {Map<number, Device>} */ (new Map());
    this.runs = /** @type {Map<string, LiveRun>} */ (new Map());
    this.latenesses = /** @type {number[]} */ ([]);
    this.newest = 0;
    this.begun = 0;
    this.isReachable = true;
  }

  /** Applies an event. @param {string} name @param {any} data @param {number} [now] */
  apply(name, data, now = Date.now()) {
    if (name === "devices") this.#describe(data);
    else if (name === "power") this.#add(data, now);
    else if (name === "runs") this.#run(data);
    else if (name === "database") this.isReachable = data.reachable;
    else if (name === "resync") this.isReachable = true;
  }

  /** @param {{whole: boolean, items: Described[]}} data */
  #describe({ whole, items }) {
    const before = new Map([...this.devices.values()].map((device) => [keyOf(device.described), device]));
    if (whole) {
      this.devices.clear();
      this.begun = Date.now(); // what comes at once is of the past
    }
    for (const described of items) {
      const device = before.get(keyOf(described)) ?? new Device(described);
      device.described = described;
      this.devices.set(described.id, device);
    }
  }

  /** @param {{t0: number, dt_ms: number, ids: number[], w: (number | null)[][]}} frame @param {number} now */
  #add(frame, now) {
    frame.ids.forEach((id, index) => {
      this.devices.get(id)?.add({ t0: frame.t0, dt: frame.dt_ms, w: frame.w[index] });
    });
    if (frame.t0 <= this.newest || frame.dt_ms > 1000) return;
    this.newest = frame.t0;
    if (now - this.begun > BURST_MS) this.latenesses.push(now - frame.t0);
    if (this.latenesses.length > LATENESSES) this.latenesses.shift();
    for (const device of this.devices.values()) device.forget(now);
  }

  /** @param {{whole: boolean, items: LiveRun[]}} data */
  #run({ whole, items }) {
    if (whole) this.runs.clear();
    for (const run of items) {
      if (run.status === "running") this.runs.set(run.id, run);
      else this.runs.delete(run.id);
    }
  }

  /** How far behind their time samples are shown, in ms: as late as the latest of the last ones. */
  get delayMs() {
    const late = Math.max(LEAST_DELAY_MS, ...this.latenesses.slice(-LATENESSES));
    return Math.min(MOST_DELAY_MS, Math.ceil(late / 100) * 100);
  }

  /** Share of each device that running runs have reserved, by node and component. */
  shares() {
    const shares = /** @type {Map<string, number>} */ (new Map());
    for (const run of this.runs.values()) {
      run.components.forEach((component, index) => {
        const key = keyOf({ node: run.node ?? "", component });
        shares.set(key, Math.min(1, (shares.get(key) ?? 0) + run.reserved_ratios[index]));
      });
    }
    return shares;
  }

  /** Power of groups of devices second by second; null where none of a group's devices has a sample.
   * @param {number} first @param {number} last @param {(device: Described) => [string, number][]} groupsOf
   *   Groups of a device, with its share in each. @returns {Map<string, (number | null)[]>} */
  sums(first, last, groupsOf) {
    const sums = /** @type {Map<string, (number | null)[]>} */ (new Map());
    for (const { described, means } of this.devices.values()) {
      for (const [group, share] of groupsOf(described)) {
        const line = sums.get(group) ?? new Array(last - first).fill(null);
        sums.set(group, line);
        for (let second = first; second < last; second += 1) {
          const mean = means.get(second);
          if (mean !== undefined) line[second - first] = (line[second - first] ?? 0) + mean * share;
        }
      }
    }
    return sums;
  }
}

/** @param {{node: string, component: string}} device */
export function keyOf({ node, component }) {
  return `${node}\n${component}`;
}
