"""Check an exported model on a GPU: where its nodes run, what they give, how fast.

    python daemon/bench/gpu_check.py MODEL_FOLDER [--provider cuda] [--json FILE]

In one run of some minutes: which provider runs each node; how far the half-precision graph there
lies from float32 on the CPU, over real music; the time of a token at several lengths of context,
beside the time in which the device's memory moves the bytes that it needs; the speed of reading.
With --graph, whether a step can be recorded and repeated (CUDA graph). Exit code 1 says that
something does not hold, 2 that it could not be looked at.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from daemon.bench.measures.agreement import STEPS, Agreement, agreements
from daemon.bench.measures.device_times import DeviceRow, measure, memory_bytes_per_s
from daemon.bench.measures.footprint import CONTEXTS
from daemon.bench.measures.graph_replay import Replay, try_replay
from daemon.bench.measures.placement import nodes_by_provider
from daemon.bench.pictures import machine
from daemon.bench.results import tell, write_json
from daemon.engine import Engine
from daemon.engine.runtime import CPU, CUDA, Device, require_cuda, runtime_version
from perceivers.encoder import encode
from perceivers.errors import PerformerError
from perceivers.midi_files import read_performance

STARTER = Path(__file__).resolve().parents[2] / "training" / "starter"
DEVICES = {"cpu": CPU, "cuda": CUDA}
PRECISION = "fp16"
MOST_KL_NATS = 1e-4
"""Divergence from float32 that half precision may have; measured on the CPU: 1e-6."""
REPLAYED = 128
REPLAY_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found."""

    machine: str
    runtime: str
    provider: str
    nodes: dict[str, dict[str, int]]
    agreements: list[Agreement]
    memory_gb_per_s: float
    rows: list[DeviceRow]
    replay: Replay | None
    problems: list[str]


def check(folder: Path, device: Device, music: list[Path], with_replay: bool) -> Report:
    """Check a model folder. Raises PerformerError for what cannot be looked at."""
    if device != CPU:
        require_cuda()
    nodes = nodes_by_provider(folder, device, PRECISION)
    engine = Engine.open(folder, precision=PRECISION, provider=device.name, on_device=True)
    reference = Engine.open(folder, precision="fp32", provider="cpu")
    context = engine.manifest.architecture.context
    tokens = read_tokens(music, context + max(STEPS, engine.most_at_once))
    compared = agreements(reference, engine, tokens)
    speed = memory_bytes_per_s(device)
    contexts = sorted({min(length, context) for length in CONTEXTS})
    rows = measure(engine, contexts, tokens, speed)
    replay = None
    if with_replay:
        engine.reset()
        engine.feed(tokens[: min(REPLAY_CONTEXT, context)])
        replay = try_replay(folder, engine, device, tokens[:REPLAYED])
    problems = _problems(device, nodes, compared)
    return Report(
        machine(), runtime_version(), engine.provider, nodes, compared, speed / 1e9, rows, replay,
        problems,
    )  # fmt: skip


def read_tokens(paths: list[Path], count: int) -> list[int]:
    """Return the tokens of performances, one after another, as many as asked for.

    Raises PerformerError if there are fewer.
    """
    tokens: list[int] = []
    for path in paths:
        tokens += encode(read_performance(path))
        if len(tokens) >= count:
            return tokens[:count]
    raise PerformerError(
        f"{len(paths)} MIDI files hold {len(tokens):,} tokens, {count:,} are needed; give more"
    )


def _problems(
    device: Device, nodes: dict[str, dict[str, int]], compared: list[Agreement]
) -> list[str]:
    """Return what does not hold."""
    found = [
        f"{sum(counts.values())} nodes run on {provider}: {_told(counts)}"
        for provider, counts in nodes.items()
        if provider != device.provider
    ]
    found += [
        f"divergence of {part.kl_nats:.1e} nats over {part.where}, allowed is {MOST_KL_NATS:.0e}"
        for part in compared
        if not part.kl_nats <= MOST_KL_NATS  # so written, it finds NaN as well
    ]
    return found


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {operator}" for operator, count in counts.items())


def print_report(report: Report) -> None:
    """Print it all."""
    tell(f"{report.machine}; {report.runtime}; {PRECISION} on {report.provider}")
    for provider, counts in report.nodes.items():
        tell(f"{sum(counts.values())} nodes on {provider}: {_told(counts)}")
    tell(f"{PRECISION} there against fp32 on the CPU, over music")
    tell(f"{'positions':>26} {'max |dlogit|':>13} {'mean':>9} {'KL nats':>9} {'same best':>10}")
    for part in report.agreements:
        tell(
            f"{part.where:>26} {part.max_difference:13.1e} {part.mean_difference:9.1e} "
            f"{part.kl_nats:9.1e} {part.same_best:10.4f}"
        )
    tell(f"steps; memory moves {report.memory_gb_per_s:.0f} GB/s")
    lengths = list(report.rows[0].tokens_per_s)
    titles = " ".join(f"{f'tokens/s by {length}':>18}" for length in lengths)
    tell(f"{'context':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'floor ms':>9} "
           f"{'ratio':>7} {titles}")  # fmt: skip
    for row in report.rows:
        rates = " ".join(f"{rate:18.0f}" for rate in row.tokens_per_s.values())
        tell(f"{row.context:>8} {row.p50_ms:8.3f} {row.p95_ms:8.3f} {row.p99_ms:8.3f} "
               f"{row.floor_ms:9.4f} {row.ratio:7.2f} {rates}")  # fmt: skip
    if report.replay:
        _print_replay(report.replay)
    for problem in report.problems:
        tell(f"PROBLEM: {problem}")


def _print_replay(replay: Replay) -> None:
    part = replay.agreement
    same = "every bit the same" if replay.is_exact else f"differs by {part.max_difference:.1e}"
    tell(
        f"recorded step: {replay.p50_ms:.3f} ms, usual {replay.usual_p50_ms:.3f} ms; {same}, "
        f"KL {part.kl_nats:.1e} nats over {part.where}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--provider", choices=DEVICES, default="cuda", help="where to check it")
    parser.add_argument("--midi", type=Path, nargs="+", help="music (default: the starter set)")
    parser.add_argument(
        "--graph", action="store_true", help="record a step and repeat it (CUDA graph)"
    )
    parser.add_argument("--json", type=Path, help="write everything found here")
    options = parser.parse_args(arguments)
    music = options.midi or sorted(STARTER.rglob("*.mid"))
    try:
        report = check(options.folder, DEVICES[options.provider], music, options.graph)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print_report(report)
    if options.json:
        write_json(options.json, asdict(report))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
