"""What MIDI bytes say about playing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.messages.turns import Clocked, LetGo, ProgramChanged, Switched
from daemon.midi.parser import MidiParser, Played, PlayersPart, Switch
from perceivers.events import NoteOff, NoteOn, Pedal


def parsed(*messages: tuple[int, ...]) -> list[Played]:
    parser = MidiParser()
    results = (parser.parse(bytes(message)) for message in messages)
    return [played for played in results if played is not None]


def test_notes_of_any_channel_are_one_pianists() -> None:
    played = parsed((0x90, 60, 64), (0x9F, 62, 1), (0x80, 60, 64), (0x9F, 62, 0))

    assert played == [NoteOn(60, 64), NoteOn(62, 1), NoteOff(60), NoteOff(62)]


def test_a_key_sent_on_two_channels_is_struck_once_and_released_by_the_last() -> None:
    played = parsed((0x90, 60, 64), (0x91, 60, 64), (0x80, 60, 0), (0x81, 60, 0))

    assert played == [NoteOn(60, 64), NoteOff(60)]


def test_the_pedal_is_a_switch_that_does_not_chatter() -> None:
    played = parsed(*((0xB0, 64, value) for value in (0, 63, 64, 50, 90, 39, 20)))

    assert played == [Pedal(True), Pedal(False)]


def test_what_asks_for_silence_lets_go_of_everything() -> None:
    for message in ((0xB3, 120, 0), (0xB0, 123, 0), (0xFC,), (0xFF,)):
        parser = MidiParser()
        parser.parse(bytes((0x90, 60, 64)))
        parser.parse(bytes((0xB0, 64, 127)))

        assert parser.parse(bytes(message)) == LetGo()
        assert parser.parse(bytes((0xB0, 64, 127))) == Pedal(True)


def test_what_says_nothing_about_playing_is_counted_and_ignored() -> None:
    parser = MidiParser()
    for message in ((0xFB,), (0xFE,), (0xF0, 1, 2, 0xF7), (0xC0, 5), (0xE0, 0, 64), (0xB0, 7, 99)):
        assert parser.parse(bytes(message)) is None

    assert parser.counts == {"ignored": 6}


def test_malformed_messages_are_counted() -> None:
    parser = MidiParser()
    for message in ((), (60, 64), (0x90,), (0x90, 60), (0x90, 60, 200), (0x90, 1, 2, 3)):
        assert parser.parse(bytes(message)) is None

    assert parser.counts == {"malformed": 6}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=5)))
def test_no_bytes_crash_the_parser(messages: list[bytes]) -> None:
    parser = MidiParser()
    for message in messages:
        played = parser.parse(message)
        if isinstance(played, NoteOn):
            assert 1 <= played.velocity <= 127


def test_what_stands_for_a_footswitch_is_no_music() -> None:
    parser = MidiParser()
    parser.switch = Switch(controller=67, key=108, program=5)

    assert parser.parse(b"\xb0\x43\x7f") == Switched(True)
    assert parser.parse(b"\xb3\x43\x32") is None  # between the two thresholds it stays
    assert parser.parse(b"\xb0\x43\x27") == Switched(False)
    assert parser.parse(b"\x90\x6c\x40") == Switched(True)
    assert parser.parse(b"\x90\x6c\x00") == Switched(False)
    assert parser.parse(b"\x80\x6c\x40") == Switched(False)
    assert parser.parse(b"\xc0\x05") == Switched(True, stays=False)
    assert parser.parse(b"\xc0\x06") is None
    assert parser.parse(b"\xb0\x40\x7f") == Pedal(True)
    assert parser.parse(b"\x90\x6b\x40") == NoteOn(107, 64)
    assert parser.counts["ignored"] == 1


def test_programs_stand_for_presets_where_that_is_asked_for() -> None:
    parser = MidiParser()
    parser.switch = Switch(program=5, presets=True)

    assert parser.parse(b"\xc0\x05") == Switched(True, stays=False)
    assert parser.parse(b"\xc3\x06") == ProgramChanged(6)
    assert parser.parse(b"\xc0") is parser.parse(b"\xc0\x90") is None
    assert parser.counts["malformed"] == 2


def test_even_the_sustain_pedal_may_stand_for_a_footswitch() -> None:
    parser = MidiParser()
    parser.switch = Switch(controller=64)

    assert parser.parse(b"\xb0\x40\x7f") == Switched(True)
    assert MidiParser().parse(b"\xc0\x00") is None


def test_only_the_players_channel_and_keys_are_heard() -> None:
    parser = MidiParser(PlayersPart(channel=2, lowest_key=40, highest_key=59))

    heard = [
        parser.parse(bytes(message))
        for message in (
            (0x92, 40, 64), (0x92, 59, 64), (0x92, 60, 64), (0x92, 39, 64), (0x91, 50, 64),
            (0x82, 60, 0), (0x82, 40, 0), (0xB2, 64, 127), (0xB1, 64, 0), (0xB1, 123, 0),
        )
    ]  # fmt: skip

    assert [event for event in heard if event is not None] == [
        NoteOn(40, 64), NoteOn(59, 64), NoteOff(40), Pedal(True),
    ]  # fmt: skip
    assert parser.counts["other_part"] == 6
    assert parser.parse(bytes((0xFC,))) == LetGo()  # of no channel


def test_a_clock_ticks_and_says_where_in_the_song_it_is() -> None:
    assert parsed((0xFA,), (0xF8,), (0xF2, 2, 1), (0xFB,), (0xF2, 2)) == [
        Clocked(sixteenths=0),
        Clocked(),
        Clocked(sixteenths=130),
    ]
