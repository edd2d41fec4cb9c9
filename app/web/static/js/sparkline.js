// A line of 60 seconds on a canvas. A gap stays a gap; the scale is the device's limit.

const WINDOW_MS = 60000;
/** @typedef {import("./live-store.js").Samples} Samples */

export class Sparkline {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.limit = Number(canvas.dataset.limit) || 0;
    this.most = 1;
    this.size = [0, 0];
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.#fit();
  }

  #fit() {
    const ratio = devicePixelRatio || 1;
    this.size = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.canvas.width = Math.round(this.size[0] * ratio);
    this.canvas.height = Math.round(this.size[1] * ratio);
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.scale(ratio, ratio);
    this.pen = pen;
  }

  /** @param {Samples[]} samples In order of time. @param {number} end The newest time that is shown, in ms. */
  draw(samples, end) {
    const pen = this.pen;
    if (!pen) return;
    const [width, height] = this.size;
    const scale = this.limit || (this.most = Math.max(this.most, ...samples.flatMap(({ w }) => w.map((power) => power ?? 0))));
    const perMs = width / WINDOW_MS;
    const perW = (height - 2) / scale;
    pen.clearRect(0, 0, width, height);
    pen.beginPath();
    let expected = -1; // when the next sample is due if there is no gap
    for (const { t0, dt, w } of samples) {
      for (let index = 0; index < w.length; index += 1) {
        const at = t0 + index * dt;
        const power = w[index];
        if (at > end) break;
        if (power === null || at < end - WINDOW_MS) continue;
        const x = width - (end - at) * perMs;
        const y = height - 1 - Math.min(power, scale) * perW;
        if (at - expected > dt / 2 || expected < 0) pen.moveTo(x, y);
        else pen.lineTo(x, y);
        expected = at + dt;
      }
    }
    pen.strokeStyle = getComputedStyle(this.canvas).color;
    pen.lineWidth = 1.25;
    pen.stroke();
  }
}
