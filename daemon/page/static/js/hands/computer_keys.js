// Two rows of the computer's keyboard as piano keys, the space bar as the pedal.

import { isOnKeyboard } from "./pitches.js";

// By place, not by letter, so that every layout has the same shape. From C on, upwards: the lower
// row has the octave below that of the upper.
const LOWER = ["KeyZ", "KeyS", "KeyX", "KeyD", "KeyC", "KeyV", "KeyG", "KeyB", "KeyH", "KeyN",
  "KeyJ", "KeyM"];
const UPPER = ["KeyQ", "Digit2", "KeyW", "Digit3", "KeyE", "KeyR", "Digit5", "KeyT", "Digit6",
  "KeyY", "Digit7", "KeyU", "KeyI", "Digit9", "KeyO", "Digit0", "KeyP"];
const LOWER_FROM = 48;
const UPPER_FROM = 60;
const STEPS = new Map([
  ...LOWER.map((code, step) => [code, LOWER_FROM + step]),
  ...UPPER.map((code, step) => [code, UPPER_FROM + step]),
]);
const OCTAVE_DOWN = "Minus";
const OCTAVE_UP = "Equal";
const MOST_OCTAVES = 3;
const VELOCITY = 76;
const FORTE = 108; // with Shift

export class ComputerKeys extends EventTarget {
  /** `held` hears what is pressed. Dispatches `change` when keys have another pitch. */
  constructor(held) {
    super();
    this.held = held;
    this.octaves = 0;
    this.down = new Map(); // code → the pitch that it struck, whatever the octave is by now
    this.layout = null;
    addEventListener("keydown", (event) => this.#onDown(event));
    addEventListener("keyup", (event) => this.#onUp(event.code));
    navigator.keyboard?.getLayoutMap?.().then(
      (layout) => {
        this.layout = layout;
        this.dispatchEvent(new Event("change"));
      },
      () => {}, // a page in a frame may not ask; the usual letters do
    );
  }

  /** Which letter plays which pitch now. */
  letters() {
    const letter = (code) => this.layout?.get(code) ?? code.replace(/^(Key|Digit)/, "");
    return new Map(
      [...STEPS].map(([code, pitch]) => [pitch + 12 * this.octaves, letter(code).toUpperCase()]),
    );
  }

  shift(octaves) {
    this.octaves = Math.min(Math.max(this.octaves + octaves, -MOST_OCTAVES), MOST_OCTAVES);
    this.dispatchEvent(new Event("change"));
  }

  /** Forget what was down: whoever owns the keys' events no longer sees them come up. */
  forget() {
    this.down.clear();
  }

  #onDown(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
    if (event.code === "Space") {
      if (isChosenButton(event.target)) return;
      event.preventDefault(); // the page would scroll
      if (!event.repeat) this.held.pedal("keys", true);
    } else if (event.code === OCTAVE_DOWN || event.code === OCTAVE_UP) {
      this.shift(event.code === OCTAVE_UP ? 1 : -1);
    } else if (STEPS.has(event.code)) {
      event.preventDefault(); // some browsers search for what is typed
      if (!event.repeat) this.#strike(event);
    }
  }

  #strike(event) {
    const pitch = STEPS.get(event.code) + 12 * this.octaves;
    if (this.down.has(event.code) || !isOnKeyboard(pitch)) return;
    this.down.set(event.code, pitch);
    this.held.press(`keys-${event.code}`, pitch, event.shiftKey ? FORTE : VELOCITY);
  }

  #onUp(code) {
    if (code === "Space") this.held.pedal("keys", false);
    if (!this.down.has(code)) return;
    this.held.release(`keys-${code}`, this.down.get(code));
    this.down.delete(code);
  }
}

function isTyping(target) {
  const fields = "input:not([type=checkbox], [type=radio]), select, textarea";
  return target instanceof Element && target.matches(fields);
}

/** A button that was reached by Tab is pressed by the space bar, as everywhere. */
function isChosenButton(target) {
  if (!(target instanceof Element) || target.matches(".key, #pedal")) return false;
  return target.matches(":focus-visible") && target.closest("button, a, summary, input") !== null;
}
