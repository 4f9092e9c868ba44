"""The player's phrase: its pulse, and when it has ended."""

from dataclasses import replace

import pytest

from daemon.parameters import Parameters
from daemon.stage.phrase import Phrase
from perceivers.events import NoteOff, NoteOn, Pedal

PARAMETERS = Parameters(
    silence_intervals=2.0, silence_least_s=0.5, silence_s=2.0, held_after_s=4.0, phrase_notes=3
)


def phrase_of(*onsets_s: float, length_s: float = 0.05) -> Phrase:
    """Return the phrase of notes that were struck at these moments."""
    phrase = Phrase()
    for onset_s in onsets_s:
        phrase.hear(NoteOn(60, 64), onset_s)
        phrase.hear(NoteOff(60), onset_s + length_s)
    return phrase


def test_the_pause_follows_the_pulse_between_its_bounds() -> None:
    quick = phrase_of(0.0, 0.1, 0.2, 0.3)
    moderate = phrase_of(0.0, 0.4, 0.8, 1.2)
    slow = phrase_of(0.0, 1.5, 3.0, 4.5)

    assert quick.silence_s(PARAMETERS) == 0.5
    assert moderate.silence_s(PARAMETERS) == pytest.approx(0.8)
    assert slow.silence_s(PARAMETERS) == 2.0


def test_who_slows_down_is_given_more_time() -> None:
    assert phrase_of(0.0, 0.2, 0.4, 0.6, 1.2).silence_s(PARAMETERS) == pytest.approx(1.2)


def test_a_chord_is_one_onset() -> None:
    phrase = phrase_of(0.0, 0.01, 0.4, 0.405, 0.41, 0.8)

    assert phrase.interval_s == pytest.approx(0.4)


def test_without_a_pulse_or_a_factor_the_pause_is_the_longest() -> None:
    assert phrase_of(0.0, 0.1).silence_s(PARAMETERS) == 2.0
    fixed = replace(PARAMETERS, silence_intervals=None)
    assert phrase_of(0.0, 0.1, 0.2, 0.3).silence_s(fixed) == 2.0


def test_the_longest_pause_bounds_even_the_shortest() -> None:
    parameters = replace(PARAMETERS, silence_s=0.3)

    assert phrase_of(0.0, 0.1, 0.2, 0.3).silence_s(parameters) == 0.3


def test_only_the_last_intervals_count() -> None:
    early = [number * 1.0 for number in range(10)]
    late = [9.0 + number * 0.1 for number in range(1, 14)]

    assert phrase_of(*early, *late).interval_s == pytest.approx(0.1)


def test_too_few_notes_never_end() -> None:
    assert phrase_of(0.0, 0.1).ends_s(PARAMETERS) is None


def test_a_held_chord_ends_later_or_never() -> None:
    phrase = phrase_of(0.0, 0.1, 0.2)
    phrase.hear(NoteOn(64, 64), 0.3)

    assert phrase.ends_s(PARAMETERS) == 4.3
    assert phrase.ends_s(replace(PARAMETERS, held_after_s=None)) is None


def test_a_move_of_the_pedal_puts_the_end_off() -> None:
    phrase = phrase_of(0.0, 0.1, 0.2)
    phrase.hear(Pedal(False), 1.0)

    assert phrase.ends_s(PARAMETERS) == 1.5


def test_another_phrase_has_a_pulse_of_its_own() -> None:
    phrase = phrase_of(0.0, 0.1, 0.2, 0.3)
    phrase.end()

    assert phrase.interval_s is None
    assert phrase.ends_s(PARAMETERS) is None


def test_beats_go_on_from_the_last_onset() -> None:
    phrase = phrase_of(0.0, 0.4, 0.8)

    assert phrase.next_beat_s(0.9) == pytest.approx(1.2)
    assert phrase.next_beat_s(1.2) == pytest.approx(1.2)
    assert phrase.next_beat_s(1.25) == pytest.approx(1.6)
    assert phrase_of(0.0).next_beat_s(0.9) == 0.9
    assert phrase_of(0.0, 2.1, 4.2).next_beat_s(4.9) == 4.9


def test_lifted_hands_let_go_of_keys_and_pedal() -> None:
    phrase = Phrase()
    for pitch in (64, 60):
        phrase.hear(NoteOn(pitch, 64), 0.0)
    phrase.hear(Pedal(True), 0.1)

    assert phrase.lifted() == [NoteOff(60), NoteOff(64), Pedal(False)]
