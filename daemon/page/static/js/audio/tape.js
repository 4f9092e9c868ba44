// Plays a recording in this browser: a little ahead at a time, on the audio clock.

const AHEAD_S = 0.6;
const EVERY_MS = 200;
const BEGINS_AFTER_S = 0.1;

/** Dispatches `ended` when a recording is over or was stopped. */
export class Tape extends EventTarget {
  constructor(strings) {
    super();
    this.strings = strings;
    this.events = [];
  }

  /** Play rows of [onS, offS, pitch, velocity] of both parts. */
  play({ player, performer }) {
    const events = [...player, ...performer].flatMap(([onS, offS, pitch, velocity]) => [
      { atS: onS, pitch, velocity },
      { atS: offS, pitch, velocity: 0 },
    ]);
    if (events.length === 0) return;
    // Ends before beginnings at one instant: a key that is struck again comes up first.
    events.sort((one, other) => one.atS - other.atS || one.velocity - other.velocity);
    this.events = events;
    this.startS = this.strings.context.currentTime + BEGINS_AFTER_S - events[0].atS;
    this.timer = setInterval(() => this.#goOn(), EVERY_MS);
    this.#goOn();
  }

  stop() {
    clearInterval(this.timer);
    this.events = [];
    this.strings.hush();
    this.dispatchEvent(new Event("ended"));
  }

  #goOn() {
    const untilS = this.strings.context.currentTime + AHEAD_S - this.startS;
    while (this.events.length > 0 && this.events[0].atS < untilS) {
      const { atS, pitch, velocity } = this.events.shift();
      if (velocity > 0) this.strings.strike(pitch, velocity, this.startS + atS);
      else this.strings.release(pitch, this.startS + atS);
    }
    if (this.events.length > 0) return;
    clearInterval(this.timer);
    setTimeout(() => this.events.length === 0 && this.dispatchEvent(new Event("ended")), 1000 * AHEAD_S);
  }
}
