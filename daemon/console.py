"""A running Performer in a terminal, `daemon.ctl console`; the only importer of textual."""

import contextlib
import json
import queue
from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.css.query import NoMatches
from textual.widgets import Footer, Static

from daemon.control.console_view import PARTS, View, meter_line, part_line, stepped
from daemon.control.requests import VERSION
from daemon.control.sockets import ClientKeys, CommandClient, EventClient
from daemon.parameters import TABLE
from perceivers.errors import PerformerError

_LOOK_S = 0.2
_FRAMES_PER_S = 20


class Console(App[None]):
    """Shows what happens, and sends commands; `commands` and `events` are addresses."""

    TITLE = "The Performer"
    CSS = """
    #state { height: 1; text-style: bold; }
    .part { height: 1; }
    #meters { height: 2; margin-bottom: 1; }
    #told { height: 1; color: $warning; }
    VerticalScroll { height: 1fr; }
    .chosen { background: $accent; color: $text; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "choose", show=False, priority=True),
        Binding("down", "choose(1)", "↑↓ choose", priority=True),
        Binding("left", "change(-1)", "change", show=False, priority=True),
        Binding("right", "change(1)", "←→ change", priority=True),
        Binding("d", "default", "default"),
        Binding("space", "turn", "perform/stop"),
        Binding("p", "command('panic')", "panic"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self, commands: str, events: str, keys: ClientKeys | None = None, timeout_s: float = 2.0
    ) -> None:
        super().__init__()
        self._addresses = (commands, events)
        self._keys = keys
        self._timeout_s = timeout_s
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._shown: dict[str, str] = {}  # by line: what is drawn again only if it changes
        self.view = View()
        self.chosen = 0  # which parameter

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="state", markup=False)
        for part in PARTS:
            yield Static(id=part, classes="part", markup=False)
        yield Static(id="meters", markup=False)
        with VerticalScroll(can_focus=False):
            for name in TABLE:
                yield Static(id=f"parameter-{name}", markup=False)
        yield Static(id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to listen, and to draw."""
        self.run_worker(self._listen, thread=True)
        self._ask("get")
        self._ask("state")
        self.set_interval(1 / _FRAMES_PER_S, self.draw)

    def _listen(self) -> None:
        """Take in events until the end; in a thread of its own."""
        with EventClient(self._addresses[1], keys=self._keys) as client:
            while self.is_running:
                event = client.next_event(_LOOK_S)
                if event is not None:
                    self._inbox.put((self.view.take, event[0], json.loads(event[1])))

    def _ask(self, command: str, args: Mapping[str, Any] | None = None) -> None:
        """Send a command, without waiting here for its answer."""
        self.run_worker(lambda: self._answered(command, dict(args or {})), thread=True)

    def _answered(self, command: str, args: dict[str, Any]) -> None:
        request = json.dumps({"v": VERSION, "id": 1, "cmd": command, "args": args}).encode()
        try:
            with CommandClient(self._addresses[0], self._keys) as client:
                reply = json.loads(client.ask(request, self._timeout_s))
        except PerformerError as error:
            self._inbox.put((self.view.tell, str(error)))
            return
        if reply["ok"]:
            self._inbox.put((self.view.answered, reply["result"]))
        else:
            self._inbox.put((self.view.tell, reply["error"]["message"]))

    def draw(self) -> None:
        """Take in what the threads have brought, and show the view as it is now."""
        with contextlib.suppress(queue.Empty):
            while True:
                take, *told = self._inbox.get_nowait()
                take(*told)
        with contextlib.suppress(NoMatches):  # it is ending, and the lines are gone
            self._draw_lines()

    def _draw_lines(self) -> None:
        width = self.size.width
        self._show("state", self.view.state_line())
        for part in PARTS:
            self._show(part, part_line(part, self.view.down[part], width))
        self._show("meters", meter_line(self.view, width))
        self._show("told", self.view.told[:width])
        for number, name in enumerate(TABLE):
            line = self._show(f"parameter-{name}", self.view.parameter_line(name)[:width])
            line.set_class(number == self.chosen, "chosen")

    def _show(self, identity: str, text: str) -> Static:
        line = self.query_one(f"#{identity}", Static)
        if self._shown.get(identity) != text:
            self._shown[identity] = text
            line.update(text)
        return line

    def action_choose(self, by: int) -> None:
        """Choose another parameter."""
        self.chosen = (self.chosen + by) % len(TABLE)
        name = [*TABLE][self.chosen]
        self.query_one(f"#parameter-{name}", Static).scroll_visible(animate=False)

    def action_change(self, direction: int) -> None:
        """Change the chosen parameter by a step."""
        name = [*TABLE][self.chosen]
        if name in self.view.parameters:
            value = stepped(TABLE[name], self.view.parameters[name], direction)
            self._ask("set", {name: value})

    def action_default(self) -> None:
        """Set the chosen parameter to its default."""
        name = [*TABLE][self.chosen]
        self._ask("set", {name: TABLE[name].default})

    def action_turn(self) -> None:
        """Take the turn, or give it back."""
        self._ask("stop" if self.view.state == "performing" else "perform")

    def action_command(self, command: str) -> None:
        """Send a command that takes nothing."""
        self._ask(command)
