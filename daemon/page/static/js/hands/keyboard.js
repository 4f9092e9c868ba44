// The keyboard on the screen: 88 keys for the mouse, for fingers, and for the keyboard's focus.

import { HIGHEST, LOWEST, WHITE_KEYS, isBlack, middleOf, nameOf } from "./pitches.js";

const SOFTEST = 28; // at the far end of a key
const LOUDEST = 112; // at its near end
const PLAIN_VELOCITY = 76; // pressed without a place, by Enter
const BLACK_WIDTH = 0.58; // of a white key

export class Keyboard {
  /** `held` hears what is pressed; `element` is filled with keys. */
  constructor(element, held) {
    this.element = element;
    this.held = held;
    this.keys = new Map();
    this.pointers = new Map(); // pointer → the pitch under it
    for (let pitch = LOWEST; pitch <= HIGHEST; pitch++) this.#add(pitch);
    this.focused = this.keys.get(60);
    this.focused.tabIndex = 0;
    this.#listen();
  }

  /** Show who holds a key: `by` is "player" or "performer". */
  light(by, pitch, isDown) {
    this.keys.get(pitch)?.classList.toggle(`by-${by}`, isDown);
  }

  darken(by) {
    for (const key of this.keys.values()) key.classList.remove(`by-${by}`);
  }

  /** Write the computer's keys onto the keys that they play: `letters` by pitch. */
  hint(letters) {
    for (const [pitch, key] of this.keys) {
      key.querySelector(".hint").textContent = letters.get(pitch) ?? "";
    }
  }

  #add(pitch) {
    const key = document.createElement("button");
    key.type = "button";
    key.tabIndex = -1; // one stop for Tab; the arrow keys walk within
    key.className = isBlack(pitch) ? "key black" : "key white";
    key.dataset.pitch = pitch;
    key.setAttribute("aria-label", nameOf(pitch));
    const hint = document.createElement("span");
    hint.className = "hint";
    hint.setAttribute("aria-hidden", "true");
    key.append(hint);
    if (pitch % 12 === 0) {
      const name = document.createElement("span");
      name.className = "name";
      name.setAttribute("aria-hidden", "true");
      name.textContent = nameOf(pitch);
      key.append(name);
    }
    const width = isBlack(pitch) ? BLACK_WIDTH : 1;
    key.style.left = `${((middleOf(pitch) - width / 2) / WHITE_KEYS) * 100}%`;
    key.style.width = `${(width / WHITE_KEYS) * 100}%`;
    this.element.append(key);
    this.keys.set(pitch, key);
  }

  #listen() {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      // A captured pointer would never be seen leaving its key, and a finger is captured by itself.
      if (event.target.hasPointerCapture?.(event.pointerId)) {
        event.target.releasePointerCapture(event.pointerId);
      }
      if (event.pointerType !== "mouse") event.preventDefault();
      this.pointers.set(event.pointerId, null);
      this.#moveTo(event);
    });
    addEventListener("pointermove", (event) => {
      if (this.pointers.has(event.pointerId)) this.#moveTo(event);
    });
    for (const type of ["pointerup", "pointercancel"]) {
      addEventListener(type, (event) => this.#lift(event.pointerId));
    }
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("keydown", (event) => this.#onKeyDown(event));
    element.addEventListener("keyup", (event) => this.#onKeyUp(event));
    element.addEventListener("focusout", () => this.held.releaseAll(isFocus));
  }

  #moveTo(event) {
    const under = document.elementFromPoint(event.clientX, event.clientY)?.closest?.(".key");
    const pitch = under && this.element.contains(under) ? Number(under.dataset.pitch) : null;
    const before = this.pointers.get(event.pointerId);
    if (pitch === before) return;
    const source = `pointer-${event.pointerId}`;
    if (before !== null) this.held.release(source, before);
    this.pointers.set(event.pointerId, pitch);
    if (pitch !== null) this.held.press(source, pitch, velocityAt(under, event.clientY));
  }

  #lift(pointer) {
    const pitch = this.pointers.get(pointer);
    this.pointers.delete(pointer);
    if (pitch !== undefined && pitch !== null) this.held.release(`pointer-${pointer}`, pitch);
  }

  #onKeyDown(event) {
    const pitch = Number(event.target.dataset?.pitch);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 12, ArrowDown: -12 };
    if (event.key in steps) {
      event.preventDefault();
      this.#focus(Math.min(Math.max(pitch + steps[event.key], LOWEST), HIGHEST));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!event.repeat) this.held.press("focus", pitch, PLAIN_VELOCITY);
    }
  }

  #onKeyUp(event) {
    if (event.key === "Enter") this.held.release("focus", Number(event.target.dataset.pitch));
  }

  #focus(pitch) {
    this.focused.tabIndex = -1;
    this.focused = this.keys.get(pitch);
    this.focused.tabIndex = 0;
    this.focused.focus();
  }
}

function isFocus(source) {
  return source === "focus";
}

/** Near the player's end of the key is loud, as the lever of a real one is longest there. */
function velocityAt(key, clientY) {
  const { top, height } = key.getBoundingClientRect();
  const depth = Math.min(Math.max((clientY - top) / height, 0), 1);
  return Math.round(SOFTEST + depth * (LOUDEST - SOFTEST));
}
