// What was played, as files: the last phrase and answer, this session, and past recordings.

import { button, byId, make } from "./elements.js";
import { download, getJson } from "../link/requests.js";
import { minutes } from "../seen/words.js";
import { StillRoll } from "../seen/still_roll.js";

const SHOWN_AT_FIRST = 6;
const FILES = { phrase: "last phrase", answer: "last answer", all: "this session" };

export class Keeping {
  /** `tape` plays a recording here; `say(message, level)` shows a sentence. */
  constructor(connection, tape, say) {
    this.connection = connection;
    this.tape = tape;
    this.say = say;
    this.shown = SHOWN_AT_FIRST;
    this.playing = null;
    tape.addEventListener("ended", () => this.#stopped());
    for (const name of Object.keys(FILES)) {
      byId(`save-${name}`).addEventListener("click", () =>
        this.#save(`/session/${name}.mid`, `${FILES[name].replaceAll(" ", "-")}.mid`),
      );
    }
    byId("capture").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#capture(byId("capture-name"));
    });
    byId("recordings-more").addEventListener("click", () => {
      this.shown += 2 * SHOWN_AT_FIRST;
      this.load();
    });
  }

  /** Offer what the daemon can do. */
  take(schema) {
    byId("capture").hidden = !("capture" in schema.commands);
  }

  async #capture(field) {
    const name = field.value.trim().replace(/[^\w-]+/g, "-"); // what names of files may have
    try {
      await this.connection.command("capture", { name });
    } catch (error) {
      this.say(error.message, "error");
      return;
    }
    field.value = "";
    this.say(`Kept as captures/${name}.mid, beside the recordings.`);
  }

  /** Ask which recordings there are, and show them. */
  async load() {
    const all = await getJson("/recordings").catch(() => null);
    if (all === null) return; // the connection, which is lost as well, says so
    byId("recordings-none").hidden = all.length > 0;
    byId("recordings-more").hidden = all.length <= this.shown;
    if (this.playing) return; // what is being played stays where it is
    byId("recordings").replaceChildren(...all.slice(0, this.shown).map((each) => this.#row(each)));
  }

  #row(recording) {
    const { name, seconds, notes } = recording;
    const path = `/recordings/${encodeURIComponent(name)}`;
    const picture = make("canvas", { className: "still", role: "img", "aria-label": `Piano roll of ${name}` });
    const play = button("Play", () => this.#play(path, play), { "aria-label": `Play ${name}` });
    const save = button("Download", () => this.#save(path, name), { "aria-label": `Download ${name}` });
    const words = make("div", { className: "recording-words" }, [
      make("strong", { textContent: when(recording) }),
      make("span", { textContent: `${minutes(seconds)}, ${notes} notes` }),
    ]);
    this.#drawWhenSeen(picture, path);
    return make("li", {}, [words, picture, make("div", { className: "buttons" }, [play, save])]);
  }

  #drawWhenSeen(picture, path) {
    const watch = new IntersectionObserver(async ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      watch.disconnect();
      const parts = await getJson(`${path}/notes`).catch(() => null);
      if (parts) new StillRoll(picture, parts);
    });
    watch.observe(picture);
  }

  async #play(path, pressed) {
    const wasPlaying = this.playing === pressed;
    this.tape.stop();
    if (wasPlaying) return;
    try {
      this.tape.play(await getJson(`${path}/notes`));
    } catch (error) {
      this.say(error.message, "error");
      return;
    }
    this.playing = pressed;
    pressed.textContent = "Stop";
  }

  #stopped() {
    if (this.playing) this.playing.textContent = "Play";
    this.playing = null;
  }

  async #save(path, name) {
    try {
      await download(path, name);
    } catch (error) {
      this.say(error.message, "error");
    }
  }
}

/** When it was made, as people say it; its name where that is not known. */
function when({ name, time }) {
  const made = new Date(typeof time === "number" ? time * 1000 : time);
  if (Number.isNaN(made.getTime())) return name;
  const day = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return made.toLocaleString([], day);
}
