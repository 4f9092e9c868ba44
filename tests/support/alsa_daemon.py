"""The daemon on ALSA as its tests meet it: its ports, its notes, and the patience that it needs.

They run in machines of tests/support/tools/alsa_vm.sh (`make test-alsa`), or where /dev/snd/seq is.
An emulated processor is slow: they never say how soon, only what and in which order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.alsa_programs import Monitor, Recorder
from tests.support.running_daemon import (
    PERFORMER_CHANNEL,
    POLL_S,
    RunningDaemon,
    running_daemon,
    wait_until,
)
from tests.support.wire import (
    Seen,
    assert_notes_alternate,
    assert_silent_at_the_end,
    assert_well_formed,
    note_ons,
    of_channel,
)

INPUT, OUTPUT = "Performer In:0", "Performer Out:0"
PATIENCE = 6.0


@contextmanager
def answering_daemon(
    tmp_path: Path, model_folder: Path
) -> Iterator[tuple[RunningDaemon, Recorder, Monitor]]:
    """Yield a daemon in the midst of a long answer, with who records and who watches it."""
    with (
        running_daemon(tmp_path, model_folder, PATIENCE, length=600, trigger="command") as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
        Monitor(OUTPUT) as monitor,
    ):
        daemon.ask("perform")
        wait_for_notes(monitor, 3)
        yield daemon, recorder, monitor


def assert_sane(turn: list[Seen]) -> None:
    assert note_ons(turn)
    assert of_channel(turn, PERFORMER_CHANNEL - 1) == turn
    assert_well_formed(turn)
    assert_notes_alternate(turn)
    assert_silent_at_the_end(turn)


def wait_patiently(condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Return when the condition holds; ask so rarely that the daemon has the processor."""
    wait_until(condition, what, timeout_s, every_s=POLL_S * PATIENCE)


def wait_for_notes(monitor: Monitor, count: int) -> None:
    before = len(note_ons(monitor.seen()))
    wait_patiently(
        lambda: len(note_ons(monitor.seen())) >= before + count,
        f"{count} notes sound",
        30 * PATIENCE,
    )
