"""What passes on of the player's own, and that whatever passed can be released."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.midi.footprint import FOOTPRINT_SIZE, Footprint
from daemon.midi.thru import Thru

ON, OFF = bytes((0x92, 60, 64)), bytes((0x82, 60, 10))
PEDAL_DOWN, PEDAL_UP = bytes((0xB2, 64, 127)), bytes((0xB2, 64, 0))


class Rig:
    """A thru that is open, whose messages all leave."""

    def __init__(self, memory: bytearray | None = None) -> None:
        self.memory = memory or bytearray(FOOTPRINT_SIZE)
        self.thru = Thru(Footprint(self.memory))
        self.thru.is_open = True

    def send(self, *messages: bytes, pedal_channel: int | None = None) -> list[bytes]:
        admitted = [self.thru.admits(message, pedal_channel) for message in messages]
        return self._leave([message for message in admitted if message is not None])

    def release(self) -> list[bytes]:
        return self._leave(self.thru.releases())

    def _leave(self, messages: list[bytes]) -> list[bytes]:
        for message in messages:
            self.thru.left(message)
        return messages


def test_it_passes_what_sounds_as_it_is() -> None:
    messages = [
        ON,
        bytes((0xE2, 0, 70)),
        bytes((0xD2, 30)),
        bytes((0xA2, 60, 9)),
        bytes((0xB2, 1, 99)),
        bytes((0xC2, 5)),
        OFF,
    ]

    assert Rig().send(*messages) == messages


@pytest.mark.parametrize("message", [bytes((0xF8,)), bytes((0xFA,)), bytes((0xF2, 1, 2))])
def test_what_is_of_no_channel_does_not_pass(message: bytes) -> None:
    assert Rig().send(message) == []


def test_once_closed_it_lets_pass_only_what_releases() -> None:
    rig = Rig()
    rig.send(ON, PEDAL_DOWN)

    rig.thru.is_open = False

    assert rig.send(bytes((0x92, 62, 64)), bytes((0xE2, 0, 70))) == []
    assert rig.send(bytes((0x82, 62, 0))) == []
    assert rig.send(OFF, PEDAL_UP) == [OFF, PEDAL_UP]
    assert rig.send(OFF, PEDAL_UP, PEDAL_DOWN) == []
    assert not any(rig.memory)


def test_a_pedal_may_pass_as_it_is_moved_or_as_a_switch() -> None:
    moves = [bytes((0xB0, 64, value)) for value in (20, 50, 90, 50, 20, 0)]
    rig = Rig()
    assert rig.send(*moves) == moves

    rig.thru.half_pedal = False
    assert rig.send(*moves) == [bytes((0xB0, 64, 127)), bytes((0xB0, 64, 0))]


def test_while_the_performer_holds_the_pedal_of_the_channel_the_players_waits() -> None:
    rig = Rig()

    assert rig.send(PEDAL_DOWN, pedal_channel=2) == []
    assert rig.thru.pedal(2) == 127
    assert rig.send(PEDAL_UP, pedal_channel=2) == []
    assert rig.thru.pedal(2) == 0
    assert rig.send(PEDAL_DOWN, pedal_channel=3) == [PEDAL_DOWN]


def test_all_that_passed_can_be_released_also_by_who_comes_after() -> None:
    memory = Rig().memory
    rig = Rig(memory)
    rig.send(ON, bytes((0x90, 61, 1)), PEDAL_DOWN)

    successor = Rig(memory)

    assert successor.release() == [bytes((0x80, 61, 64)), bytes((0x82, 60, 64)), PEDAL_UP]
    assert not any(memory)
    assert successor.release() == []


def test_a_device_that_asks_for_silence_owes_nothing_any_more() -> None:
    rig = Rig()
    rig.send(ON, bytes((0x90, 61, 1)), bytes((0xB2, 123, 0)))

    assert rig.release() == [bytes((0x80, 61, 64))]


channel_messages = st.builds(
    lambda kind, channel, number, value: bytes((kind | channel, number, value)),
    st.sampled_from([0x80, 0x90, 0xB0]),
    st.integers(0, 1),
    st.sampled_from([60, 61, 64, 123]),
    st.sampled_from([0, 30, 64, 127]),
)


@given(st.lists(st.tuples(channel_messages, st.booleans(), st.booleans())))
def test_whatever_comes_nothing_is_left_down(steps: list[tuple[bytes, bool, bool]]) -> None:
    rig = Rig()
    down: dict[tuple[int, ...], int] = {}

    def see(sent: list[bytes]) -> None:
        for message in sent:
            kind, channel = message[0] & 0xF0, message[0] & 0x0F
            if kind == 0xB0 and message[1] == 123:
                for key in [key for key in down if key[0] == channel and len(key) == 2]:
                    del down[key]
            elif kind == 0xB0 and message[1] == 64:
                down[channel,] = message[2]
            elif kind in (0x80, 0x90):
                down[channel, message[1]] = message[2] if kind == 0x90 else 0

    for message, is_open, half_pedal in steps:
        rig.thru.is_open, rig.thru.half_pedal = is_open, half_pedal
        see(rig.send(message))
        held = {key for key, value in down.items() if value}
        assert bool(held) == any(rig.memory)

    see(rig.release())

    assert not any(down.values())
    assert not any(rig.memory)
