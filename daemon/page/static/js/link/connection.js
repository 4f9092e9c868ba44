// The WebSocket to the page's process: one frame in, one event out; it comes back by itself.

const KEEP_ALIVE_MS = 1000;
const FIRST_CLOCKS_MS = [0, 60, 120, 180, 240, 300, 400, 500, 700]; // so that it is soon right
const SILENT_MS = 6000; // so long without a frame, and the connection counts as lost
const RETRY_MS = [200, 500, 1000, 2000, 4000];
const ANSWER_MS = 10_000;

/** What a command was refused with. */
export class Refused extends Error {
  constructor(error) {
    super(error?.message ?? "the daemon refused");
    this.code = error?.code;
    this.field = error?.field;
  }
}

/**
 * Dispatches `open`, `lost`, and one CustomEvent for each type of frame (`hello`, `event`, `clock`,
 * `notice`, `daemon`), whose `detail` is the frame.
 */
export class Connection extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.socket = null;
    this.waiting = new Map(); // commands that were not answered yet, by id
    this.nextId = 1;
    this.tries = 0;
    this.heardMs = 0;
    setInterval(() => this.#keepAlive(), KEEP_ALIVE_MS);
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => this.#retryNow());
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.retry);
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.tries = 0;
      this.heardMs = performance.now();
      this.dispatchEvent(new Event("open"));
      for (const afterMs of FIRST_CLOCKS_MS) setTimeout(() => this.#askClock(), afterMs);
    });
    socket.addEventListener("message", (message) => this.#take(message.data));
    socket.addEventListener("close", () => this.#lost(socket));
  }

  /** Send a frame if the connection stands; return whether it does. */
  send(frame) {
    if (!this.isOpen) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Have a command carried out; resolve to its result, or reject with Refused. */
  command(cmd, args = {}) {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      if (!this.send({ type: "command", id, cmd, args })) {
        reject(new Refused({ message: "not connected" }));
        return;
      }
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Refused({ message: "no answer from the Performer" }));
      }, ANSWER_MS);
      this.waiting.set(id, { resolve, reject, timer });
    });
  }

  #take(text) {
    const receivedMs = performance.now();
    this.heardMs = receivedMs;
    const frame = JSON.parse(text);
    if (frame.type === "reply") this.#answered(frame);
    else this.dispatchEvent(new CustomEvent(frame.type, { detail: { ...frame, receivedMs } }));
  }

  #answered({ id, ok, result, error }) {
    const asked = this.waiting.get(id);
    if (!asked) return;
    this.waiting.delete(id);
    clearTimeout(asked.timer);
    if (ok) asked.resolve(result);
    else asked.reject(new Refused(error));
  }

  #keepAlive() {
    if (!this.isOpen) return;
    if (performance.now() - this.heardMs > SILENT_MS && document.visibilityState === "visible") {
      this.socket.close();
      this.#lost(this.socket); // a dead peer would not answer the close for a long time
    } else {
      this.#askClock();
    }
  }

  #askClock() {
    this.send({ type: "clock", t: performance.now() });
  }

  #lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new Refused({ message: "the connection was lost" }));
    }
    this.waiting.clear();
    this.dispatchEvent(new Event("lost"));
    const delayMs = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    this.retry = setTimeout(() => this.open(), delayMs);
  }

  #retryNow() {
    if (this.socket === null && document.visibilityState === "visible") this.open();
  }
}
