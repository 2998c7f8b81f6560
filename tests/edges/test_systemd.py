"""The unit files before systemd's own judges: it parses without a complaint, and leaves little exposed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.edge

FOLDER = Path(__file__).parents[2] / "ops" / "systemd"
UNIT = FOLDER / "feedbus.service"
TEMPLATE = FOLDER / "feedbus@.service"
UNITS = pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda unit: unit.name)
EXECUTABLE = "/opt/feedbus/.venv/bin/feedbus"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here (Debian's package systemd has it)")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def installed(folder: Path, text: str, name: str = "feedbus.service") -> Path:
    """The unit with an executable that this machine has."""
    path = folder / name.replace("@", "@moex")
    path.write_text(text.replace(EXECUTABLE, sys.executable))
    return path


@UNITS
def test_systemd_has_nothing_to_say_of_the_unit(unit: Path, tmp_path: Path) -> None:
    judged = analyze("verify", "--man=no", installed(tmp_path, unit.read_text(), unit.name))
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_systemd_would_say_it(tmp_path: Path) -> None:
    judged = analyze(
        "verify", "--man=no", installed(tmp_path, UNIT.read_text().replace("WatchdogSec=30", "Watchdog=30"))
    )
    assert "Unknown key" in judged.stderr


@UNITS
def test_the_unit_leaves_little_exposed(unit: Path, tmp_path: Path) -> None:
    judged = analyze("security", "--offline=yes", "--no-pager", installed(tmp_path, unit.read_text(), unit.name))
    found = re.search(r"Overall exposure level for feedbus(?:@moex)?.service: ([0-9.]+)", judged.stdout)
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


def test_an_instance_runs_one_part_and_leaves_the_others_their_sockets() -> None:
    lines = TEMPLATE.read_text().splitlines()
    for wanted in (
        f"ExecStart={EXECUTABLE} run /etc/feedbus/feedbus.yaml --only %i",
        "RuntimeDirectoryPreserve=yes",
        "Conflicts=feedbus.service",
    ):
        assert wanted in lines


def test_the_template_differs_from_the_unit_in_nothing_else() -> None:
    unit, template = (set(path.read_text().splitlines()) for path in (UNIT, TEMPLATE))
    keys = {line.partition("=")[0] for line in unit ^ template if line and not line.startswith("#")}
    assert keys == {"Description", "Conflicts", "ExecStart", "RestartSec", "RuntimeDirectoryPreserve"}
