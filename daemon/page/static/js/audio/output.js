// Where all sound of the page ends: the audio context, a limiter, the mute switch, a level meter.
// Of several tabs the one that was touched last sounds: two of them would blur each other.

const METER_SAMPLES = 2048;
const MUTE_S = 0.01;
const TABS = "performer-sound"; // where tabs tell each other that they sound

/** Dispatches `change` when it begins or ends to sound. */
export class Output extends EventTarget {
  /** `isMuted` is how the switch stands at the start. */
  constructor(isMuted = false) {
    super();
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.isMuted = isMuted;
    this.input = new GainNode(this.context, { gain: 0.9 });
    // Ten fingers and a pedal add up to more than full scale; a limiter is gentler than clipping.
    const limiter = new DynamicsCompressorNode(this.context, {
      threshold: -9, knee: 6, ratio: 12, attack: 0.002, release: 0.15,
    });
    this.switch = new GainNode(this.context, { gain: isMuted ? 0 : 1 });
    this.meter = new AnalyserNode(this.context, { fftSize: METER_SAMPLES });
    this.input.connect(limiter).connect(this.switch).connect(this.meter);
    this.meter.connect(this.context.destination);
    this.measured = new Float32Array(METER_SAMPLES);
    this.isElsewhere = false; // another tab sounds
    this.tabs = new BroadcastChannel(TABS);
    this.tabs.addEventListener("message", () => this.#sounds({ isElsewhere: true }));
    this.context.addEventListener("statechange", () => this.dispatchEvent(new Event("change")));
  }

  get isRunning() {
    return this.context.state === "running";
  }

  /** Whether what is played now would be heard, were it not muted. */
  get isHeard() {
    return this.isRunning && !this.isElsewhere;
  }

  /** Browsers keep a page silent until somebody has touched it: call this on every gesture. */
  wake() {
    if (!this.isRunning) this.context.resume();
    this.tabs.postMessage("here");
    if (this.isElsewhere) this.#sounds({ isElsewhere: false });
  }

  mute(isMuted) {
    this.#sounds({ isMuted });
  }

  #sounds({ isMuted = this.isMuted, isElsewhere = this.isElsewhere }) {
    Object.assign(this, { isMuted, isElsewhere });
    const gain = isMuted || isElsewhere ? 0 : 1;
    this.switch.gain.setTargetAtTime(gain, this.context.currentTime, MUTE_S);
    this.dispatchEvent(new Event("change"));
  }

  /** The loudest sample that left within the last 40 ms, from 0 to 1. */
  level() {
    this.meter.getFloatTimeDomainData(this.measured);
    return this.measured.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }
}
