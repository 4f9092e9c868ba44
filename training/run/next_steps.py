"""What can be done with a finished run: the commands, in words, that will not be refused."""

import shlex
from pathlib import Path

from perceivers.architecture import Architecture
from perceivers.errors import ModelMismatch
from perceivers.vocabulary import Flavour
from training.run.state import BEST


def next_steps(run: Path, tokens: Path, architecture: Architecture, flavour: Flavour) -> str:
    """Return the commands that export and play a run's model, or else those that score it.

    tokens: the token files that it was trained on.
    """
    reason = _why_unplayable(architecture, flavour)
    if reason is None:
        best, folder = shlex.quote(str(run / BEST)), shlex.quote(str(run / "model"))
        return (
            f"export it:  python export/export_onnx.py {best} {folder}\n"
            f"play it:    python -m daemon --model {folder}"
        )
    command = ["python", "training/evaluate.py", "--model", str(run), "--tokens", str(tokens)]
    return f"score it:   {shlex.join(command)}\nto be scored only: {reason}"


def _why_unplayable(architecture: Architecture, flavour: Flavour) -> str | None:
    if flavour is not Flavour.EVENTS:
        return f"a model of flavour '{flavour}' says what sounds, not what hands do"
    try:
        architecture.check_playable()
    except ModelMismatch as error:
        return str(error)
    return None
