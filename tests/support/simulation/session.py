"""One session: a stage, a brain, a musician and a witness on one line of time."""

import random
from collections.abc import Iterator

from daemon.messages.turns import Occurrence, State
from daemon.parameters import Parameters, with_changes
from perceivers.events import Event
from perceivers.midi_files import message_bytes
from tests.support.simulation.laws import LawBrokenError, Witness
from tests.support.simulation.musician import PERFORMER_CHANNEL, Musician, any_changes, bytes_of
from tests.support.simulation.stage import Kept, SimulatedStage
from tests.support.simulation.time_line import TimeLine

BEAT_S = 0.5  # as the core has it
MOST_S = 10_000.0


class Session:
    """What the musician plays with: it stays, whatever is replaced behind it."""

    def __init__(self, seed: int, make_stage: type[SimulatedStage] = SimulatedStage) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.line = TimeLine()
        self.witness = Witness()
        self._make_stage = make_stage
        self._kept = Kept(with_changes(Parameters(), any_changes(self.rng)))
        self.stage = self._new_stage()
        self.musician = Musician(self.rng, self)
        self._input_plugged = True
        self._is_client = False

    def _new_stage(self) -> SimulatedStage:
        return self._make_stage(self.line, self.rng, self.witness, self._kept)

    def run(self, turns: int) -> int:
        """Play until so many turns were begun; return how many. Raises LawBrokenError."""
        try:
            self._beat()
            self.stage.start_brain()
            self._go_on(self.musician.play())
            while self.witness.turns_begun < turns and self.line.now_s < MOST_S:
                self.line.step()
            self._finish()
        except Exception as error:
            raise self._told(error) from error
        return self.witness.turns_begun

    def _finish(self) -> None:
        self._go_on(self.musician.make_peace())
        until_s = self.line.now_s + 20.0
        while self.line.now_s < until_s:
            self.line.step()
        self.stage.leave()
        self.witness.finally_at_rest()

    def _go_on(self, playing: Iterator[float]) -> None:
        """Let the musician go on, step by step, until another does."""
        self._playing = playing

        def step() -> None:
            if self._playing is playing:
                pause_s = next(playing, None)
                if pause_s is not None:
                    self.line.after(pause_s, step)

        self.line.after(0.0, step)

    def _beat(self) -> None:
        self.stage.beat()
        self.line.after(BEAT_S, self._beat)

    def _told(self, error: Exception) -> LawBrokenError:
        lines = [f"{time_s:10.4f}  {what}" for time_s, what in self.witness.trace]
        lines.append(f"{type(error).__name__}: {error}")
        lines.append(f"play it again: Session({self.seed}).run(...)")
        return LawBrokenError("\n".join(lines))

    # What the musician does.

    @property
    def state(self) -> State:
        return self.stage.turns.state

    def play(self, event: Event) -> None:
        if not self._input_plugged:
            return
        if self._is_client:  # to whom own output has no channel
            message = message_bytes(event, PERFORMER_CHANNEL - 1)
            self.witness.player_does(event, message, self.line.now_s)
            self.stage.play_as_client(event)
        else:
            message = bytes_of(event)
            self.witness.player_does(event, message, self.line.now_s)
            self.stage.receive(message)

    def sit_at(self, *, is_client: bool) -> None:
        """Play from now on as a client, or through the port."""
        self._is_client = is_client

    def send(self, message: bytes) -> None:
        if self._input_plugged:
            self.stage.receive(message)

    def command(self, command: Occurrence) -> None:
        number = self.witness.asked(command, self.line.now_s)
        self.stage.command(command, lambda: self.witness.answered(number, command))

    def plug_input(self, plugged: bool) -> None:
        if plugged is not self._input_plugged:
            self._input_plugged = plugged
            self.witness.may_be_lost()
            self.stage.input_present(plugged)

    def plug_output(self, plugged: bool) -> None:
        self.witness.unplugged(not plugged)
        self.stage.wire.plugged = plugged

    def lose_brain(self) -> None:
        self.stage.lose_brain()

    def start_brain(self) -> None:
        self.stage.start_brain()

    def replace_stage(self) -> None:
        """The stage is killed, and another takes its place."""
        wire = self.stage.wire
        self.stage.kill()
        self.stage = self._new_stage()
        self.stage.wire.plugged = wire.plugged
        self.plug_input(True)

    def loop(self, is_loop: bool) -> None:
        self.stage.wire.is_loop = is_loop
