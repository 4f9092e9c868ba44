// All ways to play on the page, put together, and that nothing that was held stays down.

import { ComputerKeys } from "./hands/computer_keys.js";
import { Held } from "./hands/held.js";
import { Keyboard } from "./hands/keyboard.js";
import { nameOf } from "./hands/pitches.js";
import { WebMidi } from "./hands/web_midi.js";
import { byId } from "./panels/elements.js";

const LOWEST_LETTER = 48; // the pitch of the first key of the lower row, unshifted

export class Hands {
  /** `play` hears every event; `say(message)` shows a sentence. */
  constructor(play, say) {
    this.held = new Held((event) => {
      this.#show(event);
      play(event);
    });
    this.keyboard = new Keyboard(byId("keyboard"), this.held);
    this.letters = new ComputerKeys(this.held);
    this.midi = new WebMidi(this.held, say);
    this.letters.addEventListener("change", () => this.#hint());
    this.#hint();
    this.#bindButtons();
    this.#bindScroll();
    this.#letGoWhenAway();
  }

  /** Let go of everything, as when nobody listens any more. */
  letGo() {
    this.letters.forget();
    this.held.releaseAll();
  }

  #show(event) {
    if (event.event === "pedal") byId("pedal").classList.toggle("is-down", event.down);
    else this.keyboard.light("player", event.pitch, event.event === "note_on");
  }

  #hint() {
    this.keyboard.hint(this.letters.letters());
    byId("octave").textContent = `Keys from ${nameOf(LOWEST_LETTER + 12 * this.letters.octaves)}`;
  }

  #bindButtons() {
    byId("octave-down").addEventListener("click", () => this.letters.shift(-1));
    byId("octave-up").addEventListener("click", () => this.letters.shift(1));
    byId("midi-button").addEventListener("click", () => this.midi.ask());
    this.#bindPedal(byId("pedal"));
  }

  /** The pedal is down as long as its button is, by a finger or by Enter. */
  #bindPedal(button) {
    const move = (isDown) => this.held.pedal("button", isDown);
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      move(true);
    });
    for (const type of ["lostpointercapture", "blur"]) {
      button.addEventListener(type, () => move(false));
    }
    button.addEventListener("keydown", ({ key, repeat }) => key === "Enter" && !repeat && move(true));
    button.addEventListener("keyup", ({ key }) => key === "Enter" && move(false));
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
  }

  /** On a small screen a slider moves the keyboard: on the keys a finger plays. */
  #bindScroll() {
    const frame = byId("keyboard-scroll");
    const place = byId("keyboard-place");
    const room = () => frame.scrollWidth - frame.clientWidth;
    const move = () => {
      frame.scrollLeft = (Number(place.value) / 1000) * room();
    };
    place.addEventListener("input", move);
    frame.addEventListener("scroll", () => {
      if (room() > 0) place.value = (frame.scrollLeft / room()) * 1000;
    });
    new ResizeObserver(() => {
      place.hidden = room() <= 1;
      move();
    }).observe(frame);
  }

  #letGoWhenAway() {
    // A plugged-in keyboard is heard without the focus, too: its keys come up by themselves.
    const letGoHere = () => {
      this.letters.forget();
      this.held.releaseAll((source) => source !== "midi");
    };
    addEventListener("blur", letGoHere);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") letGoHere();
    });
    addEventListener("pagehide", () => this.letGo());
  }
}
