"""Taking the last exchange back: another answer from the same hand-over, or none.

Pure, like the turns, which decide what is done when.
"""

from dataclasses import replace

from daemon.messages import turns as t
from daemon.messages.turns import Action
from daemon.stage.floor import SEED_BITS, Floor


class TakingBack(Floor):
    """The floor, and how an exchange is taken back."""

    def _taken_back(self, command: t.AnotherTake | t.Undo) -> list[Action]:
        """Take the last exchange back; one that lasts, when it has ended."""
        if self._past.last is None:
            return [t.Refuse("there is no answer to take back")]
        refusals = self._refusals()
        if refusals:
            return refusals
        self._waiting = None
        if self._turn is None:
            return self._go_back(command)
        self._take_back = command
        return self._cut("taken back")

    def _go_back(self, command: t.AnotherTake | t.Undo) -> list[Action]:
        if isinstance(command, t.Undo):
            to_brain, hands = self._past.back_to_before(self._now_s)
            self._phrase.end()
            actions = [*to_brain, *self._tell_heard(hands), self._kept()]
            return [*actions, *self._settle("taken back")]
        start_s = self._soonest_s
        exchange, to_brain, hands = self._past.back_to_hand_over(
            self._now_s, start_s, but_one=command.but_one
        )
        before, seed = exchange.begin, None
        if exchange.is_seeded and before.parameters.seed is not None:  # then always the same
            seed = (before.parameters.seed + 1) % 2**SEED_BITS
        begin = replace(
            before,
            turn=self._turns + 1,
            start_s=start_s,
            held=frozenset(self._phrase.held),
            parameters=self._with_seed(replace(before.parameters, seed=seed)),
        )
        self._past.handed_over(begin, is_seeded=exchange.is_seeded)
        actions = [*to_brain, *self._tell_heard(hands), self._kept()]
        return [*actions, *self._perform_from(begin, None, "another take")]

    def _kept(self) -> Action:
        return t.Forget(tuple(self.history))
