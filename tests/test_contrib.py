"""The files that start the Performer with the computer, as far as they can be tried here."""

import plistlib
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from daemon.__main__ import read_arguments

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "contrib" / "performer.service"
AGENT = ROOT / "contrib" / "performer.plist"


def unit() -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def is_the_daemon(command: list[str]) -> bool:
    """Tell whether a command starts the daemon, with options that it knows."""
    python, module, name, *options = command
    parsed = read_arguments(options)
    return (
        python.endswith("performer/.venv/bin/python")
        and (module, name) == ("-m", "daemon")
        and (ROOT / parsed.config).is_file()
    )


def test_the_unit_starts_the_daemon_in_its_checkout() -> None:
    service = unit()["Service"]

    assert is_the_daemon(shlex.split(service["ExecStart"]))
    assert service["ExecStart"].startswith(service["WorkingDirectory"])


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    home = tmp_path / "performer"
    (home / ".venv" / "bin").mkdir(parents=True)
    (home / ".venv" / "bin" / "python").symlink_to(sys.executable)
    placed = tmp_path / UNIT.name
    placed.write_text(UNIT.read_text("utf-8").replace("%h", str(tmp_path)))

    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", placed],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )

    assert UNIT.name not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


def test_the_agent_starts_the_daemon_in_its_checkout() -> None:
    agent = plistlib.loads(AGENT.read_bytes())

    assert is_the_daemon(agent["ProgramArguments"])
    assert agent["ProgramArguments"][0].startswith(agent["WorkingDirectory"])
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
