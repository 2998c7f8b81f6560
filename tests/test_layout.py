"""The shape of the house: a test for each file, one name for each thing, and contracts that look inside packages."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

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
    ("file", "line", "contract"),
    [
        ("venues/binance/payloads.py", "from feedbus.venues.alor import payloads", "no venue imports another"),
        ("analytics/some_new_file.py", "import trio", "the core is pure"),
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
