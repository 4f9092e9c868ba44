// Every parameter of `schema` as a control. Nothing here knows a parameter but which are used most.

import { byId } from "./elements.js";
import { Control } from "./control.js";

const MOST_USED = ["temperature", "length", "length_unit", "trigger", "entry"];

export class Steering {
  constructor(connection) {
    this.connection = connection;
    this.controls = new Map();
    this.values = {};
    this.made = null;
  }

  /** Make the controls anew where the schema is another one, and show the values as they are. */
  take(schema, parameters) {
    const wanted = JSON.stringify(schema.parameters);
    if (wanted !== this.made) this.#make(schema.parameters);
    this.made = wanted;
    this.show(parameters);
  }

  /** Show values that the daemon has, whoever set them. */
  show(parameters) {
    Object.assign(this.values, parameters);
    for (const [name, value] of Object.entries(parameters)) this.controls.get(name)?.show(value);
  }

  #make(rows) {
    this.controls.clear();
    const first = MOST_USED.filter((name) => name in rows);
    const others = Object.keys(rows).filter((name) => !first.includes(name));
    this.#fill(byId("steering-first"), first, rows);
    this.#fill(byId("steering-more"), others, rows);
  }

  #fill(place, names, rows) {
    place.replaceChildren(
      ...names.map((name) => {
        const control = new Control(name, rows[name], (...change) => this.#set(...change));
        this.controls.set(name, control);
        return control.element;
      }),
    );
  }

  async #set(name, value) {
    const result = await this.connection.command("set", { [name]: value });
    this.show(result.parameters);
  }
}
