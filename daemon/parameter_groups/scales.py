"""Scales in words: names of notes (`c e g`), or a note and a mode (`c major`)."""

from collections.abc import Sequence

from perceivers.errors import SettingsError

_NOTES = {
    "c": 0, "c#": 1, "db": 1, "d": 2, "d#": 3, "eb": 3, "e": 4, "f": 5, "f#": 6, "gb": 6,
    "g": 7, "g#": 8, "ab": 8, "a": 9, "a#": 10, "bb": 10, "b": 11,
}  # fmt: skip
_MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic_minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole_tone": (0, 2, 4, 6, 8, 10),
    "octatonic": (0, 2, 3, 5, 6, 8, 9, 11),
}  # in semitones above the note that the mode is on
WORDS = (*_NOTES, *_MODES)


def pitch_classes(words: Sequence[str]) -> frozenset[int] | None:
    """Return which notes (0: C, to 11: B) a scale holds; None: every one.

    Raises SettingsError for a mode that stands on no note, or on several.
    """
    if not words:
        return None
    notes = [_NOTES[word] for word in words if word in _NOTES]
    modes = [word for word in words if word in _MODES]
    if not modes:
        return frozenset(notes)
    if len(notes) != 1 or len(modes) != 1:
        raise SettingsError(
            f"scale = {' '.join(words)} is not allowed; one note and one mode, such as c major, or"
            " notes alone, such as c e g"
        )
    return frozenset((notes[0] + step) % 12 for step in _MODES[modes[0]])
