"""The shape of the house: a test for each file, one name for each thing, and contracts that look inside packages."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from feedbus import actors, venues
from tests.places import ROOT

SOURCES = sorted(path for path in (ROOT / "feedbus").rglob("*.py") if path.name != "__init__.py")
UNTESTED = {
    "__main__.py",  # a few lines: tests/commands/test_signals.py starts them as processes
    "actors/protocol.py",  # types and protocols alone: tests/actors/test_shell.py plays by them
    "sim/seam.py",  # types, protocols and plain totals alone
    "venues/protocol.py",  # types and protocols alone: tests/venues/test_venues.py holds every venue to them
}
SEAM_NAMES = {"Account", "Session", "Options", "Actor"}
"""What a venue and an actor must call their classes, so that they are found."""


def wanted(source: Path) -> Path:
    inside = source.relative_to(ROOT / "feedbus")
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def test_every_source_file_has_a_test_of_its_own() -> None:
    sources = [source for source in SOURCES if str(source.relative_to(ROOT / "feedbus")) not in UNTESTED]
    assert sources
    missing = [str(wanted(source).relative_to(ROOT)) for source in sources if not wanted(source).exists()]
    assert missing == []


def test_no_two_classes_have_one_name() -> None:
    where = defaultdict(list)
    for source in (ROOT / "feedbus").rglob("*.py"):
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name not in SEAM_NAMES:
                where[node.name].append(str(source.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


@pytest.mark.parametrize(
    ("contract", "names"),
    [("no venue imports another", venues.names()), ("no actor imports another", actors.names())],
)
def test_the_contract_of_independence_lists_every_package(contract: str, names: list[str]) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = next(each["modules"] for each in contracts if each["name"].startswith(contract))
    assert [module.rpartition(".")[2] for module in listed] == names


@pytest.mark.parametrize("package", ["alerts", "analytics", "schema", "venues", "table"])
def test_the_core_asks_no_clock_of_a_module_that_it_may_import(package: str) -> None:
    """`datetime` and `urllib` are imported for their formats; a contract can't allow a part of a module."""
    for source in (ROOT / "feedbus" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            assert not (isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}), source
            assert not (isinstance(node, ast.ImportFrom | ast.Import) and "urllib.request" in ast.unparse(node)), source


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("venues/binance/payloads.py", "from feedbus.venues.alor import payloads", "no venue imports another"),
        ("actors/metrics/bus_figures.py", "from feedbus.actors.alerting import webhook", "no actor imports another"),
        ("analytics/some_new_file.py", "import trio", "the core is pure"),
        ("venues/moex/some_new_file.py", "import pathlib", "the core is pure"),
        ("sim/moex/some_new_file.py", "from feedbus.table import keys", "the simulators know nothing of the feeds"),
        ("service/some_new_file.py", "from feedbus.testing import memory_bus", "what tests alone need"),
        ("table/some_new_file.py", "import time", "the live table, sharding and back-off are pure"),
        ("table/keys.py", "from feedbus.table import terminal", "the live table's screen and keys"),
        ("feed/sharding.py", "import random", "the live table, sharding and back-off are pure"),
        ("some_new_file.py", "import msgspec", "imports point downwards"),
    ],
)
def test_the_import_contracts_look_inside_the_packages(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "feedbus", tmp_path / "feedbus", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "feedbus" / file).open("a") as source:
        source.write(f"\n{line}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 1, said
    assert contract in next(row for row in said.splitlines() if "BROKEN" in row or "not listed" in row), said
