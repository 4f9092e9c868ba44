// What the Performer does, in words that a musician understands.

const DOING = {
  starting: ["Getting ready", "The model is being loaded; that takes a second or two."],
  listening: ["Listening", "Play a phrase and pause: the Performer goes on."],
  capturing: ["Hearing you", "Pause, and the Performer goes on."],
  armed: ["Your pause", "A little more silence, and the answer begins."],
  performing: ["Playing", "Press any key, and it gives way to you."],
  handing_back: ["Handing back", "The answer ends here; your turn."],
  degraded: ["Not complete", "A part is missing; it is being looked for."],
  stopping: ["Ending", "The Performer is being shut down."],
};
const PLAYED_OVER = "Play along if you like; Stop ends the answer.";
const ON_COMMAND = "Play, and press Perform when the Performer shall go on.";
const MISSING = {
  model: "The model does not run just now; it is started again.",
  input: "The MIDI input is gone; it is taken again as soon as it is back.",
  output: "The MIDI output is gone; it is taken again as soon as it is back.",
};
const TOKENS_PER_NOTE = 4.7; // as piano music needs on average

/** The value of a parameter. */
export function shown(value) {
  if (value === null) return "none";
  return Array.isArray(value) ? value.join(", ") || "nothing" : String(value);
}

/** A short name and a sentence for a state. */
export function doing(state, parameters, missing = {}) {
  const [name, sentence] = DOING[state] ?? [spoken(state), ""];
  const [part] = Object.keys(missing);
  if (state === "degraded") return { name, sentence: MISSING[part] ?? sentence };
  if (state === "performing" && parameters.when_played_over !== "yield") {
    return { name, sentence: PLAYED_OVER };
  }
  if (state === "listening" && !parameters.trigger?.includes("silence")) {
    return { name, sentence: ON_COMMAND };
  }
  return { name, sentence };
}

/** Rows [label, value, explanation] that everybody may want to see. */
export function plainRows(metrics, info, lost) {
  const context = info?.model?.context;
  return [
    ["Remembers", remembered(metrics.context_tokens, context), "how much of the music it has in mind"],
    ["Thinks", inMs(metrics.step_ms, "for each token"), "a note is about five tokens"],
    ["Plans ahead", inMs(metrics.lead_ms), "how far its next notes are decided"],
    ["Late", inMs(metrics.send_late_ms_p99), "99 of 100 notes leave sooner after their moment"],
    ["Lost on the way", `${lost} events`, "news of the daemon that did not reach this page"],
  ];
}

/** Rows [label, value] for whoever wants to know more. */
export function furtherRows(metrics, info, link) {
  const model = info?.model ?? {};
  const rows = [
    ["Model", model.model],
    ["Runs on", model.provider && `${model.provider}, ${model.precision}`],
    ["Listens on", info?.input],
    ["Plays on", info?.output],
    ["Heard and not yet read", counted(metrics.lag_tokens, "tokens")],
    ["Late, half of the notes", inMs(metrics.send_late_ms_p50)],
    ["To the daemon and back", inMs(link.roundTripMs)],
    ["Sound leaves after", inMs(link.audioMs)],
    ["Samples of the piano", link.samples],
    ...Object.entries(metrics.counts ?? {}).map(([name, count]) => [spoken(name), `${count}`]),
  ];
  return rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
}

/** The name of a parameter, command or count as people write it. */
export function spoken(name) {
  const words = name.replace(/(?<!_per)_s$/, "").replaceAll("_", " "); // a unit is shown elsewhere
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Seconds as minutes and seconds. */
export function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function remembered(tokens, context) {
  if (tokens === null || tokens === undefined) return "–";
  const kept = context ? Math.min(tokens, context) : tokens;
  const notes = Math.round(kept / TOKENS_PER_NOTE);
  const share = context ? `, ${Math.round((100 * kept) / context)} % of its memory` : "";
  return `about ${notes.toLocaleString("en")} notes${share}`;
}

function inMs(value, after = "") {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) < 10 ? 1 : 0;
  return `${value.toFixed(digits)} ms${after && " "}${after}`;
}

function counted(value, unit) {
  return value === null || value === undefined ? null : `${value} ${unit}`;
}
