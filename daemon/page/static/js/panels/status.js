// What the Performer is doing, and how it does, below the roll.

import { byId, make } from "./elements.js";
import { doing, furtherRows, plainRows } from "../seen/words.js";

export class Status {
  constructor() {
    this.metrics = {};
    this.info = null;
    this.lost = 0;
    this.numbers = new Map(); // topic → number of its last event
    this.link = {};
  }

  /** The state of the Performer, as its parameters are; `missing` says which parts are. */
  state(state, parameters, missing = {}) {
    this.#say(state, doing(state, parameters, missing));
  }

  /** There is nobody to tell the state. */
  away(sentence) {
    this.#say("away", { name: "Away", sentence });
  }

  #say(state, { name, sentence }) {
    const shown = byId("state");
    shown.dataset.state = state;
    byId("state-name").textContent = name;
    byId("state-sentence").textContent = sentence;
  }

  /** Count events that did not arrive: those of a topic are numbered. */
  count({ topic, n }) {
    if (n === undefined) return;
    const before = this.numbers.get(topic);
    if (before !== undefined && n > before + 1) this.lost += n - before - 1;
    this.numbers.set(topic, n);
  }

  /** Another daemon, or the same after a break: its numbers begin where they are. */
  begin(info) {
    this.info = info;
    this.numbers.clear();
    this.show();
  }

  show(metrics = this.metrics, link = this.link) {
    this.metrics = metrics;
    this.link = link;
    byId("plain").replaceChildren(...plainRows(metrics, this.info, this.lost).flatMap(row));
    byId("further").replaceChildren(...furtherRows(metrics, this.info, link).flatMap(row));
  }
}

function row([label, value, explanation]) {
  const told = [make("span", { textContent: value })];
  if (explanation) told.push(make("small", { textContent: explanation }));
  return [make("div", {}, [make("dt", { textContent: label }), make("dd", {}, told)])];
}
