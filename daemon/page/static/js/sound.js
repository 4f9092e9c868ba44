// All that sounds on the page, put together: one piano, and a pair of hands for each who plays it.

import { Answer } from "./audio/answer.js";
import { AudioClock } from "./audio/clock.js";
import { Output } from "./audio/output.js";
import { Piano } from "./audio/piano.js";
import { PlayerSound } from "./audio/player.js";
import { Strings } from "./audio/strings.js";
import { Tape } from "./audio/tape.js";
import { byId } from "./panels/elements.js";

const REMEMBERED = "performer-sound"; // where the browser keeps how the switch stood

export class Sound {
  constructor(sessionClock, say) {
    this.output = new Output(localStorage.getItem(REMEMBERED) === "off");
    this.clock = new AudioClock(this.output.context);
    this.piano = new Piano(this.output.context, "/static/samples");
    const hands = () => new Strings(this.piano, this.output.input);
    this.player = new PlayerSound(hands());
    this.answer = new Answer(hands(), sessionClock, this.clock);
    this.tape = new Tape(hands());
    this.say = say;
    this.#bindSwitch();
    for (const gesture of ["pointerdown", "keydown"]) {
      addEventListener(gesture, () => this.output.wake(), { capture: true });
    }
  }

  async load() {
    await this.piano.load();
    if (this.piano.buffers.size === 0) {
      this.say("The piano cannot be heard: this browser does not read its samples (Ogg Opus).", "error");
    }
  }

  /** How many milliseconds after it was put out a sample is heard, as the browser says. */
  get latencyMs() {
    const { baseLatency = 0, outputLatency = 0 } = this.output.context;
    return (baseLatency + outputLatency) * 1000;
  }

  /** Silence everything, whoever plays it. */
  hush() {
    this.answer.refuse();
    this.player.strings.hush();
    this.tape.stop();
  }

  #bindSwitch() {
    const button = byId("sound");
    const show = () => {
      const isOn = !this.output.isMuted;
      button.setAttribute("aria-pressed", String(isOn));
      button.textContent = isOn ? "Sound on" : "Sound off";
    };
    button.addEventListener("click", () => {
      this.output.mute(!this.output.isMuted);
      localStorage.setItem(REMEMBERED, this.output.isMuted ? "off" : "on");
      show();
    });
    show();
  }
}
