// A button for each preset of the settings file, pressed while all that it sets is so.

import { button, byId } from "./elements.js";
import { shown, spoken } from "../seen/words.js";

export class Presets {
  /** `say` is told what the daemon refused. */
  constructor(connection, say) {
    this.connection = connection;
    this.say = say;
    this.buttons = new Map();
    this.presets = {};
    this.values = {};
  }

  /** Make the buttons anew; without presets there is nothing to see. */
  take(presets = {}, parameters = {}) {
    this.presets = presets;
    this.buttons.clear();
    for (const name of Object.keys(presets)) {
      const told = Object.entries(presets[name]).map(([each, value]) => `${spoken(each)} ${shown(value)}`);
      this.buttons.set(name, button(spoken(name), () => this.#set(name), { title: told.join(", ") }));
    }
    byId("presets").replaceChildren(...this.buttons.values());
    byId("presets").hidden = this.buttons.size === 0;
    this.show(parameters);
  }

  /** Take note of values that the daemon has, whoever set them. */
  show(parameters) {
    Object.assign(this.values, parameters);
    for (const [name, each] of this.buttons) {
      const isSet = Object.entries(this.presets[name]).every(([parameter, value]) =>
        JSON.stringify(this.values[parameter]) === JSON.stringify(value));
      each.setAttribute("aria-pressed", String(isSet));
    }
  }

  async #set(name) {
    try {
      await this.connection.command("preset", { name });
    } catch (error) {
      this.say(error.message);
    }
  }
}
