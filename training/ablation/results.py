"""Results on disk: one small JSON for each finished run, all that the tables need."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceivers.architecture import Architecture
from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from training.ablation.experiments import Arm
from training.ablation.scoring import PieceScore
from training.ablation.settings import Campaign, Run

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took."""

    parameters: int
    tokens: int  # loss tokens trained on
    flop: float  # of training, by formula
    train_s: float  # by the clock
    train_cpu_s: float  # of all threads
    score_s: float
    device: str
    threads: int  # of the CPU


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run."""

    run: Run
    cost: Cost
    bucket_tokens: tuple[int, ...]  # of all pieces, scored or not, by range of contexts
    pieces: tuple[PieceScore, ...]


def result_path(folder: Path, run: Run) -> Path:
    """Return where the result of a run lies, or will."""
    return folder / f"{run.name}.json"


def write_result(folder: Path, result: Result) -> None:
    """Write the result of a run atomically, with a line for each piece."""
    run = result.run
    head = {
        "format": FORMAT,
        "campaign": run.campaign.to_json(),
        "arm": {
            "name": run.arm.name,
            "architecture": run.arm.architecture.to_json(),
            "training": run.arm.training,
        },
        "seed": run.seed,
        "cost": asdict(result.cost),
        "bucket_tokens": result.bucket_tokens,
    }
    lines = [
        json.dumps({"nats": [round(nats, 3) for nats in piece.nats], "tokens": piece.tokens})
        for piece in result.pieces
    ]
    body = json.dumps(head, indent=1).removesuffix("\n}")
    with atomic_path(result_path(folder, run)) as partial:
        partial.write_text(f'{body},\n "pieces": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")


def read_results(folder: Path) -> list[Result]:
    """Read all results in a folder, in the order of their names."""
    return [read_result(path) for path in sorted(folder.glob("*.json"))]


def read_result(path: Path) -> Result:
    """Read one result. Raises PerformerError naming a file that is none."""
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        return Result(
            _run_of(content),
            Cost(**content["cost"]),
            tuple(content["bucket_tokens"]),
            _pieces_of(content["pieces"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PerformerError(f"{path}: not a result of training/ablate.py ({error!r})") from error


def _run_of(content: dict[str, Any]) -> Run:
    arm = content["arm"]
    architecture = Architecture.from_json(arm["architecture"])
    return Run(
        Campaign.from_json(content["campaign"]),
        Arm(arm["name"], architecture, arm["training"]),
        content["seed"],
    )


def _pieces_of(lines: Sequence[dict[str, Any]]) -> tuple[PieceScore, ...]:
    return tuple(PieceScore(tuple(line["nats"]), tuple(line["tokens"])) for line in lines)
