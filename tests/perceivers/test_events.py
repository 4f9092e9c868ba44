import pytest

from perceivers.events import Pedal, PedalSwitch


def test_a_pedal_that_rests_near_the_middle_does_not_chatter():
    switch = PedalSwitch()

    changes = [switch.feed(value) for value in (0, 63, 64, 70, 60, 45, 40, 63, 39, 50, 63, 64)]

    said = [change for change in changes if change is not None]
    assert said == [Pedal(True), Pedal(False), Pedal(True)]
    assert [i for i, change in enumerate(changes) if change is not None] == [2, 8, 11]


@pytest.mark.parametrize("value", range(128))
def test_any_value_leaves_the_switch_where_the_hysteresis_says(value: int):
    from_above, from_below = PedalSwitch(), PedalSwitch()
    from_above.feed(127)
    from_below.feed(0)

    from_above.feed(value)
    from_below.feed(value)

    assert from_above.down == (value >= 40)
    assert from_below.down == (value >= 64)


def test_a_switch_pedal_says_each_change_once():
    switch = PedalSwitch()

    assert switch.feed(127) == Pedal(True)
    assert switch.feed(127) is None
    assert switch.feed(0) == Pedal(False)
    assert switch.feed(0) is None
