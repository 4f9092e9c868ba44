// What sounds for one pair of hands: keys, dampers and a pedal, each at an instant of the audio
// clock, now or ahead. Events must come in the order of their instants.

const DAMP_S = 0.09; // time constant of a damper in the middle of the keyboard
const HUSH_S = 0.004; // and when silence is wanted at once: -60 dB after 28 ms
const UNDAMPED_FROM = 90; // the highest strings of a grand have no dampers
const RING_OUT_S = 0.6;
const MOST_VOICES = 72;

export class Strings {
  constructor(piano, destination) {
    this.piano = piano;
    this.context = destination.context;
    this.bus = new GainNode(this.context);
    this.bus.connect(destination);
    this.voices = new Set();
    this.down = new Map(); // pitch → the voice whose key is down
    this.sustained = new Set();
    this.isPedalDown = false;
  }

  /** Strike a key at `atS`; return when it really sounds, or null if nothing is loaded. */
  strike(pitch, velocity, atS = 0) {
    const sound = this.piano.sound(pitch, velocity);
    if (sound === null) return null;
    this.release(pitch, atS, true);
    const startS = Math.max(atS, this.context.currentTime);
    const voice = this.#voice(sound, pitch, startS);
    this.down.set(pitch, voice);
    this.#limit();
    return startS;
  }

  /** Let a key come up; with the pedal down it sounds on, unless it is struck anew. */
  release(pitch, atS = 0, isStruckAnew = false) {
    const voice = this.down.get(pitch);
    if (voice) {
      this.down.delete(pitch);
      if (this.isPedalDown && !isStruckAnew) this.sustained.add(voice);
      else damp(voice, Math.max(atS, this.context.currentTime), dampingS(pitch));
    }
    if (isStruckAnew) this.#dampSustained(atS, (each) => each.pitch === pitch);
  }

  pedal(isDown, atS = 0) {
    this.isPedalDown = isDown;
    if (!isDown) this.#dampSustained(atS, () => true);
  }

  /** Let all keys and the pedal come up, as hands do that leave the keyboard. */
  releaseAll(atS = 0) {
    this.pedal(false, atS);
    for (const pitch of [...this.down.keys()]) this.release(pitch, atS);
  }

  /** Silence what sounds and what was to sound, at once. */
  hush() {
    const nowS = this.context.currentTime;
    for (const voice of this.voices) {
      if (voice.startS > nowS) {
        voice.source.stop();
        this.#forget(voice);
      } else {
        voice.level.gain.cancelScheduledValues(nowS);
        damp(voice, nowS, HUSH_S);
      }
    }
    this.down.clear();
    this.sustained.clear();
    this.isPedalDown = false;
  }

  #voice({ buffer, rate, gain, brightHz }, pitch, startS) {
    const source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: rate });
    const filter = new BiquadFilterNode(this.context, { frequency: brightHz, Q: 0.3 });
    const level = new GainNode(this.context, { gain });
    source.connect(filter).connect(level).connect(this.bus);
    const voice = { source, level, pitch, startS, endS: Infinity };
    source.addEventListener("ended", () => this.#forget(voice));
    source.start(startS);
    this.voices.add(voice);
    return voice;
  }

  #forget(voice) {
    voice.level.disconnect();
    this.voices.delete(voice);
    this.sustained.delete(voice);
  }

  #dampSustained(atS, which) {
    const fromS = Math.max(atS, this.context.currentTime);
    for (const voice of this.sustained) {
      if (!which(voice)) continue;
      this.sustained.delete(voice);
      damp(voice, fromS, dampingS(voice.pitch));
    }
  }

  /** An old voice that nobody would miss gives way when there are too many. */
  #limit() {
    if (this.voices.size <= MOST_VOICES) return;
    const [oldest] = this.voices;
    this.voices.delete(oldest);
    this.sustained.delete(oldest);
    damp(oldest, this.context.currentTime, HUSH_S);
  }
}

function dampingS(pitch) {
  if (pitch >= UNDAMPED_FROM) return RING_OUT_S;
  return DAMP_S * 2 ** ((60 - pitch) / 36); // thick strings take longer to come to rest
}

function damp(voice, atS, constantS) {
  if (voice.endS <= atS + 6 * constantS) return;
  voice.level.gain.setTargetAtTime(0, atS, constantS);
  voice.endS = atS + 8 * constantS;
  voice.source.stop(voice.endS);
}
