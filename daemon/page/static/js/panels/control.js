// One control for one parameter, made from its row in `schema`.

import { make } from "./elements.js";
import { shown, spoken } from "../seen/words.js";

const MOST_SLIDER_STEPS = 5000; // a wider range of whole numbers is typed, not slid
const LOG_FROM = 100; // a range that spans more than this ratio slides by proportion
const STEPS = 1000;
const FEW = 6; // choices that have room beside each other
const EVERY_MS = 80; // a slider says so often at most where it is

/** `change(name, value)` is called with what the user chose; it may reject. */
export class Control {
  constructor(name, row, change) {
    this.name = name;
    this.row = row;
    this.change = change;
    this.value = row.default;
    this.element = make("div", { className: "control" });
    this.id = `parameter-${name}`;
    this.parts = this.#build();
    this.show(row.default);
  }

  /** Show a value, wherever it was changed. */
  show(value) {
    this.value = value;
    this.parts.show(value);
    this.reset.disabled = same(value, this.row.default);
    this.say("");
  }

  say(words) {
    this.error.textContent = words;
  }

  #build() {
    const { row } = this;
    this.reset = make("button", { type: "button", className: "reset", textContent: "Reset" });
    this.reset.setAttribute("aria-label", `Reset ${spoken(this.name)} to ${shown(row.default)}`);
    this.reset.title = `Reset to ${shown(row.default)}`;
    this.reset.addEventListener("click", () => this.#choose(row.default));
    this.error = make("p", { className: "refused" });
    this.error.setAttribute("role", "alert");
    const parts = this.#parts();
    const head = make("div", { className: "control-head" }, [parts.label, this.reset]);
    const note = make("p", { className: "explanation", id: `${this.id}-note` });
    note.textContent = [row.description, this.#range()].filter(Boolean).join(" · ");
    this.element.append(head, ...parts.inputs, note, this.error);
    return parts;
  }

  #range() {
    const { minimum, maximum, unit, type } = this.row;
    if (type !== "float" && type !== "int") return "";
    if (maximum > 1e6) return unit;
    return `${minimum} to ${maximum}${unit && " "}${unit}`;
  }

  #parts() {
    if (this.row.type === "list") return this.#choices("checkbox");
    if (this.row.type === "bool") return this.#choices("checkbox", ["on"]);
    if (this.row.type === "str") return this.row.choices.length ? this.#choices("radio") : this.#text();
    return this.#number();
  }

  #choices(type, choices = this.row.choices) {
    const label = make("span", { className: "label", id: `${this.id}-label`, textContent: spoken(this.name) });
    const group = make("div", { className: choices.length > FEW ? "choices many" : "choices" });
    group.setAttribute("role", type === "radio" ? "radiogroup" : "group");
    group.setAttribute("aria-labelledby", label.id);
    const boxes = choices.map((choice) => {
      const box = make("input", { type, name: this.id, value: choice });
      box.addEventListener("change", () => this.#choose(this.#chosen(boxes)));
      group.append(make("label", {}, [box, make("span", { textContent: spoken(choice) })]));
      return box;
    });
    const show = (value) => {
      const wanted = this.row.type === "bool" ? (value ? ["on"] : []) : [value].flat();
      for (const box of boxes) box.checked = wanted.includes(box.value);
    };
    return { label, inputs: [group], show };
  }

  #chosen(boxes) {
    const names = boxes.filter(({ checked }) => checked).map(({ value }) => value);
    if (this.row.type === "list") return names;
    return this.row.type === "bool" ? names.length > 0 : names[0];
  }

  #text() {
    const label = make("label", { htmlFor: this.id, className: "label", textContent: spoken(this.name) });
    const input = make("input", { type: "text", id: this.id });
    input.addEventListener("change", () => this.#choose(input.value));
    return { label, inputs: [input], show: (value) => (input.value = value ?? "") };
  }

  #number() {
    const { row } = this;
    const label = make("label", { htmlFor: this.id, className: "label", textContent: spoken(this.name) });
    const number = make("input", {
      type: "number", id: this.id, min: row.minimum, max: row.maximum,
      step: row.type === "int" ? 1 : "any",
    });
    number.setAttribute("aria-describedby", `${this.id}-note`);
    number.addEventListener("change", () => {
      if (number.value !== "") this.#choose(number.valueAsNumber); // the daemon says what is allowed
    });
    const slider = this.#slider();
    const line = make("div", { className: "line" }, slider ? [slider, number] : [number]);
    const inputs = [line];
    let none = null;
    if (row.null_allowed) {
      none = make("input", { type: "checkbox" });
      none.addEventListener("change", () => this.#choose(none.checked ? null : this.#someValue()));
      inputs.push(make("label", { className: "none" }, [none, make("span", { textContent: nullWords(row) })]));
    }
    const show = (value) => {
      line.classList.toggle("is-none", value === null);
      if (none) none.checked = value === null;
      number.value = value === null ? "" : value;
      if (slider && value !== null && !slider.matches(":active")) {
        slider.value = this.#place(value);
      }
    };
    return { label, inputs, show };
  }

  #slider() {
    const { row } = this;
    if (row.type === "int" && row.maximum - row.minimum > MOST_SLIDER_STEPS) return null;
    const slider = make("input", { type: "range", min: 0, max: STEPS, step: 1 });
    slider.setAttribute("aria-label", spoken(this.name));
    let waits = null;
    const send = () => {
      waits = null;
      this.#choose(this.#rounded(this.#at(Number(slider.value))));
    };
    slider.addEventListener("input", () => (waits ??= setTimeout(send, EVERY_MS)));
    return slider;
  }

  /** A place on the slider, 0 to STEPS, for a value; and back. */
  #place(value) {
    const { minimum, maximum } = this.row;
    const share = this.#slidesByRatio()
      ? Math.log(value / minimum) / Math.log(maximum / minimum)
      : (value - minimum) / (maximum - minimum);
    return share * STEPS;
  }

  #at(place) {
    const { minimum, maximum } = this.row;
    const share = place / STEPS;
    return this.#slidesByRatio()
      ? minimum * (maximum / minimum) ** share
      : minimum + (maximum - minimum) * share;
  }

  #slidesByRatio() {
    return this.row.minimum > 0 && this.row.maximum / this.row.minimum > LOG_FROM;
  }

  #rounded(value) {
    if (this.row.type === "int") return Math.round(value);
    const fine = this.row.maximum <= 1 ? 1000 : 100;
    return Math.min(Math.max(Math.round(value * fine) / fine, this.row.minimum), this.row.maximum);
  }

  /** A value to begin with for whoever no longer wants none. */
  #someValue() {
    const { minimum, maximum, type, default: usual } = this.row;
    if (usual !== null) return usual;
    if (type === "int" && maximum > MOST_SLIDER_STEPS) return Math.floor(Math.random() * 10_000);
    return this.#rounded(Math.sqrt(Math.max(minimum, 1e-3) * maximum));
  }

  async #choose(value) {
    this.say("");
    try {
      await this.change(this.name, value);
    } catch (error) {
      this.show(this.value);
      this.say(error.message);
    }
  }
}

/** What null means, as the description says after "null:". */
function nullWords(row) {
  return row.description.match(/null: ([^;,]+)/)?.[1].replaceAll("_", " ") ?? "none";
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
