"""The unit files before systemd's own judges: it parses without a complaint, and leaves little exposed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from feedbus import config
from feedbus.service import processes
from tests.edges.processes import Manager, Start
from tests.places import DOCS, ROOT

pytestmark = pytest.mark.edge

FOLDER = ROOT / "ops" / "systemd"
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


# The steps of docs/operations.md

PAGE = (DOCS / "operations.md").read_text()
STEPS = "".join(re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
INSTANCES = re.findall(r"\bfeedbus@(\w[\w-]*)", STEPS)
"""The instances of the template that are enabled there."""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What the page installs as /etc/feedbus/feedbus.yaml, but for the addresses: of no venue, and of no fixed port."""
    (source,) = re.findall(r"^install .*(configs/\S+) /etc/feedbus/feedbus\.yaml$", STEPS, re.MULTILINE)
    text = re.sub(r"wss://\S+", "ws://127.0.0.1:9", (ROOT / source).read_text())
    path = tmp_path / "feedbus.yaml"
    path.write_text(text.replace("127.0.0.1:9469", "127.0.0.1:0"))
    return path


def test_the_configuration_that_is_installed_fits_the_units(etc: Path) -> None:
    made = config.load(etc, {"CACHE_DIRECTORY": "/var/cache/feedbus"})
    assert INSTANCES
    assert set(INSTANCES) == set(processes.names(made))
    lines = UNIT.read_text().splitlines()
    assert made.bus.publish == "ipc:///run/feedbus/events.ipc"
    assert "RuntimeDirectory=feedbus" in lines
    assert {f"cp ops/systemd/{unit.name} /etc/systemd/system/" for unit in (UNIT, TEMPLATE)} < set(STEPS.splitlines())


@pytest.mark.parametrize("only", [None, *INSTANCES])
def test_each_unit_starts_with_the_configuration_that_is_installed(
    only: str | None, etc: Path, start: Start, manager: Manager
) -> None:
    """Even while no venue can be reached."""
    (command,) = re.findall(r"^ExecStart=\S+ (.*)$", (TEMPLATE if only else UNIT).read_text(), re.MULTILINE)
    arguments = command.replace("/etc/feedbus/feedbus.yaml", str(etc)).replace("%i", only or "").split()
    service = start(*arguments, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="30000000")
    manager.until(lambda line: line == "READY=1")
    service.terminate()
    assert service.wait(20) == 0


DROP_INS = [
    (page.name, text)
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(
        r"^ *```(?:ini)?\n((?: *#.*\n)*(?: *\[Service\]\n.*?))^ *```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("page", "text"), DROP_INS)
def test_systemd_has_nothing_to_say_of_the_drop_ins_that_are_shown(page: str, text: str, tmp_path: Path) -> None:
    unit = installed(tmp_path, UNIT.read_text())
    folder = tmp_path / f"{unit.name}.d"
    folder.mkdir()
    for wrong in (False, True):
        (folder / "override.conf").write_text(text.replace("LoadCredential", "LoadCredental") if wrong else text)
        judged = analyze("verify", "--man=no", unit)
        assert ("Unknown key" in judged.stderr) is wrong, (page, judged.stderr)
