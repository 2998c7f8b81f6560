"""The shape of the house: a test for each file, one name for each thing, and contracts that look inside packages."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from feedbus import actors, sim, venues
from tests.places import ROOT

SOURCES = sorted(path for path in (ROOT / "feedbus").rglob("*.py") if path.name != "__init__.py")
PATHS = [str(path.relative_to(ROOT / "feedbus")) for path in sorted((ROOT / "feedbus").rglob("*.py"))]
UNTESTED = {
    "__main__.py",  # a few lines: tests/commands/test_signals.py starts them as processes
    "actors/protocol.py",  # types and protocols alone: tests/actors/test_shell.py plays by them
    "sim/seam.py",  # types, protocols and plain totals alone
    "venues/protocol.py",  # types and protocols alone: tests/venues/test_venues.py holds every venue to them
}
SEAM_NAMES = {"Account", "Session", "Options", "Actor"}
"""What a venue and an actor must call their classes, so that they are found."""

TYPE_NAME = re.compile(r"[A-Z]\w*[a-z]")  # as of a class, but given to Literal[...], Callable[...], tuple[...]
PURE_PACKAGES = {
    "alerts", "analytics", "books", "errors", "mask", "proxies", "schema", "table", "text", "ticks", "trust", "urls",
    "venues",
}  # fmt: skip
SCREEN = {f"table/{name}.py" for name in ("ladder_screen", "monitor", "screen", "terminal")}  # the shells there
SAYS_PURE = re.compile(r"\bPure\b|\b(?:module|It) is pure\b")
PURE_IMPORTS = {
    "__future__", "array", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses", "datetime",
    "decimal", "difflib", "errno", "functools", "hashlib", "heapq", "hmac", "ipaddress", "itertools", "json", "math",
    "msgspec", "random.Random", "re", "reprlib", "statistics", "struct", "textwrap", "typing", "unicodedata",
    "urllib.parse", "weakref",
}  # fmt: skip
"""What a pure module may import besides feedbus. All else is a file, a socket, a clock, the process or chance."""
PURE_BUT = {
    "bench/traffic.py": {"random"},  # its seed is fixed
    "config/yaml_mistakes.py": {"yaml"},  # it reads the parser's errors
    "sim/__init__.py": {"pkgutil"},  # it finds the packages of its folder
    "sim/moex/catalogue.py": {"importlib.resources"},  # the names of the securities are a file of the package
    "sim/moex/structure.py": {"importlib.resources"},
    "table/ladder_view.py": {"rich"},
    "table/market_view.py": {"rich"},  # it makes text of tables; the screen is written to elsewhere
    "telemetry/log_limits.py": {"logging"},  # it is given records, and returns some
    "transport/frames.py": {"websockets"},  # its protocol objects do no I/O
    "transport/handshake.py": {"importlib.metadata", "logging", "websockets"},  # our version; a logger that is silent
    "transport/reasons.py": {"os", "ssl"},  # the names and the words of errors
    "transport/tunnel.py": {"h11", "socksio"},  # both do no I/O
    "venues/__init__.py": {"importlib", "pkgutil"},  # it finds the packages of its folder
}
CLOCKS = {"datetime.now", "datetime.today", "datetime.utcnow", "date.today"}
EDGES = {"__import__", "input", "open", "print"}


def wanted(source: Path) -> Path:
    inside = source.relative_to(ROOT / "feedbus")
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def test_every_source_file_has_a_test_of_its_own() -> None:
    sources = [source for source in SOURCES if str(source.relative_to(ROOT / "feedbus")) not in UNTESTED]
    assert sources
    missing = [str(wanted(source).relative_to(ROOT)) for source in sources if not wanted(source).exists()]
    assert missing == []


def twins(folder: Path) -> dict[str, list[str]]:
    """The names that several modules under this folder give to classes or public types of theirs, and these modules."""
    where = defaultdict(list)
    for source in folder.rglob("*.py"):
        for node in ast.parse(source.read_text()).body:
            match node:
                case ast.ClassDef(name=name):
                    where[name].append(str(source.relative_to(folder)))
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    if TYPE_NAME.match(name):
                        where[name].append(str(source.relative_to(folder)))
    return {name: files for name, files in where.items() if len(files) > 1 and name not in SEAM_NAMES}


def test_no_two_classes_or_types_have_one_name() -> None:
    assert twins(ROOT / "feedbus") == {}


def test_a_venue_that_is_written_by_the_book_passes_the_checks_as_it_is(tmp_path: Path) -> None:
    """The trial venue, where venues lie: its names are its own, and ruff has nothing to say."""
    trial = ROOT / "tests" / "venues" / "trial" / "bybit"
    shutil.copytree(ROOT / "feedbus", tmp_path / "feedbus", ignore=shutil.ignore_patterns("__pycache__"))
    there = tmp_path / "feedbus" / "venues" / "bybit"
    shutil.copytree(trial, there, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert twins(tmp_path / "feedbus") == {}
    assert impurities("venues/bybit/__init__.py", (trial / "__init__.py").read_text()) == []
    for words in (["check"], ["format", "--check"]):
        command = [str(Path(sys.executable).with_name("ruff")), *words, "--no-cache", "feedbus/venues"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("contract", "names"),
    [
        ("no venue imports another", venues.names()),
        ("no actor imports another", actors.names()),
        ("no simulated venue imports another", sim.names()),
    ],
)
def test_the_contract_that_keeps_packages_apart_lists_all_of_them(contract: str, names: list[str]) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(each for each in contracts if each["name"].startswith(contract))
    listed = found.get("protected_modules") or found["modules"]
    assert [module.rpartition(".")[2] for module in listed] == names


def impurities(source: str, text: str) -> list[str]:
    """What a module that calls itself pure, or lies in a pure package, imports or calls and must not."""
    tree = ast.parse(text)
    inside = Path(source).parts[0].removesuffix(".py") in PURE_PACKAGES and source not in SCREEN
    if not inside and not SAYS_PURE.search(ast.get_docstring(tree) or ""):
        return []
    allowed = {"feedbus", *PURE_IMPORTS, *PURE_BUT.get(source, ())}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            case _:
                names = []
        found += [name for name in names if not any(f"{name}.".startswith(f"{root}.") for root in allowed)]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS:
            found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EDGES:
            found.append(node.func.id)
    return found


def test_what_is_called_pure_imports_nothing_that_is_not() -> None:
    found = {path: impurities(path, (ROOT / "feedbus" / path).read_text()) for path in PATHS}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "line", "found"),
    [
        ("analytics/bars.py", "import sqlite3", "sqlite3"),
        ("alerts/some_new_file.py", "import queue as q", "queue"),
        ("venues/moex/stomp.py", "from sys import argv", "sys.argv"),
        ("text.py", "from urllib import request", "urllib.request"),
        ("table/columns.py", "import select", "select"),
        ("table/some_new_file.py", "    import pathlib", "pathlib"),
        ("feed/sharding.py", "from uuid import uuid4", "uuid.uuid4"),
        ("sim/moex/market.py", "from random import random", "random.random"),
        ("config/addresses.py", "import time", "time"),
        ("schema/topics.py", "seen_at = datetime.now()", "datetime.now"),
        ("proxies.py", "lines = open('proxies')", "open"),
    ],
)
def test_an_import_that_is_not_pure_is_found(source: str, line: str, found: str) -> None:
    path = ROOT / "feedbus" / source
    text = path.read_text() if path.exists() else ""
    assert impurities(source, f"{text}\nif True:\n    {line.strip()}\n") == [found]


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("venues/binance/payloads.py", "from feedbus.venues.alor import payloads", "no venue imports another"),
        ("actors/metrics/bus_figures.py", "from feedbus.actors.alerting import webhook", "no actor imports another"),
        ("analytics/some_new_file.py", "import trio", "the core is pure"),
        ("venues/moex/some_new_file.py", "import pathlib", "the core is pure"),
        ("feed/feed.py", "from feedbus.venues.moex import stomp", "nobody else imports a venue's package"),
        ("table/columns.py", "import feedbus.venues.moex", "nobody else imports a venue's package"),
        ("actors/shell.py", "from feedbus.actors.metrics import actor", "nobody else imports an actor's package"),
        ("sim/moex/market.py", "from feedbus.sim.binance import market", "no simulated venue imports another"),
        ("sim/moex/some_new_file.py", "from feedbus.table import keys", "the simulators know nothing of the feeds"),
        ("cli.py", "from feedbus.testing import memory_bus", "what tests alone need"),
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
