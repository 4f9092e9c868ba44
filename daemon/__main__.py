"""The command line of the daemon: python -m daemon."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __package__ in (None, ""):  # run as a file: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from daemon.log import set_up_logging
from daemon.parameters import with_words
from daemon.settings import Settings, load_settings
from perceivers.errors import PerformerError, SettingsError

logger = logging.getLogger(__name__)

DEFAULT_CONFIG = Path("config.yaml")
MOST_TAKES = 9999


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of the daemon."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon",
        description="A pianist that listens on a MIDI port and continues the performance.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="settings file (default: config.yaml, where there is one)",
    )
    parser.add_argument("--model", help="model folder, instead of that of the settings file")
    parser.add_argument(
        "--input", metavar="NAME", help="listen to the port whose name contains NAME"
    )
    parser.add_argument(
        "--output", metavar="NAME", help="play to the port whose name contains NAME"
    )
    parser.add_argument("--list-ports", action="store_true", help="list the MIDI ports and end")
    parser.add_argument(
        "--set", dest="words", metavar="NAME VALUE", nargs="+", default=[],
        help="parameters instead of those of the settings file, as `set` of daemon.ctl takes them",
    )  # fmt: skip
    parser.add_argument("--no-page", action="store_true", help="do without the page in a browser")
    _add_offline_options(parser)
    parser.add_argument(
        "--replay", metavar="SESSION.mid", type=Path,
        help="play a recorded session again, without ports, and say where it differs",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="tell more in the log")
    parsed = parser.parse_args(arguments)
    if (parsed.sources is None) != (parsed.out is None):
        parser.error("--continue and --out belong together: give both or neither")
    if parsed.sources is None and (parsed.cuts_s or parsed.no_picture or parsed.takes != 1):
        parser.error("--at, --takes and --no-picture belong to --continue")
    if not 1 <= parsed.takes <= MOST_TAKES:
        parser.error(f"--takes is a number from 1 to {MOST_TAKES}")
    if parsed.replay is not None and (parsed.sources is not None or parsed.words):
        parser.error("--replay stands alone: the session has its own parameters")
    if any(not 0 <= cut_s < float("inf") for cut_s in parsed.cuts_s):
        parser.error("--at takes seconds from the start of the file, 0 or more")
    return parsed


def _add_offline_options(parser: argparse.ArgumentParser) -> None:
    offline = parser.add_argument_group("without ports and in no real time")
    offline.add_argument(
        "--continue", dest="sources", metavar="FILE", type=Path, nargs="+",
        help="continue these MIDI files into --out, and end",
    )  # fmt: skip
    offline.add_argument(
        "--out", metavar="FILE|FOLDER", type=Path,
        help="where --continue writes to; of several files, a folder for files of the same names",
    )  # fmt: skip
    offline.add_argument(
        "--takes", metavar="N", type=int, default=1,
        help="so many different answers to each file, as FOLDER/NAME-1.mid and so on; the file is "
        "read once, seeds count up",
    )  # fmt: skip
    offline.add_argument(
        "--at", dest="cuts_s", metavar="SECONDS", type=float, nargs="+", default=[],
        help="continue from here, not from the end: one instant, or one for each file",
    )  # fmt: skip
    offline.add_argument("--no-picture", action="store_true", help="draw no piano roll")


def _settings(parsed: argparse.Namespace) -> Settings:
    """Return the settings of the file, with what the command line says instead."""
    if parsed.config is None and not DEFAULT_CONFIG.exists():
        settings = Settings()
    else:
        settings = load_settings(parsed.config or DEFAULT_CONFIG)
    midi = replace(
        settings.midi,
        input=parsed.input or settings.midi.input,
        output=parsed.output or settings.midi.output,
    )
    engine = replace(settings.engine, model=parsed.model or settings.engine.model)
    performer = with_words(settings.performer, parsed.words)
    page = replace(settings.page, enabled=settings.page.enabled and not parsed.no_page)
    return replace(settings, midi=midi, engine=engine, performer=performer, page=page)


def _list_ports() -> int:
    from daemon.midi.ports import list_ports  # noqa: PLC0415 - each way loads what it needs

    for title, names in zip(("inputs", "outputs"), list_ports(), strict=True):
        _say(f"{title}:")
        for name in names or ["(none)"]:
            _say(f"  {name}")
    return 0


def _continue_files(parsed: argparse.Namespace, settings: Settings) -> int:
    from daemon.offline import continuing as offline  # noqa: PLC0415 - loads the engine

    options = offline.OfflineOptions(
        sources=tuple(parsed.sources),
        out=parsed.out,
        model=Path(settings.engine.model),
        provider=settings.engine.provider,
        precision=settings.engine.precision,
        threads=settings.engine.threads,
        parameters=settings.performer,
        cuts_s=tuple(parsed.cuts_s),
        picture=not parsed.no_picture,
        takes=parsed.takes,
    )
    try:
        return offline.continue_files(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the files that are written stay\n")
        return 130


def _replay(session: Path, settings: Settings) -> int:
    from daemon.offline import replaying  # noqa: PLC0415 - loads the engine

    return replaying.replay(session, settings.engine)


def _perform(settings: Settings, verbose: bool) -> int:
    from daemon.supervisor import Supervisor  # noqa: PLC0415 - see above

    if not Path(settings.engine.model).is_dir():
        raise SettingsError(
            f"model folder {settings.engine.model!r} does not exist; name one with --model, or in "
            "the settings file under engine.model"
        )
    return Supervisor(settings, _say, verbose=verbose).run()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon, or what else the command line asks for; return the exit code."""
    parsed = read_arguments(arguments)
    set_up_logging(parsed.verbose)
    try:
        if parsed.list_ports:
            return _list_ports()
        settings = _settings(parsed)
        if parsed.replay is not None:
            return _replay(parsed.replay, settings)
        if parsed.sources is not None:
            return _continue_files(parsed, settings)
        return _perform(settings, parsed.verbose)
    except PerformerError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
