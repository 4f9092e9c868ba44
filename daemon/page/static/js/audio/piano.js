// The sampled grand: which recording sounds for which key and touch. Files: samples/README.md.

const FIRST_ROOT = 21;
const LAST_ROOT = 108;
const ROOT_STEP = 3; // every third key was recorded; those beside it are tuned by a semitone
const LOADS_AT_ONCE = 4;

// The two touches that were recorded, and the velocity at which each sounds as it is.
const LAYERS = [
  { name: "soft", upTo: 62, plain: 44, loudness: 0.3 },
  { name: "loud", upTo: 127, plain: 98, loudness: 0.66 },
];
const FULL_TOUCH = 1.7; // loudness grows with this power of velocity
const DARK_HZ = 900; // a touch far below that of the recording loses its brilliance
const BRIGHT_HZ = 18_000;

export class Piano extends EventTarget {
  constructor(context, folder) {
    super();
    this.context = context;
    this.folder = folder;
    this.buffers = new Map();
    this.failed = 0;
    this.wanted = order();
    this.total = this.wanted.length;
  }

  get share() {
    return (this.buffers.size + this.failed) / this.total;
  }

  /** Load all samples, the middle of the keyboard first; resolves when all are there. */
  async load() {
    await Promise.all(Array.from({ length: LOADS_AT_ONCE }, () => this.#loadNext()));
  }

  async #loadNext() {
    while (this.wanted.length > 0) {
      const name = this.wanted.shift();
      try {
        const file = await (await fetch(`${this.folder}/${name}.opus`)).arrayBuffer();
        this.buffers.set(name, await this.context.decodeAudioData(file));
        if (this.buffers.size === 1) performance.mark("performer-first-sample");
      } catch {
        this.failed += 1; // the nearest one that is there sounds instead
      }
      this.dispatchEvent(new Event("progress"));
    }
  }

  /**
   * What makes a key sound with a touch: `buffer`, the `rate` it is played at, its `gain`, and
   * `brightHz`, above which it is dulled. Null while nothing is loaded that would do.
   */
  sound(pitch, velocity) {
    const wanted = velocity <= LAYERS[0].upTo ? LAYERS : [...LAYERS].reverse();
    for (const layer of wanted) {
      const root = this.#nearest(layer.name, pitch);
      if (root === null) continue;
      const touch = (velocity / 127) ** FULL_TOUCH;
      const dulled = Math.min(1, velocity / layer.plain);
      return {
        buffer: this.buffers.get(`${layer.name}-${root}`),
        rate: 2 ** ((pitch - root) / 12),
        gain: touch / layer.loudness,
        brightHz: DARK_HZ * (BRIGHT_HZ / DARK_HZ) ** dulled,
      };
    }
    return null;
  }

  #nearest(layer, pitch) {
    let best = null;
    for (let root = FIRST_ROOT; root <= LAST_ROOT; root += ROOT_STEP) {
      const isThere = this.buffers.has(`${layer}-${root}`);
      if (isThere && (best === null || Math.abs(root - pitch) < Math.abs(best - pitch))) {
        best = root;
      }
    }
    return best;
  }
}

/** Names of all samples, from the middle outwards. */
function order() {
  const roots = [];
  for (let root = FIRST_ROOT; root <= LAST_ROOT; root += ROOT_STEP) roots.push(root);
  roots.sort((one, other) => Math.abs(one - 60) - Math.abs(other - 60));
  return LAYERS.map(({ name }) => name)
    .reverse()
    .flatMap((layer) => roots.map((root) => `${layer}-${root}`));
}
