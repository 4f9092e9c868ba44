"""Check an exported model on a GPU, in one run: `daemon/bench/gpu_check.py`, by another door.

    python export/gpu_check.py MODEL_FOLDER [--provider cuda] [--graph] [--json FILE]

The check belongs to the engine, which is the daemon's; it is started from here because whoever
exports a model looks for it here.
"""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "daemon" / "bench" / "gpu_check.py"


def main(arguments: list[str] | None = None) -> int:
    """Run the check with these arguments and return its exit code."""
    asked = sys.argv[1:] if arguments is None else arguments
    try:
        return subprocess.run([sys.executable, str(PROGRAM), *asked], check=False).returncode  # noqa: S603 - our own program
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
