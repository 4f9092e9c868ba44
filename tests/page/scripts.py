"""What runs inside the page while it is measured."""

# Collects, for each press of a computer's key: milliseconds until the output was loud, until the
# daemon's `note` event by the daemon's clock, and until that event was back at the page.
PRESSES_WATCHED = """
const p = document.getElementById("page").performer;
const meter = new AnalyserNode(p.sound.output.context, { fftSize: 256 });
p.sound.player.strings.bus.connect(meter);
const samples = new Float32Array(256);
const level = () => {
  meter.getFloatTimeDomainData(samples);
  return samples.reduce((peak, each) => Math.max(peak, Math.abs(each)), 0);
};
window.watched = { soundMs: [], noteMs: [], seenMs: [] };
let pressed = null;
const channel = new MessageChannel();
channel.port1.onmessage = () => {
  if (pressed === null) return;
  if (level() > pressed.level + 0.004) {
    window.watched.soundMs.push(performance.now() - pressed.atMs);
    pressed = null;
  } else if (performance.now() < pressed.atMs + 200) channel.port2.postMessage(null);
};
addEventListener("keydown", (event) => {
  p.sound.player.strings.hush(); // each press out of silence
  pressed = { atMs: event.timeStamp, level: 0.004 };
  window.lastPressMs = event.timeStamp;
  channel.port2.postMessage(null);
}, { capture: true });
p.connection.addEventListener("event", ({ detail }) => {
  if (detail.topic !== "note" || detail.event !== "note_on" || detail.by !== "player") return;
  window.watched.noteMs.push((detail.at_s - p.clock.sessionS(window.lastPressMs)) * 1000);
  window.watched.seenMs.push(performance.now() - window.lastPressMs);
});
"""

# Replaces the Performer's piano by clicks and notes, sample by sample, when each begins.
ONSET_METER = {
    "worklet": """
registerProcessor("onsets", class extends AudioWorkletProcessor {
  constructor() { super(); this.quiet = 480; }
  process([[samples]]) {
    if (samples) samples.forEach((sample, at) => {
      if (Math.abs(sample) > 1e-3) {
        if (this.quiet >= 96) this.port.postMessage((currentFrame + at) / sampleRate);
        this.quiet = 0;
      } else this.quiet += 1;
    });
    return true;
  }
});
""",
    "page": """
const [encoded, done] = arguments;
const p = document.getElementById("page").performer;
const { context } = p.sound.output;
const click = new AudioBuffer({ length: 48, sampleRate: context.sampleRate });
click.getChannelData(0).fill(1);
p.sound.answer.strings.piano = {
  sound: () => ({ buffer: click, rate: 1, gain: 0.5, brightHz: 20000 }),
};
context.audioWorklet.addModule(`data:text/javascript;base64,${encoded}`).then(() => {
  const mono = { channelCount: 1, channelCountMode: "explicit" };
  const node = new AudioWorkletNode(context, "onsets", mono);
  p.onsets = [];
  node.port.onmessage = ({ data }) => p.onsets.push(data);
  p.sound.answer.strings.bus.connect(node);
  done();
});
""",
}

# Fills the roll with 2,000 notes that are all in sight, and returns when each frame came.
TWO_THOUSAND_NOTES = """
const [seconds, done] = arguments;
const p = document.getElementById("page").performer;
const nowS = p.clock.sessionS();
const longS = p.roll.nowX / p.roll.perSecond - seconds - 0.5;
p.score.clear();
for (let index = 0; index < 2000; index++) {
  const onS = nowS - longS * (1 - index / 2000);
  const by = index % 2 ? "player" : "performer";
  const pitch = 30 + ((index * 7) % 70);
  p.score.notes.push({
    by, pitch, velocity: 1 + ((index * 37) % 127), onS, offS: onS + 0.3, plannedOffS: null,
  });
}
const times = [];
const frame = (atMs) => {
  times.push(atMs);
  if (atMs < times[0] + seconds * 1000) requestAnimationFrame(frame);
  else done(times);
};
requestAnimationFrame(frame);
"""
