// Where all sound of the page ends: the audio context, a limiter, the mute switch, a level meter.

const METER_SAMPLES = 2048;
const MUTE_S = 0.01;

export class Output {
  /** `isMuted` is how the switch stands at the start. */
  constructor(isMuted = false) {
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
  }

  get isRunning() {
    return this.context.state === "running";
  }

  /** Browsers keep a page silent until somebody has touched it: call this on every gesture. */
  wake() {
    if (this.context.state !== "running") this.context.resume();
  }

  mute(isMuted) {
    this.isMuted = isMuted;
    this.switch.gain.setTargetAtTime(isMuted ? 0 : 1, this.context.currentTime, MUTE_S);
  }

  /** The loudest sample that left within the last 40 ms, from 0 to 1. */
  level() {
    this.meter.getFloatTimeDomainData(this.measured);
    return this.measured.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }
}
