// The page: what comes from the daemon is seen and heard, what is played here goes to it.

import { Commands } from "./panels/commands.js";
import { Connection } from "./link/connection.js";
import { Hands } from "./hands.js";
import { Keeping } from "./panels/keeping.js";
import { PlayingIn } from "./panels/playing_in.js";
import { Presets } from "./panels/presets.js";
import { Roll } from "./seen/roll.js";
import { Score } from "./seen/score.js";
import { SessionClock } from "./link/clock.js";
import { Sound } from "./sound.js";
import { Status } from "./panels/status.js";
import { Steering } from "./panels/steering.js";
import { byId } from "./panels/elements.js";
import { notify } from "./panels/notices.js";

const ANOTHER_SESSION_S = 2; // the daemon's clock cannot jump by so much unless it is another one

class Page {
  constructor() {
    const address = new URL("/ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = location.search;
    this.clock = new SessionClock();
    this.connection = new Connection(address.href);
    this.score = new Score();
    this.sound = new Sound(this.clock, notify);
    this.hands = new Hands((event) => this.#play(event), notify);
    this.roll = new Roll(byId("roll"), this.score, () => this.clock.sessionS());
    this.steering = new Steering(this.connection);
    this.presets = new Presets(this.connection, (message) => notify(message, "error"));
    this.commands = new Commands(
      this.connection,
      (name) => this.#silenceFor(name),
      (message) => notify(message, "error"),
    );
    this.status = new Status();
    this.playingIn = new PlayingIn(notify);
    this.keeping = new Keeping(this.connection, this.sound.tape, notify);
    this.#bind();
  }

  start() {
    this.connection.open();
    this.sound.load();
    this.playingIn.load();
    this.keeping.load();
  }

  #bind() {
    const { connection } = this;
    const on = (type, take) => connection.addEventListener(type, ({ detail }) => take(detail));
    on("open", () => byId("page").classList.remove("is-away"));
    on("lost", () => this.#lost());
    on("hello", (hello) => this.#hello(hello));
    on("clock", ({ t, receivedMs, session_s: sessionS }) => {
      if (typeof sessionS === "number") this.clock.add(t, receivedMs, sessionS);
    });
    on("notice", ({ message, level }) => notify(message, level));
    on("daemon", ({ alive, message }) => this.#daemon(alive, message));
    on("event", (event) => {
      this.status.count(event);
      this.#events[event.topic]?.(event);
    });
  }

  #events = {
    note: (told) => this.#note(told),
    planned: ({ turn, events }) => {
      this.score.plan(events);
      if (this.sound.output.isRunning) this.sound.answer.plan(turn, events);
    },
    withdrawn: () => {
      this.sound.answer.withdraw();
      this.score.withdraw();
    },
    state: ({ state, time_s: timeS }) => {
      this.status.state(state, this.steering.values);
      if (state === "performing") {
        this.sound.answer.accept();
        this.score.handOver(timeS);
      }
      if (state === "degraded") this.#degraded();
    },
    turn: ({ turn, time_s: timeS }) => {
      this.sound.answer.finish(turn, timeS);
      this.keeping.load();
    },
    parameters: ({ parameters }) => {
      this.steering.show(parameters);
      this.presets.show(parameters);
    },
    metrics: (metrics) =>
      this.status.show(metrics, {
        roundTripMs: this.clock.roundTripMs,
        audioMs: this.sound.latencyMs,
        samples: `${Math.round(100 * this.sound.piano.share)} %`,
      }),
  };

  #play(event) {
    const isSent = this.connection.send({ type: "play", events: [event] });
    this.sound.player.playHere(event, isSent);
    byId("welcome").classList.add("is-over");
  }

  #note(told) {
    this.score.play(told);
    if (told.by === "player") this.sound.player.told(told);
    if (told.event !== "pedal") {
      this.hands.keyboard.light(told.by, told.pitch, told.event === "note_on");
    }
    byId("welcome").classList.add("is-over");
  }

  #hello({ session_s: sessionS, schema, state, parameters, info, recent, receivedMs }) {
    if (this.clock.isSet && Math.abs(this.clock.sessionS(receivedMs) - sessionS) > ANOTHER_SESSION_S) {
      this.clock.forget();
    }
    this.clock.guess(sessionS, receivedMs);
    this.score.clear();
    for (const told of recent) this.score.play(told);
    if (recent.length > 0) byId("welcome").classList.add("is-over");
    this.commands.take(schema);
    this.keeping.take(schema);
    this.steering.take(schema, parameters);
    this.presets.take(info?.presets, parameters);
    this.status.begin(info);
    this.status.state(state.state, parameters, state.missing);
    this.keeping.load();
    this.playingIn.load();
    performance.mark("performer-ready"); // for the figures, and for the browser's own tools
  }

  #daemon(isAlive, message) {
    if (message) notify(message, isAlive ? "info" : "error");
    if (isAlive) return;
    this.hands.letGo();
    this.#performerGone();
    this.status.away(message || "The Performer does not answer; it is waited for.");
  }

  #lost() {
    this.hands.letGo();
    this.sound.player.releaseAll();
    this.#performerGone();
    this.status.away("The connection to the Performer is lost. It is tried again until it is back.");
  }

  /** Something is missing; the event does not say what, but the daemon does when asked. */
  async #degraded() {
    this.#performerGone();
    const asked = await this.connection.command("state").catch(() => null);
    if (asked) this.status.state(asked.state, this.steering.values, asked.missing);
  }

  /** Silence is heard at once; the daemon, which makes it true, answers some milliseconds later. */
  #silenceFor(command) {
    if (command === "panic") this.sound.hush();
    else if (command === "stop") this.sound.answer.refuse();
  }

  /** Whatever the Performer was doing, it does no longer. */
  #performerGone() {
    this.sound.answer.withdraw();
    this.score.withdraw();
    this.score.endAll(this.clock.sessionS(), "performer");
    this.hands.keyboard.darken("performer");
  }
}

const page = new Page();
// For tests, and for whoever looks around in the browser's console: $0 of <main id="page">.
byId("page").performer = page;
page.start();
