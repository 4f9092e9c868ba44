// Which keys are down on this page, whoever holds them: a mouse, fingers, the computer's keys, a
// plugged-in keyboard. A key comes up when the last of them has let it go.

/**
 * `play` is called with each event that results: `{event: "note_on", pitch, velocity}`,
 * `{event: "note_off", pitch}` or `{event: "pedal", down}`.
 */
export class Held {
  constructor(play) {
    this.play = play;
    this.keys = new Map(); // pitch → the sources that hold it
    this.pedals = new Set();
  }

  press(source, pitch, velocity) {
    const holders = this.keys.get(pitch) ?? new Set();
    const isNew = holders.size === 0;
    holders.add(source);
    this.keys.set(pitch, holders);
    if (isNew) this.play({ event: "note_on", pitch, velocity });
  }

  release(source, pitch) {
    const holders = this.keys.get(pitch);
    if (!holders?.delete(source) || holders.size > 0) return;
    this.keys.delete(pitch);
    this.play({ event: "note_off", pitch });
  }

  pedal(source, isDown) {
    const wasDown = this.pedals.size > 0;
    if (isDown) this.pedals.add(source);
    else this.pedals.delete(source);
    const nowDown = this.pedals.size > 0;
    if (nowDown !== wasDown) this.play({ event: "pedal", down: nowDown });
  }

  /** Let go of all that sources hold, those that `which` says; without it, all. */
  releaseAll(which = () => true) {
    for (const [pitch, holders] of [...this.keys]) {
      for (const source of [...holders]) if (which(source)) this.release(source, pitch);
    }
    for (const source of [...this.pedals]) if (which(source)) this.pedal(source, false);
  }
}
