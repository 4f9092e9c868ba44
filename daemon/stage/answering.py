"""What is answered to a command once it was carried out, and the facts that are told.

Runs in the thread of the core.
"""

from collections.abc import Sequence

from daemon.control.commands import Answers, Result
from daemon.control.replies import changed, chosen, schema
from daemon.control.requests import Request
from daemon.messages import turns as t
from daemon.messages.brain import BrainReady
from daemon.midi.listener import Listener
from daemon.midi.output import Output
from daemon.stage import descriptions
from daemon.stage.inbox import Outcome
from daemon.stage.learnt import Learnt, Publish
from daemon.stage.players import Players
from daemon.stage.surroundings import Clock
from daemon.stage.turns import Turns
from perceivers.errors import PerformerError


class Answering:
    """Knows whom to ask."""

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        listener: Listener,
        output: Output,
        players: Players,
        learnt: Learnt,
    ) -> None:
        self.model: BrainReady | None = None
        """What plays, once it is there."""
        self._turns = turns
        self._clock = clock
        self._listener = listener
        self._output = output
        self._players = players
        self._learnt = learnt

    @property
    def ports(self) -> descriptions.PortNames:
        """The names of input and output."""
        return self._listener.port.name, self._output.port.name

    @property
    def counts(self) -> dict[str, int]:
        """What was not heard and what was not sent, by reason."""
        heard = self._listener.parser.counts | {
            "echoes": self._listener.echoes,
            "clock_refused": self._turns.tempo.refused,
        }
        return {f"input_{reason}": count for reason, count in heard.items()} | {
            f"output_{reason}": count for reason, count in self._output.counts.items()
        }

    def outcome(
        self, request: Request, publish: Publish, actions: Sequence[t.Action] = ()
    ) -> Outcome:
        """Return the answer to a request, upon which the turns decided so; or why there is none."""
        try:
            return self._answer(request, publish, actions)
        except PerformerError as error:
            return error

    def _answer(self, request: Request, publish: Publish, actions: Sequence[t.Action]) -> Result:
        turns = self._turns
        match request.command.answers:
            case Answers.PARAMETERS:
                return chosen(turns.parameters, request.values.get("names", ()))
            case Answers.CHANGED:
                names = [
                    name for each in actions if isinstance(each, t.Changed) for name in each.names
                ]
                return changed(turns.parameters, names)
            case Answers.INFO:
                return descriptions.info(self.model, self.ports, self.counts, turns.presets)
            case Answers.SCHEMA:
                return schema()
            case Answers.STATE:
                return descriptions.state(turns, self._clock.now_s())
            case Answers.MAPPINGS:
                return self._learnt.answer(request, publish)
            case Answers.HELD:
                keys, pedal = self._players.held_by(request.client)
                return descriptions.held(keys, pedal=pedal)
