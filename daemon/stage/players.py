"""Who plays: the input port, and clients by the command `play`. Pure, like the turns.

Together they are one player. Times are seconds of the session and come in.
"""

from collections.abc import Sequence

from daemon.control.played import FAR_S, LATE_S, LEASE_S, PlayedEvent
from daemon.control.requests import Code, CommandError
from daemon.midi.hands import Hands
from perceivers.events import Event, TimedEvent

PORT = None  # as a source: no client has this name


class Players:
    """Keeps account of what each source holds, and makes one player of all of them."""

    def __init__(self) -> None:
        self._hands = Hands()
        self._asked_s: dict[str, float] = {}  # when each client that plays has last asked
        self._last_s = 0.0

    def at_port(self, timed: TimedEvent) -> TimedEvent | None:
        """Take in what came through the port; return what the player does by it, if anything."""
        event = self._hands.does(PORT, timed.event)
        return None if event is None else self._in_order(timed.time_s, event)

    def by_client(
        self, client: str, played: Sequence[PlayedEvent], now_s: float
    ) -> list[TimedEvent]:
        """Take in what a client plays; return what the player does by it.

        Raises CommandError, and takes in nothing, where a moment is too far from now.
        """
        for each in played:
            if each.at_s is not None and abs(each.at_s - now_s) > FAR_S:
                raise CommandError(
                    Code.OUT_OF_RANGE,
                    f"at_s = {each.at_s:g} is more than {FAR_S:g} s from now, {now_s:.3f}",
                    field="at_s",
                    allowed=[now_s - FAR_S, now_s + FAR_S],
                )
        self._asked_s[client] = now_s
        done = []
        for each in played:
            event = self._hands.does(client, each.event)
            if event is not None:
                at_s = now_s if each.at_s is None else each.at_s
                done.append(self._in_order(min(max(at_s, now_s - LATE_S), now_s), event))
        return done

    def _in_order(self, time_s: float, event: Event) -> TimedEvent:
        """Of what comes from several, nothing lies before what came from another."""
        self._last_s = max(self._last_s, time_s)
        return TimedEvent(self._last_s, event)

    def asked(self, client: str, now_s: float) -> None:
        """A client has asked something: it is there."""
        if client in self._asked_s:
            self._asked_s[client] = now_s

    def lapsed(self, now_s: float) -> list[TimedEvent]:
        """Return what comes up because whoever held it is gone."""
        gone = [who for who, asked_s in self._asked_s.items() if now_s - asked_s > LEASE_S]
        lifted: list[Event] = []
        for client in gone:
            del self._asked_s[client]
            lifted += self._hands.let_go(client)
        return [self._in_order(now_s, event) for event in lifted]

    def all_lifted(self, now_s: float) -> list[TimedEvent]:
        """Take every hand away; return what comes up by that."""
        return [self._in_order(now_s, event) for event in self._hands.clear()]

    def held_by(self, client: str) -> tuple[list[int], bool]:
        """Return the keys that a client holds, and whether it holds the pedal."""
        return self._hands.held_by(client)
