"""What an answer may never leave: keys, density, touch, note length, scale, tempo."""

from dataclasses import dataclass

from daemon.parameter_groups.rows import Applies, parameter
from daemon.parameter_groups.scales import WORDS, pitch_classes
from daemon.parameter_groups.switches import Switches
from perceivers.errors import SettingsError
from perceivers.midi_numbers import HIGHEST_VALUE

_HIGHEST_KEY = _LOUDEST = HIGHEST_VALUE


@dataclass(frozen=True, slots=True)
class Limits(Switches):
    """Limits of what sounds, and how what the model writes is made to sound."""

    lowest_key: int = parameter(
        0,
        "MIDI key",
        "no note sounds below this key (60: middle C)",
        applies=Applies.NEXT_TOKEN,
        minimum=0,
        maximum=_HIGHEST_KEY,
    )
    highest_key: int = parameter(
        _HIGHEST_KEY,
        "MIDI key",
        "no note sounds above this key",
        applies=Applies.NEXT_TOKEN,
        minimum=0,
        maximum=_HIGHEST_KEY,
    )
    scale: tuple[str, ...] = parameter(
        (),
        "",
        "only notes of these names, or of the scale of a note and a mode; empty: every note",
        applies=Applies.NEXT_TOKEN,
        choices=WORDS,
    )
    most_notes_per_s: float | None = parameter(
        None,
        "notes/s",
        "so many notes at most in any second; null: as many as it likes",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=200.0,
        optional=True,
    )
    most_keys: int | None = parameter(
        None,
        "keys",
        "so many keys at most are down at once; null: as many as it likes",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=128,
        optional=True,
    )
    longest_note_s: float = parameter(
        6.0,
        "s",
        "a key that is down for so long comes up",
        applies=Applies.NEXT_TOKEN,
        minimum=0.05,
        maximum=60.0,
    )
    transpose: int = parameter(
        0,
        "semitones",
        "the answer sounds so much higher than the model writes it",
        applies=Applies.NEXT_TOKEN,
        minimum=-48,
        maximum=48,
    )
    velocity_scale: float = parameter(
        1.0,
        "",
        "notes sound so many times as loud as the model writes them",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=4.0,
    )
    lowest_velocity: int = parameter(
        1,
        "",
        "no note is softer",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=_LOUDEST,
    )
    highest_velocity: int = parameter(
        _LOUDEST,
        "",
        "no note is louder",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=_LOUDEST,
    )
    tempo_scale: float = parameter(
        1.0,
        "",
        "the answer sounds so many times as fast as the model writes it",
        applies=Applies.NEXT_TOKEN,
        minimum=0.25,
        maximum=4.0,
    )
    quantise: float = parameter(
        0.0,
        "",
        "how far onsets are drawn to the sixteenths of the MIDI clock; 1: all the way",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=1.0,
    )


def refuse_contradictions(limits: Limits) -> None:
    """Raise SettingsError where limits leave nothing between them."""
    for lowest, highest in (
        ("lowest_key", "highest_key"),
        ("lowest_velocity", "highest_velocity"),
    ):
        if getattr(limits, lowest) > getattr(limits, highest):
            raise SettingsError(
                f"{lowest} = {getattr(limits, lowest)} lies above"
                f" {highest} = {getattr(limits, highest)}; set both so that something lies between"
            )
    classes = pitch_classes(limits.scale)
    keys = range(limits.lowest_key, limits.highest_key + 1)
    if classes is not None and not any(key % 12 in classes for key in keys):
        raise SettingsError(
            f"no key from {limits.lowest_key} to {limits.highest_key} belongs to the scale"
            f" {' '.join(limits.scale)}; set other limits, or another scale"
        )
