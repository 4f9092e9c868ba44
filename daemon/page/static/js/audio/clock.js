// The audio clock beside the page's: at which instant of this page a sample is heard.

const EVERY_MS = 200;
const KEPT = 25; // five seconds; the median of so many is steady to a fraction of a millisecond

export class AudioClock {
  constructor(context) {
    this.context = context;
    this.offsets = [];
    setInterval(() => this.#look(), EVERY_MS);
    context.addEventListener("statechange", () => {
      this.offsets = []; // a suspended context stands still while the page's clock goes on
      this.#look();
    });
  }

  /** Seconds on the audio clock at which a sample must start to be heard at an instant. */
  contextS(pageMs) {
    if (this.offsets.length === 0) this.#look();
    return pageMs / 1000 + (this.offsetS ?? this.context.currentTime - performance.now() / 1000);
  }

  #look() {
    if (this.context.state !== "running") return;
    const stamp = this.context.getOutputTimestamp();
    // Before the first block is out the stamp is zero and says nothing.
    if (!(stamp.performanceTime > 0)) return;
    this.offsets.push(stamp.contextTime - stamp.performanceTime / 1000);
    if (this.offsets.length > KEPT) this.offsets.shift();
    const sorted = [...this.offsets].sort((one, other) => one - other);
    this.offsetS = sorted[sorted.length >> 1];
  }
}
