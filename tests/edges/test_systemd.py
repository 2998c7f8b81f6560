"""The unit file before systemd's own judges: it parses without a complaint, and leaves little exposed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.edge

UNIT = Path(__file__).parents[2] / "ops" / "systemd" / "feedbus.service"
EXECUTABLE = "/opt/feedbus/.venv/bin/feedbus"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here (Debian's package systemd has it)")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def installed(folder: Path, text: str) -> Path:
    """The unit with an executable that this machine has."""
    path = folder / "feedbus.service"
    path.write_text(text.replace(EXECUTABLE, sys.executable))
    return path


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    judged = analyze("verify", "--man=no", installed(tmp_path, UNIT.read_text()))
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_systemd_would_say_it(tmp_path: Path) -> None:
    judged = analyze(
        "verify", "--man=no", installed(tmp_path, UNIT.read_text().replace("WatchdogSec=30", "Watchdog=30"))
    )
    assert "Unknown key" in judged.stderr


def test_the_unit_leaves_little_exposed(tmp_path: Path) -> None:
    judged = analyze("security", "--offline=yes", "--no-pager", installed(tmp_path, UNIT.read_text()))
    found = re.search(r"Overall exposure level for feedbus.service: ([0-9.]+)", judged.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze can't judge offline: {judged.stderr.strip()[:80]}")
    assert float(found[1]) <= 2.0


def test_the_unit_says_what_the_service_counts_on() -> None:
    lines = UNIT.read_text().splitlines()
    for wanted in (
        "Type=notify",
        "WatchdogSec=30",
        "Restart=always",
        "RuntimeDirectory=feedbus",
        "NoNewPrivileges=yes",
    ):
        assert wanted in lines
