// A small piano roll of a whole recording, which does not move.

const MARGIN_PITCHES = 2;
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class StillRoll {
  /** Draw `parts` ({player, performer}: rows of [onS, offS, pitch, velocity]) onto a canvas. */
  constructor(canvas, parts) {
    this.canvas = canvas;
    this.parts = parts;
    const all = [...parts.player, ...parts.performer];
    if (all.length === 0) return;
    this.longS = all.reduce((most, [, offS]) => Math.max(most, offS), 0.001);
    this.high = all.reduce((most, [, , pitch]) => Math.max(most, pitch), 0) + MARGIN_PITCHES;
    this.low = all.reduce((least, [, , pitch]) => Math.min(least, pitch), 127) - MARGIN_PITCHES;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    DARK.addEventListener("change", () => this.#draw());
  }

  #draw() {
    const { canvas, longS } = this;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const step = height / (this.high - this.low + 1);
    const style = getComputedStyle(canvas);
    for (const by of ["player", "performer"]) {
      pen.fillStyle = style.getPropertyValue(`--${by}`);
      for (const [onS, offS, pitch] of this.parts[by]) {
        const wide = Math.max(((offS - onS) / longS) * width, 1);
        pen.fillRect((onS / longS) * width, (this.high - pitch) * step, wide, Math.max(step, 1.2));
      }
    }
  }
}
