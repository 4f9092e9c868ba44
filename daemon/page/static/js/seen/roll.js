// The flowing piano roll: time runs to the right, the line of now stands near the right edge.

import { isBlack, nameOf } from "../hands/pitches.js";

const AHEAD_S = 0.7; // room for what is planned
const LEAST_PITCHES = 40;
const MARGIN_PITCHES = 3;
const EASE = 0.06; // how quickly the range of pitches follows the music, per frame
const SHADES = 8; // of velocity
const FAINTEST = 0.42; // how much colour the softest touch has
const PEDAL_HEIGHT = 5;
const FOOT = 22; // below the notes: two pedals
const HEAD = 26; // above them: what hand-overs say
const FAINT = 0.28;
const MOST_PIXEL_RATIO = 2;
const CROWD = 600;
const NARROW = 700;

export class Roll {
  /** `score` is drawn onto `canvas` at the time that `nowS` returns. */
  constructor(canvas, score, nowS) {
    this.canvas = canvas;
    this.score = score;
    this.nowS = nowS;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.low = 45;
    this.high = 85;
    this.drawnMs = []; // what frames took, for the figures
    this.isEmpty = true;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#colour());
    this.#fit();
    this.#colour();
    requestAnimationFrame(() => this.#frame());
  }

  #fit() {
    const ratio = Math.min(devicePixelRatio || 1, MOST_PIXEL_RATIO);
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.width = width;
    this.height = height;
    this.perSecond = Math.min(Math.max(width / 16, 44), 120);
    this.nowX = width - AHEAD_S * this.perSecond;
    this.isDirty = true;
  }

