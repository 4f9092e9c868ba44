// The Performer's part: what it plans is put on the audio clock ahead of time, so that its rhythm
// is exact whatever the network or this page's thread does in between.

const MARGIN_S = 0.012; // between the arrival of a turn's first event and its sound
const MOST_BEHIND_S = 0.25;
const MOST_CORRECTION_S = 0.0001; // at a time, where the audio clock runs unlike the session's

export class Answer {
  /** `sessionClock` and `audioClock` say when on the audio clock a second of the session is. */
  constructor(strings, sessionClock, audioClock) {
    this.strings = strings;
    this.sessionClock = sessionClock;
    this.audioClock = audioClock;
    this.turn = null;
    this.refused = null;
    this.leadsMs = []; // how far ahead of its moment each note came, for the figures
    this.begun = []; // [planned at, put at] of each note of this turn, for the figures
  }

  /** Put events on the audio clock: `at_s` in seconds of the session, in order. */
  plan(turn, events) {
    if (events.length === 0 || turn === this.refused) return;
    if (turn !== this.turn) this.#begin(turn, events[0]);
    else this.#followClocks();
    for (const event of events) {
      const atS = event.at_s + this.shiftS;
      if (event.event === "note_on") {
        this.#note(event, atS);
      } else if (event.event === "note_off") {
        this.strings.release(event.pitch, atS);
      } else {
        this.strings.pedal(event.down, atS);
      }
    }
  }

  /** All that was planned and has not sounded will not sound; what sounds ends. */
  withdraw() {
    this.strings.hush();
    this.turn = null;
  }

  /** The user wants silence now: what still comes of this turn, before the daemon knows, is not heard. */
  refuse() {
    this.refused = this.turn;
    this.withdraw();
  }

  /** Another turn begins, perhaps with the number of the one before. */
  accept() {
    this.refused = null;
  }

  /** A turn is over: what the daemon released at its end was not planned. */
  finish(turn, atS) {
    if (turn !== this.turn) return;
    this.strings.releaseAll(atS + this.shiftS);
    this.turn = null;
  }

  /**
   * The first event comes with its moment: a little late already when it is to be heard. The whole
   * turn is shifted by that, so that its rhythm stays as it was planned.
   */
  #begin(turn, first) {
    this.turn = turn;
    const soonestS = this.strings.context.currentTime + MARGIN_S;
    const behindS = soonestS - (first.at_s + this.#offsetS());
    this.delayS = Math.min(Math.max(behindS, 0), MOST_BEHIND_S);
    this.shiftS = this.#offsetS() + this.delayS;
    this.begun = [];
  }

  /** Two clocks part by milliseconds within a minute: follow, in steps that nobody hears. */
  #followClocks() {
    const errorS = this.#offsetS() + this.delayS - this.shiftS;
    this.shiftS += Math.min(Math.max(errorS, -MOST_CORRECTION_S), MOST_CORRECTION_S);
  }

  /** Seconds between the session's clock and the audio clock. */
  #offsetS() {
    return this.audioClock.contextS(this.sessionClock.pageMs(0));
  }

  #note(event, atS) {
    const startS = this.strings.strike(event.pitch, event.velocity, atS);
    this.leadsMs.push(this.sessionClock.pageMs(event.at_s) - performance.now());
    if (this.leadsMs.length > 10_000) this.leadsMs.shift();
    if (startS !== null) this.begun.push([event.at_s, startS]);
  }
}
