// A plugged-in MIDI keyboard that the browser sees, asked for by a button.

const NOTE_OFF = 0x80;
const NOTE_ON = 0x90;
const CONTROL = 0xb0;
const DAMPER = 64;
const PEDAL_DOWN_FROM = 64;
const PEDAL_UP_TO = 40; // between the two a half-pressed pedal stays as it was

export class WebMidi {
  /** `held` hears what is played; `say` is told in a sentence what became of it. */
  constructor(held, say) {
    this.held = held;
    this.say = say;
    this.access = null;
  }

  /** Ask the browser for its keyboards; resolve to whether it let us. */
  async ask() {
    if (!navigator.requestMIDIAccess) {
      this.say("This browser has no Web MIDI. Chrome, Edge and Firefox have; or connect the keyboard to the port “Performer In”.");
      return false;
    }
    try {
      this.access ??= await navigator.requestMIDIAccess();
    } catch {
      this.say("The browser does not let this page use MIDI keyboards. Its site settings can allow it.");
      return false;
    }
    this.access.onstatechange = () => this.#connect();
    this.#connect();
    return true;
  }

  #connect() {
    const inputs = [...this.access.inputs.values()].filter(({ state }) => state === "connected");
    // The daemon's own ports must not come back as if somebody had played them.
    const keyboards = inputs.filter(({ name }) => !/^Performer/.test(name ?? ""));
    for (const input of keyboards) input.onmidimessage = (message) => this.#hear(message.data);
    this.held.releaseAll((source) => source === "midi"); // of one that was pulled out
    const names = keyboards.map(({ name }) => name).join(", ");
    this.say(names ? `Playing from ${names}.` : "No MIDI keyboard is plugged in yet; it is taken as soon as one is.");
  }

  #hear([status, first, second]) {
    const kind = status & 0xf0;
    if (kind === NOTE_ON && second > 0) {
      this.held.release("midi", first);
      this.held.press("midi", first, second);
    } else if (kind === NOTE_OFF || kind === NOTE_ON) {
      this.held.release("midi", first);
    } else if (kind === CONTROL && first === DAMPER) {
      if (second >= PEDAL_DOWN_FROM) this.held.pedal("midi", true);
      else if (second <= PEDAL_UP_TO) this.held.pedal("midi", false);
    }
  }
}
