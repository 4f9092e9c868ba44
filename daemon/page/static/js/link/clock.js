// The session's time on this page. The daemon counts seconds since it began; the page knows
// `performance.now()`. Frames that go there and back tell the difference between the two.

const KEPT = 30; // about half a minute of frames, one a second
const TRUSTED = 5; // of those, how many of the quickest are averaged at most
const AS_QUICK_MS = 0.5; // and how much slower than the quickest they may be

export class SessionClock {
  constructor() {
    this.forget();
  }

  /** Another session has begun: nothing that was measured before holds. */
  forget() {
    this.samples = [];
    this.offsetS = null;
    this.roundTripMs = null;
  }

  /** A frame left at `sentMs`, came back at `receivedMs`, and was answered at `sessionS`. */
  add(sentMs, receivedMs, sessionS) {
    const roundTripMs = receivedMs - sentMs;
    if (roundTripMs < 0) return;
    // The answer was given somewhere between; the quicker the frame, the less that can be off.
    this.samples.push({ roundTripMs, offsetS: sessionS - (sentMs + receivedMs) / 2000 });
    if (this.samples.length > KEPT) this.samples.shift();
    const sorted = [...this.samples].sort((one, other) => one.roundTripMs - other.roundTripMs);
    this.roundTripMs = sorted[0].roundTripMs;
    const trusted = sorted
      .slice(0, TRUSTED)
      .filter((each) => each.roundTripMs <= this.roundTripMs + AS_QUICK_MS);
    this.offsetS = trusted.reduce((sum, each) => sum + each.offsetS, 0) / trusted.length;
  }

  /** A first guess, until frames have come back: what the daemon said on connecting. */
  guess(sessionS, atMs = performance.now()) {
    if (this.samples.length === 0) this.offsetS = sessionS - atMs / 1000;
  }

  get isSet() {
    return this.offsetS !== null;
  }

  /** Seconds of the session at an instant of this page, now if none is given. */
  sessionS(atMs = performance.now()) {
    return atMs / 1000 + (this.offsetS ?? 0);
  }

  /** The instant of this page, in milliseconds, at a second of the session. */
  pageMs(sessionS) {
    return (sessionS - (this.offsetS ?? 0)) * 1000;
  }
}
