// What was played and what is planned, as notes with a beginning and an end, for the piano roll.
// All times are seconds of the session.

const KEPT_S = 30; // the widest roll shows less
const PRUNE_EVERY_S = 1;
const FORGET_PLANNED_S = 1; // a planned note that was never sent is no longer awaited

export class Score {
  constructor() {
    this.clear();
  }

  clear() {
    this.prunedS = 0;
    this.notes = []; // {by, pitch, velocity, onS, offS | null, plannedOffS | null}, by beginning
    this.sounding = new Map(); // `${by}-${pitch}` → its note
    this.planned = []; // {pitch, velocity, onS, offS | null}, by beginning
    this.pedals = []; // {by, downS, upS | null}
    this.pedalDown = new Map();
    this.handovers = []; // {atS, firstMs | null}
  }

  /** Take a `note` event of the daemon: what really was played, or sent. */
  play(told) {
    const { by, event, at_s: atS } = told;
    if (event === "note_on") this.#strike(by, told, atS);
    else if (event === "note_off") this.#release(`${by}-${told.pitch}`, atS);
    else this.#movePedal(by, told.down, atS);
  }

  /** Take what the Performer has planned, in order. */
  plan(events) {
    for (const { event, pitch, velocity, at_s: atS } of events) {
      if (event === "note_on") {
        this.planned.push({ pitch, velocity, onS: atS, offS: null });
      } else if (event === "note_off") {
        const note = this.planned.findLast((each) => each.pitch === pitch && each.offS === null);
        const begun = this.sounding.get(`performer-${pitch}`);
        if (note) note.offS = atS;
        else if (begun) begun.plannedOffS = atS;
      }
    }
  }

  /** What was planned and has not sounded will not sound. */
  withdraw() {
    this.planned = [];
    for (const note of this.sounding.values()) note.plannedOffS = null;
  }

  /** The Performer's turn begins. */
  handOver(atS) {
    this.handovers.push({ atS, firstMs: null });
  }

  /** Somebody is gone: what they held ends here. */
  endAll(atS, by = null) {
    for (const key of [...this.sounding.keys()]) {
      if (by === null || key.startsWith(by)) this.#release(key, atS);
    }
    for (const each of [...this.pedalDown.keys()]) {
      if (by === null || each === by) this.#movePedal(each, false, atS);
    }
  }

  /** Forget what has flowed out of every sight; look once a second. */
  prune(nowS) {
    if (Math.abs(nowS - this.prunedS) < PRUNE_EVERY_S) return;
    this.prunedS = nowS;
    const fromS = nowS - KEPT_S;
    this.planned = this.planned.filter(({ onS }) => onS > nowS - FORGET_PLANNED_S);
    this.notes = this.notes.filter(({ offS }) => offS === null || offS > fromS);
    this.pedals = this.pedals.filter(({ upS }) => upS === null || upS > fromS);
    this.handovers = this.handovers.filter(({ atS }) => atS > fromS);
  }

  #strike(by, { pitch, velocity }, onS) {
    const key = `${by}-${pitch}`;
    this.#release(key, onS);
    const note = { by, pitch, velocity, onS, offS: null, plannedOffS: null };
    if (by === "performer") {
      const index = this.planned.findIndex((each) => each.pitch === pitch);
      if (index >= 0) {
        note.plannedOffS = this.planned[index].offS;
        this.planned.splice(index, 1);
      }
      const handover = this.handovers.at(-1);
      if (handover && handover.firstMs === null) {
        handover.firstMs = Math.max(0, (onS - handover.atS) * 1000);
      }
    }
    this.notes.push(note);
    this.sounding.set(key, note);
  }

  #release(key, offS) {
    const note = this.sounding.get(key);
    if (!note) return;
    note.offS = Math.max(offS, note.onS);
    this.sounding.delete(key);
  }

  #movePedal(by, isDown, atS) {
    const before = this.pedalDown.get(by);
    if (isDown && !before) {
      const pedal = { by, downS: atS, upS: null };
      this.pedals.push(pedal);
      this.pedalDown.set(by, pedal);
    } else if (!isDown && before) {
      before.upS = atS;
      this.pedalDown.delete(by);
    }
  }
}
