"""The one piano that all tabs and files share; what is played on it goes to the daemon."""

from collections.abc import Hashable, Iterable

from daemon.control.commands import Result
from daemon.midi.hands import Hands
from daemon.page.daemon_link import DaemonLink
from perceivers.events import Event, NoteOff, NoteOn


class Piano:
    """Passes on what is played, as one client: a key is down while anybody holds it."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link
        self._hands = Hands()
        self._players: set[Hashable] = set()  # who may hold something

    def play(self, who: Hashable, events: Iterable[tuple[Event, float]]) -> None:
        """Somebody plays these events, each so many seconds ago."""
        self._players.add(who)
        now_s = self._link.now_s
        done = []
        for event, ago_s in events:
            passed = self._hands.does(who, event)
            if passed is not None:
                at = {} if now_s is None else {"at_s": now_s - ago_s}
                done.append(described(passed) | at)
        if done:
            self._link.play(done)

    def let_go(self, who: Hashable) -> None:
        """Somebody is gone: what only they hold comes up."""
        self._players.discard(who)
        lifted = self._hands.let_go(who)
        if lifted:
            self._link.play([described(event) for event in lifted])

    def holds(self, who: Hashable) -> bool:
        """Tell whether somebody holds a key or the pedal."""
        return who in self._players and self._hands.held_by(who) != ([], False)

    def stay(self) -> None:
        """Let the daemon know that who holds something is still there."""
        if any(self.holds(who) for who in self._players):
            self._link.play([])

    def forget(self) -> None:
        """Nothing is held any more, for the daemon that knew of it is gone."""
        self._hands.clear()


def described(event: Event) -> Result:
    """Return an event as the command `play` takes it."""
    if isinstance(event, NoteOn):
        return {"event": "note_on", "pitch": event.pitch, "velocity": event.velocity}
    if isinstance(event, NoteOff):
        return {"event": "note_off", "pitch": event.pitch}
    return {"event": "pedal", "down": event.down}
