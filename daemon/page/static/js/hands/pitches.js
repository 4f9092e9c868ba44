// The 88 keys: which are black, what they are called, where they lie.

export const LOWEST = 21;
export const HIGHEST = 108;
export const WHITE_KEYS = 52;

const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const BLACK = [1, 3, 6, 8, 10];
// Where a black key's middle lies, from its octave's left edge, in white keys. They lie unevenly.
const BLACK_MIDDLE = { 1: 0.92, 3: 2.08, 6: 3.88, 8: 5, 10: 6.12 };
const WHITE_BEFORE = [0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6];

export function isBlack(pitch) {
  return BLACK.includes(pitch % 12);
}

export function isOnKeyboard(pitch) {
  return pitch >= LOWEST && pitch <= HIGHEST;
}

/** The name as musicians say it; middle C is C4. */
export function nameOf(pitch) {
  return `${NAMES[pitch % 12]}${octaveOf(pitch)}`;
}

export function octaveOf(pitch) {
  return Math.floor(pitch / 12) - 1;
}

/** The middle of a key, in white keys from the left edge of the keyboard. */
export function middleOf(pitch) {
  const tone = pitch % 12;
  const octaveAt = (octaveOf(pitch) - 1) * 7 + 2; // A0 and B0 come before the first C
  return octaveAt + (isBlack(pitch) ? BLACK_MIDDLE[tone] : WHITE_BEFORE[tone] + 0.5);
}
