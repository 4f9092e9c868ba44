"""What the output is told to do: what turns decide, and thru and lamps as parameters and state ask.

Runs in the thread of the core.
"""

from collections.abc import Iterable

from daemon.control.mapping import Assignment
from daemon.messages import turns as t
from daemon.messages.turns import Control, ControlKind, State
from daemon.midi.beside import Beside
from daemon.midi.output import Output
from daemon.parameters import Parameters, Passes, WhenPlayedOver
from daemon.stage.surroundings import NS_PER_S, Clock
from perceivers.events import Event
from perceivers.midi_files import message_bytes
from perceivers.midi_numbers import CLOCKS_PER_BEAT, CONTROL_CHANGE, HIGHEST_VALUE

LAMPS = {
    State.STARTING: 0,
    State.DEGRADED: 0,
    State.STOPPING: 0,
    State.LISTENING: 16,
    State.CAPTURING: 32,
    State.ARMED: 64,
    State.HANDING_BACK: 96,
    State.PERFORMING: HIGHEST_VALUE,
}
"""What the lamp's controller says in each state."""


def passes(parameters: Parameters, state: State) -> bool:
    """Tell whether what the player strikes passes on; what ends an answer is no part of it."""
    if parameters.thru == Passes.BETWEEN:
        is_yielding = parameters.when_played_over == WhenPlayedOver.YIELD
        return state is not State.PERFORMING or is_yielding
    return parameters.thru == Passes.ALWAYS


class Instrument:
    """Tells it."""

    def __init__(self, output: Output, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        self._lamp: bytes | None = None  # as it was shown last
        self._places: dict[int, int] = {}  # of controllers, as they were moved or shown last

    def do(self, action: t.ToOutput) -> None:
        """Let the output do what the turns have decided."""
        output, nanoseconds = self._output, self._clock.nanoseconds
        match action:
            case t.Play(events, channel):
                output.play([(nanoseconds(at_s), event) for at_s, event in events], channel)
            case t.Hold(pitches):
                output.hold(pitches)
            case t.Withdraw(after_s):
                output.withdraw(nanoseconds(after_s))
            case t.Release():
                output.release()
            case t.ReleaseAfterPlan():
                output.finish()
            case t.SilenceAll():
                output.panic()
            case t.StartClock(first_s, beat_s):
                tick_ns = round(beat_s * NS_PER_S / CLOCKS_PER_BEAT)
                output.aside(lambda beside: beside.start_clock(nanoseconds(first_s), tick_ns))
            case t.StopClock():
                output.aside(Beside.stop_clock)

    def follows(
        self, parameters: Parameters, state: State, assignments: Iterable[Assignment]
    ) -> bool:
        """Let all be as parameters and state ask; tell whether what is played passes on.

        assignments: what controllers and keys do.
        """
        is_open = passes(parameters, state)
        self._output.let_through(is_open=is_open, half_pedal=parameters.half_pedal)
        self._show_state(parameters, state)
        if parameters.lamp_mappings:
            self._show_places(parameters, assignments)
        return is_open

    def _show_state(self, parameters: Parameters, state: State) -> None:
        if parameters.lamp_controller is None:
            self._lamp = None
            return
        lamp = _controller(parameters, parameters.lamp_controller, LAMPS[state])
        if lamp != self._lamp:
            self._lamp = lamp
            self._output.show(lamp)

    def _show_places(self, parameters: Parameters, assignments: Iterable[Assignment]) -> None:
        """Show the values of parameters, but to whom has just turned them."""
        for each in assignments:
            value = getattr(parameters, each.target, None)
            if each.control is not ControlKind.CONTROLLER or value is None:
                continue
            before = self._places.get(each.number)
            if before is None or each.value_at(before) != value:
                self._places[each.number] = place = each.place_of(value)
                self._output.show(_controller(parameters, each.number, place))

    def moved(self, control: Control, place: int) -> None:
        """Take note of where the player has put a controller."""
        if control.kind is ControlKind.CONTROLLER:
            self._places[control.number] = place

    def plugged_in(self) -> None:
        """Take note that whoever was shown something may have lost it."""
        self._lamp = None
        self._places.clear()

    def pass_on(self, event: Event, channel: int) -> None:
        """Let what a client plays pass, on a channel (0 to 15)."""
        self._output.pass_on(message_bytes(event, channel))

    def player_is_gone(self) -> None:
        """Release what was passed on."""
        self._output.aside(Beside.release_passed)


def _controller(parameters: Parameters, number: int, value: int) -> bytes:
    return bytes((CONTROL_CHANGE | (parameters.lamp_channel - 1), number, value))
