// The player's part. What is played on this page sounds at once; the daemon then tells of it as of
// everything, and that must not sound again. What comes through ports or other pages sounds when
// the daemon tells.

const AWAITED_MS = 2000;

export class PlayerSound {
  constructor(strings) {
    this.strings = strings;
    this.awaited = []; // what the daemon will tell of what was played here
  }

  /** Something was played on this page; `isTold` says whether the daemon will tell of it. */
  playHere(event, isTold) {
    this.#sound(event);
    if (isTold) this.awaited.push({ what: nameOf(event), untilMs: performance.now() + AWAITED_MS });
  }

  /** The daemon told of something that the player did. */
  told(event) {
    const nowMs = performance.now();
    this.awaited = this.awaited.filter(({ untilMs }) => untilMs > nowMs);
    const index = this.awaited.findIndex(({ what }) => what === nameOf(event));
    if (index >= 0) this.awaited.splice(index, 1);
    else this.#sound(event);
  }

  releaseAll() {
    this.awaited = [];
    this.strings.releaseAll();
  }

  #sound({ event, pitch, velocity, down }) {
    if (event === "note_on") this.strings.strike(pitch, velocity);
    else if (event === "note_off") this.strings.release(pitch);
    else this.strings.pedal(down);
  }
}

function nameOf({ event, pitch, down }) {
  return event === "pedal" ? `pedal-${down}` : `${event}-${pitch}`;
}
