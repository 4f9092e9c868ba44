// A button for each command of `schema` that needs no argument and changes what happens.

import { button, byId } from "./elements.js";
import { spoken } from "../seen/words.js";

const NAMES = {
  perform: "Perform",
  stop: "Stop",
  take: "Another take",
  another_take: "Another take",
  undo: "Undo",
  reset: "Forget",
};
const FIRST = ["perform", "stop", "take", "another_take", "undo"];
// Panic has a place of its own; the daemon is not ended from a page.
const ELSEWHERE = new Set(["panic", "shutdown", "play"]);

export class Commands {
  /** `before(name)` is called at once with each command; `say` is told what the daemon refused. */
  constructor(connection, before, say) {
    this.connection = connection;
    this.before = before;
    this.say = say;
    this.made = null;
    byId("panic").addEventListener("click", () => this.run("panic"));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.repeat) this.run("panic");
    });
  }

  take(schema) {
    const names = Object.entries(schema.commands)
      .filter(([, row]) => row.answers === "state" && row.at_least === 0)
      .map(([name]) => name)
      .filter((name) => name !== "state" && !ELSEWHERE.has(name));
    if (names.join() === this.made) return;
    this.made = names.join();
    names.sort((one, other) => rank(one) - rank(other));
    byId("commands").replaceChildren(
      ...names.map((name) =>
        button(NAMES[name] ?? spoken(name), () => this.run(name), {
          title: schema.commands[name].description,
          className: name === "perform" ? "main" : "",
          "data-command": name,
        }),
      ),
    );
  }

  async run(name) {
    this.before(name);
    try {
      await this.connection.command(name);
    } catch (error) {
      this.say(error.message);
    }
  }
}

function rank(name) {
  const place = FIRST.indexOf(name);
  return place < 0 ? FIRST.length : place;
}
