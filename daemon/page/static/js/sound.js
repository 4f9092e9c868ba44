// All that sounds on the page, put together: one piano, and a pair of hands for each who plays it.

import { Answer } from "./audio/answer.js";
import { AudioClock } from "./audio/clock.js";
import { Output } from "./audio/output.js";
import { Piano } from "./audio/piano.js";
import { PlayerSound } from "./audio/player.js";
import { Strings } from "./audio/strings.js";
import { Tape } from "./audio/tape.js";
import { byId } from "./panels/elements.js";

const ONE_TOUCH_MS = 600;
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
    this.wokenMs = -Infinity;
    this.#bindSwitch();
    for (const gesture of ["pointerdown", "keydown", "focus"]) {
      addEventListener(gesture, (event) => this.#wake(event.timeStamp), { capture: true });
    }
  }

  #wake(atMs) {
    if (!this.output.isHeard) this.wokenMs = atMs;
    this.output.wake();
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
    const { output } = this;
    const button = byId("sound");
    const show = () => {
      button.setAttribute("aria-pressed", String(!output.isMuted));
      if (output.isMuted) button.textContent = "Sound off";
      else if (output.isElsewhere) button.textContent = "Sounds in another tab";
      else button.textContent = output.isRunning ? "Sound on" : "Touch to hear";
    };
    button.addEventListener("click", ({ timeStamp }) => {
      if (timeStamp - this.wokenMs < ONE_TOUCH_MS) return; // this very touch has brought the sound
      output.mute(!output.isMuted);
      localStorage.setItem(REMEMBERED, output.isMuted ? "off" : "on");
    });
    output.addEventListener("change", show);
    show();
  }
}
