"""How much later what passes on is heard than the keyboard itself: python -m tests.e2e.passing.

A keyboard is connected to a recorder twice, directly and through a daemon with `thru: always`. The
sample clock of a JACK server of its own tells both times.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from daemon.bench.results import tell
from daemon.settings import EngineSettings
from tests.page.measure import percentiles
from tests.support.jack_programs import PERIOD_S, Recorder, patched_recorder
from tests.support.keyboard import Keyboard
from tests.support.running_daemon import running_daemon
from tests.support.wire import Seen, note_ons

NOTES = 400
PAUSES_S = (0.02, 0.05, 0.1, 0.1, 1.3)  # after the longest the daemon looks at its port less often
INPUT, OUTPUT = "Performer In:in", "Performer Out:out"


def play(keyboard: Keyboard) -> None:
    """Play keys, each of them twice at the most and never at one velocity."""
    rng = random.Random(1)
    for number in range(NOTES):
        pitch = 30 + number % 60
        keyboard.send((0x90, pitch, 1 + number % 120))
        time.sleep(rng.choice(PAUSES_S[:-1]) if number % 10 else PAUSES_S[-1])
        keyboard.send((0x80, pitch, 0))
        time.sleep(0.02)


def later_ms(seen: list[Seen]) -> list[float]:
    """Return how much later each strike was seen the second time."""
    first_s: dict[bytes, float] = {}
    later = []
    for strike in note_ons(seen):
        if strike.data in first_s:
            later.append(1000 * (strike.time_s - first_s.pop(strike.data)))
        else:
            first_s[strike.data] = strike.time_s
    return later


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.passing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=Path(EngineSettings().model))
    options = parser.parse_args()
    with (
        patched_recorder() as (bay, recorder),
        Keyboard("keyboard") as keyboard,
        tempfile.TemporaryDirectory() as folder,
        running_daemon(Path(folder), options.model, thru="always", trigger="command"),
    ):
        bay.connect(keyboard.port, INPUT)
        bay.connect(keyboard.port, Recorder.INPUT)
        bay.connect(OUTPUT, Recorder.INPUT)
        recorder.wait_for_everything()
        play(keyboard)
        recorder.wait_for_everything()
        later = later_ms(recorder.seen())
    found = {"strikes": len(later), "period_ms": round(1000 * PERIOD_S, 2)}
    tell(json.dumps(found | {"later_ms": percentiles(later)}))


if __name__ == "__main__":
    main()
