"""Every source file has a test of its own name, and none is too long to be read at once."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for path in (ROOT / "feedbus").rglob("*.py") if path.name != "__init__.py")
MAX_LINES = 400
UNTESTED = {
    "__main__.py",  # two lines: the command is tests/test_cli.py's
    "subscribers/actor.py",  # types and protocols alone: tests/test_actor.py plays by them
    "sim/seam.py",  # types, protocols and plain totals alone
    "session.py",  # types and protocols alone: tests/venues/test_venues.py holds every venue to them
}


def wanted(source: Path) -> Path:
    inside = source.relative_to(ROOT / "feedbus")
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def test_every_source_file_has_a_test_of_its_own() -> None:
    sources = [source for source in SOURCES if str(source.relative_to(ROOT / "feedbus")) not in UNTESTED]
    assert sources
    missing = [str(wanted(source).relative_to(ROOT)) for source in sources if not wanted(source).exists()]
    assert missing == []


def test_no_source_file_is_too_long() -> None:
    too_long = {str(source.relative_to(ROOT)): len(source.read_text().splitlines()) for source in SOURCES}
    assert {name: lines for name, lines in too_long.items() if lines > MAX_LINES} == {}
