"""The contestant that is Notochord: a recurrent model that plays MIDI events one by one.

    /its/environment/bin/python daemon/bench/contestants/notochord_model.py [--checkpoint FILE]

A step is what its own improviser does for an event: sample it, then feed it. One instrument, the
piano, as for one player. Without a checkpoint its published shape has random weights, which cost
the same. (Shepardson, Armitage, Magnusson: "Notochord", AIMC 2022.)
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.contestants.protocol import answer, random_tokens, timed_ms

PIANO = 1  # its instruments are those of General MIDI, counted from 1
KEYS = range(21, 109)
LONGEST_NOTE_S = 11.0  # its improviser's default
EVENTS_PER_NOTE = 2  # a note-on and a note-off; it knows no pedal
EVENTS_BEFORE = 256  # the cost of an event does not depend on it


class NotochordContestant:
    """A Notochord model in the place of a contestant."""

    def __init__(self, checkpoint: Path | None) -> None:
        # Here, because only its own environment has them.
        import torch  # noqa: PLC0415
        from notochord import Notochord  # noqa: PLC0415
        from notochord.event import EventConstraints  # noqa: PLC0415

        torch.set_num_threads(1)  # as its own programs do
        self._model = Notochord.from_checkpoint(checkpoint) if checkpoint else Notochord().eval()
        self._wanted = EventConstraints({PIANO: set(KEYS)}, max_duration=LONGEST_NOTE_S)
        parameters = sum(part.numel() for part in self._model.parameters())
        self._library = f"notochord {version('notochord')}, torch {torch.__version__}"
        self._weights = f"{parameters:,} parameters, " + ("trained" if checkpoint else "random")

    def about(self) -> dict[str, Any]:
        """Return what it is."""
        return {
            "library": self._library,
            "weights": self._weights,
            "contexts": [EVENTS_BEFORE],
            "steps_per_note": EVENTS_PER_NOTE,
        }

    def times_ms(self, context: int, steps: int) -> list[float]:
        """Return the processor time of each of `steps` events, the first after `context`."""
        self._model.reset()
        keys = random_tokens(len(KEYS), context // EVENTS_PER_NOTE)
        for key in keys:
            for velocity in (64, 0):
                self._model.feed(PIANO, KEYS[key], 0.1, velocity)
        return [timed_ms(self._step) for _ in range(steps)]

    def _step(self) -> None:
        self._model.feed(**self._model.sample(self._wanted).as_dict())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--checkpoint", type=Path, help="trained weights (default: random ones)")
    options = parser.parse_args(arguments)
    try:
        contestant = NotochordContestant(options.checkpoint)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: this Python ({sys.executable}) has no module {error.name!r}; "
            "docs/engine.md says how to make an environment for it\n"
        )
        return 2
    answer(contestant)
    return 0


if __name__ == "__main__":
    sys.exit(main())
