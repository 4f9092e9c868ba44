// Music that is played in as if somebody played it: a file dropped on the page, or an opening.

import { byId, make } from "./elements.js";
import { getJson, post } from "../link/requests.js";
import { minutes } from "../seen/words.js";

const MOST_BYTES = 2_000_000;

export class PlayingIn {
  /** `say(message, level)` shows a sentence. */
  constructor(say) {
    this.say = say;
    this.choice = byId("opening");
    this.stopButton = byId("play-in-stop");
    byId("opening-play").addEventListener("click", () => this.#opening());
    byId("file").addEventListener("change", (event) => this.#files(event.target.files));
    byId("file-button").addEventListener("click", () => byId("file").click());
    this.stopButton.addEventListener("click", () => this.stop());
    this.#listenForDrops();
  }

  /** Ask which openings there are. */
  async load() {
    const openings = await getJson("/openings").catch(() => []);
    this.choice.replaceChildren(
      ...openings.map(({ name, title, seconds }) =>
        make("option", { value: name, textContent: `${title} (${minutes(seconds)})` }),
      ),
    );
    byId("openings").hidden = openings.length === 0;
  }

  async stop() {
    await this.#ask(() => post("/play-in/stop"));
    this.#ended();
  }

  #listenForDrops() {
    const show = (isOver) => document.body.classList.toggle("is-dropping", isOver);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      show(true);
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) show(false);
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      show(false);
      this.#files(event.dataTransfer.files);
    });
  }

  async #files([file]) {
    byId("file").value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) {
      this.say(`“${file.name}” is too large: at most 2 MB are played in.`, "error");
      return;
    }
    const headers = { "X-File-Name": encodeURIComponent(file.name), "Content-Type": "audio/midi" };
    await this.#begin(async () => post("/play-in", await file.arrayBuffer(), headers), file.name);
  }

  async #opening() {
    const name = this.choice.value;
    if (name) await this.#begin(() => post("/play-in/opening", { name }), this.choice.selectedOptions[0].textContent);
  }

  async #begin(asking, title) {
    const begun = await this.#ask(asking);
    if (!begun) return;
    this.say(`Playing ${title}: ${begun.notes} notes, ${minutes(begun.seconds)}.`);
    this.stopButton.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ended(), begun.seconds * 1000);
  }

  #ended() {
    clearTimeout(this.timer);
    this.stopButton.hidden = true;
  }

  async #ask(asking) {
    try {
      return (await asking()) ?? {};
    } catch (error) {
      this.say(error.message, "error");
      return null;
    }
  }
}