  #colour() {
    const style = getComputedStyle(this.canvas);
    const read = (name) => style.getPropertyValue(name).trim();
    this.colours = {
      ground: read("--roll"), black: read("--roll-black"), line: read("--roll-line"),
      ink: read("--ink"), soft: read("--ink-soft"),
      player: read("--player"), performer: read("--performer"),
    };
    const shades = (colour) =>
      Array.from({ length: SHADES }, (_, step) =>
        mixed(colour, this.colours.ground, FAINTEST + ((1 - FAINTEST) * step) / (SHADES - 1)),
      );
    this.shades = { player: shades(this.colours.player), performer: shades(this.colours.performer) };
    this.font = `12px ${style.fontFamily}`;
    this.isDirty = true;
  }

  #frame() {
    requestAnimationFrame(() => this.#frame());
    const beganMs = performance.now();
    const nowS = this.nowS();
    this.score.prune(nowS);
    const { notes, planned, pedals, handovers } = this.score;
    const isEmpty = notes.length + planned.length + pedals.length + handovers.length === 0;
    // Nothing to see flows: a page that is left open on the piano shall cost nothing.
    if (isEmpty && this.isEmpty && !this.isDirty) return;
    this.isEmpty = isEmpty;
    this.isDirty = false;
    this.#draw(nowS);
    this.drawnMs.push(performance.now() - beganMs);
    if (this.drawnMs.length > 1200) this.drawnMs.shift();
  }

  #draw(nowS) {
    this.pen.font = this.font;
    this.pen.textBaseline = "middle";
    const fromS = nowS - this.nowX / this.perSecond;
    const seen = this.score.notes.filter(({ onS, offS }) => onS <= nowS && (offS ?? nowS) >= fromS);
    this.isCrowded = seen.length > CROWD;
    this.#followPitches(seen);
    this.#ground();
    this.pen.save();
    this.pen.beginPath();
    this.pen.rect(0, HEAD, this.width, this.height - HEAD - FOOT);
    this.pen.clip(); // a pitch that is still gliding into sight stays within
    this.#notes(seen, nowS);
    this.#planned(seen, nowS);
    this.pen.restore();
    this.#handovers(nowS, fromS);
    this.#pedals(nowS, fromS);
    this.#lineOfNow();
    this.#names();
  }

  /** Let the range of pitches glide to what is seen. */
  #followPitches(seen) {
    let low = 127;
    let high = 0;
    for (const { pitch } of seen) {
      if (pitch < low) low = pitch;
      if (pitch > high) high = pitch;
    }
    for (const { pitch } of this.score.planned) {
      if (pitch < low) low = pitch;
      if (pitch > high) high = pitch;
    }
    if (low > high) return;
    const missing = Math.max(0, LEAST_PITCHES - (high - low + 2 * MARGIN_PITCHES));
    const lowest = Math.max(0, low - MARGIN_PITCHES - missing / 2);
    const highest = Math.min(127, Math.max(high + MARGIN_PITCHES, lowest + LEAST_PITCHES));
    this.low += (lowest - this.low) * EASE;
    this.high += (highest - this.high) * EASE;
  }

  #x(timeS, nowS) {
    return this.nowX + (timeS - nowS) * this.perSecond;
  }

  #y(pitch) {
    return HEAD + (this.high - pitch) * this.step;
  }

  #ground() {
    const { pen, colours } = this;
    this.step = (this.height - HEAD - FOOT) / (this.high - this.low + 1);
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, this.width, this.height);
    const lowest = Math.ceil(this.low);
    pen.fillStyle = colours.black;
    for (let pitch = lowest; pitch <= this.high; pitch++) {
      if (isBlack(pitch)) pen.fillRect(0, this.#y(pitch), this.width, this.step);
    }
    pen.fillStyle = colours.line;
    for (let pitch = lowest + ((120 - lowest) % 12); pitch <= this.high; pitch += 12) {
      pen.fillRect(0, this.#y(pitch) + this.step - 0.5, this.width, 1);
    }
  }

  /** Words at the left edge, over whatever flows by. */
  #names() {
    const { pen, colours } = this;
    const write = (words, y) => {
      pen.fillStyle = colours.ground;
      pen.globalAlpha = 0.8;
      pen.fillRect(0, y - 8, pen.measureText(words).width + 12, 16);
      pen.globalAlpha = 1;
      pen.fillStyle = colours.soft;
      pen.fillText(words, 6, y);
    };
    const lowest = Math.ceil(this.low);
    for (let pitch = lowest + ((120 - lowest) % 12); pitch <= this.high; pitch += 12) {
      write(nameOf(pitch), this.#y(pitch) + this.step / 2);
    }
    if (this.score.pedals.length > 0) write("Pedal", this.height - FOOT / 2 + 1);
  }

  /** Notes of one shade after another: changing the colour is what costs. */
  #notes(seen, nowS) {
    const groups = new Map();
    for (const note of seen) {
      const shade = this.shades[note.by][shadeOf(note.velocity)];
      if (groups.has(shade)) groups.get(shade).push(note);
      else groups.set(shade, [note]);
    }
    for (const [shade, notes] of groups) {
      this.pen.fillStyle = shade;
      this.pen.beginPath();
      for (const note of notes) this.#bar(note.pitch, note.onS, note.offS ?? nowS, nowS);
      this.pen.fill();
    }
  }

  #planned(seen, nowS) {
    const { pen } = this;
    pen.globalAlpha = FAINT;
    pen.fillStyle = this.colours.performer;
    pen.beginPath();
    for (const { pitch, onS, offS } of this.score.planned) {
      this.#bar(pitch, Math.max(onS, nowS), offS ?? onS + AHEAD_S, nowS);
    }
    for (const { pitch, offS, plannedOffS } of seen) {
      if (offS === null && plannedOffS > nowS) this.#bar(pitch, nowS, plannedOffS, nowS);
    }
    pen.fill();
    pen.globalAlpha = 1;
  }

  #bar(pitch, fromS, toS, nowS) {
    if (toS < fromS) return;
    const left = this.#x(fromS, nowS);
    const width = Math.max((toS - fromS) * this.perSecond - 1, 2.5);
    const gap = Math.min(1, this.step / 8);
    const height = Math.max(this.step - 2 * gap, 1.5);
    const top = this.#y(pitch) + gap;
    // Round corners are for the eye; a crowd of notes is drawn quicker without.
    if (this.isCrowded) this.pen.rect(left, top, width, height);
    else this.pen.roundRect(left, top, width, height, Math.min(height, width) / 3);
  }

  #pedals(nowS, fromS) {
    const { pen } = this;
    for (const { by, downS, upS } of this.score.pedals) {
      if ((upS ?? nowS) < fromS) continue;
      const y = this.height - FOOT + 5 + (by === "player" ? 0 : PEDAL_HEIGHT + 3);
      const left = this.#x(downS, nowS);
      pen.fillStyle = this.shades[by][3];
      pen.fillRect(left, y, Math.max(this.#x(upS ?? nowS, nowS) - left, 2), PEDAL_HEIGHT);
    }
  }

  #handovers(nowS, fromS) {
    const { pen } = this;
    for (const { atS, firstMs } of this.score.handovers) {
      if (atS < fromS - 3) continue;
      const x = Math.round(this.#x(atS, nowS));
      pen.fillStyle = this.colours.performer;
      for (let y = HEAD - 4; y < this.height - FOOT; y += 8) pen.fillRect(x, y, 1, 4);
      if (firstMs === null) continue;
      pen.fillStyle = this.colours.ink;
      const words = `first note after ${inWords(firstMs)}`;
      const width = pen.measureText(words).width;
      // On a narrow roll the legend needs the whole head.
      const y = this.width < NARROW ? HEAD + 8 : HEAD / 2;
      pen.fillText(words, Math.min(x + 6, this.width - width - 8), y);
    }
  }

  #lineOfNow() {
    this.pen.fillStyle = this.colours.ink;
    this.pen.fillRect(this.nowX, HEAD - 4, 1, this.height - HEAD - FOOT + 4);
  }
}

function shadeOf(velocity) {
  return Math.min(SHADES - 1, (velocity * SHADES) >> 7);
}

/** A colour between two that are written as #rrggbb, with a share of the first. */
function mixed(one, other, share) {
  const channel = (colour, at) => Number.parseInt(colour.slice(at, at + 2), 16);
  const mixedAt = (at) => Math.round(channel(one, at) * share + channel(other, at) * (1 - share));
  return `rgb(${[1, 3, 5].map(mixedAt).join(" ")})`;
}

function inWords(milliseconds) {
  return milliseconds < 995 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
