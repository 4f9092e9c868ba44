"""What docs/page.md says another front end needs is all that it needs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.control.played import LEASE_S
from daemon.page import tabs, web
from daemon.page.session_log import RECENT_S
from tests.support.page_daemon import page_daemon
from tests.support.running_daemon import ROOT

TEXT = (ROOT / "docs" / "page.md").read_text("utf-8")


@pytest.mark.processes
def test_the_front_end_in_the_documentation_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(program.strip().splitlines()) <= 34
    with page_daemon(tmp_path, length=1) as daemon:
        done = subprocess.run(
            [sys.executable, "-c", program, *daemon.addresses],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if "note_on" in line]) >= 10
    assert all(re.fullmatch(r" *-?\d+ ms ahead: \w+ ?\d*", line) for line in lines)


def test_the_documentation_has_the_numbers_of_the_code() -> None:
    assert web.MOST_FRAME_BYTES == 16 * 1024
    assert "at most 16 KiB" in TEXT
    assert web.MOST_BODY_BYTES == 2 * 2**20
    assert "at most 2 MB" in TEXT
    assert f"said nothing for {LEASE_S:g} s" in TEXT
    assert f"The {tabs.MOST_TABS + 1}th tab" in TEXT
    assert RECENT_S == 60.0
    assert all(f"`{topic}`" in TEXT for topic in tabs.TOLD)
