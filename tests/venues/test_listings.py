"""What is chosen from a venue's list, the patterns of symbols, and the nearest names."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Instrument
from feedbus.venues.listings import Names, Selection, pattern_matcher, pattern_problem, selected

LETTERS = st.text("AB", max_size=12)
PATTERNS = st.text("AB*?", max_size=10)


def listed(symbol: str, currency: str | None = "USDT", board: str | None = None) -> Instrument:
    return Instrument("v", symbol, 0, 1, None, None, None, None, currency, board, None, None)


@given(PATTERNS, LETTERS)
def test_a_pattern_matches_what_a_shell_would_match(pattern: str, symbol: str) -> None:
    assert pattern_matcher(pattern)(symbol) == fnmatch.fnmatchcase(symbol, pattern)


@pytest.mark.parametrize("pattern", ["[AB]*", "A.B*", "A+B", "(A)?", "\\A*"])
def test_nothing_but_star_and_question_mark_has_a_meaning(pattern: str) -> None:
    literal = pattern.replace("*", "xyz").replace("?", "q")
    assert pattern_matcher(pattern)(literal)
    assert not pattern_matcher(pattern)("AB")


def test_a_pattern_of_many_stars_costs_little() -> None:
    matches = pattern_matcher("*A" * 32)
    began = time.perf_counter()
    assert not matches("A" * 31 + "B" * 33)
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize("pattern", ["", "A" * 65, "A B", "A\n", "\x1b*"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    assert pattern_problem(pattern)
    assert pattern_problem("TQBR.S*") is None


@pytest.mark.parametrize(
    ("wanted", "symbols"),
    [
        (Selection(), ["B.X", "B.Y", "C.X", "M.C.Z", "D.N"]),
        (Selection(("B", "C")), ["B.X", "B.Y", "C.X"]),
        (Selection(("M.C",)), ["M.C.Z"]),
        (Selection(pattern=("*.X", "M.*")), ["B.X", "C.X", "M.C.Z"]),
        (Selection(("B",), ("*.X",)), ["B.X"]),
        (Selection(quote="RUB"), ["B.Y", "C.X"]),
        (Selection(("B",), quote="SUR"), ["B.Y"]),
        (Selection(top=2), ["B.Y", "M.C.Z"]),
        (Selection(("B",), top=1), ["B.Y"]),
        (Selection(top=4), ["B.X", "B.Y", "C.X", "M.C.Z"]),
        (Selection(quote="EUR"), []),
    ],
)
def test_a_symbol_is_chosen_when_it_meets_everything(wanted: Selection, symbols: list[str]) -> None:
    instruments = [
        listed("B.X", board="B"),
        listed("B.Y", "SUR", "B"),
        listed("C.X", "RUB", "C"),
        listed("M.C.Z", board="C"),
        listed("D.N", None, "D"),
    ]
    if wanted.boards == ("B", "C"):
        instruments[3] = listed("M.C.Z", board="E")
        symbols = ["B.X", "B.Y", "C.X"]
    assert selected(instruments, {"B.Y": 5.0, "M.C.Z": 9.0, "C.X": 1.0}, wanted) == symbols


def test_a_selection_says_itself_and_how_many_it_is_at_most() -> None:
    wanted = Selection(("TQBR",), ("TQBR.S*", "TQBR.G*"), "RUB", 50, 10)
    shown = "the 50 with the largest turnover at most 10 on TQBR quoted in RUB like TQBR.S* or TQBR.G*"
    assert (str(wanted), wanted.at_most) == (shown, 10)
    assert (str(Selection(("TQBR",))), Selection(("TQBR",)).at_most) == ("all that is listed on TQBR", 0)


@pytest.mark.parametrize(
    ("missing", "nearest"),
    [
        ("TQBR.SBRE", "TQBR.SBER"),
        ("TQBR.SBERR", "TQBR.SBER"),
        ("tqbr.gazp", "TQBR.GAZP"),
        ("TQTF.GAZP", "TQBR.GAZP"),
        ("BTCUSD", "BTCUSDT"),
        ("X", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found(missing: str, nearest: str | None) -> None:
    known = Names(["TQBR.GAZP", "TQBR.LKOH", "TQBR.SBER", "TQBR.SBERP", "BTCUSDT", "ETHUSDT"])
    assert next(iter(known.nearest(missing)), None) == nearest


@given(st.text(max_size=20), st.lists(st.text(max_size=8), max_size=8))
def test_whatever_is_looked_for_only_names_that_exist_are_proposed(missing: str, names: list[str]) -> None:
    found = Names(names).nearest(missing)
    assert set(found) <= set(names)
    assert len(found) <= 3
