"""What a list says of a feed's symbols, and when it is asked for. tests/doctor/test_feed_checks.py asks simulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.config import FeedConfig
from feedbus.doctor.venue_list import is_asked, judged
from feedbus.errors import BadData
from feedbus.feed.listing import Listed
from feedbus.schema.events import Instrument
from feedbus.venues.listings import Selection
from tests.doctor.test_limits import MOEX, made

LISTED = [f"TQBR.{code}" for code in ("SBER", "SBERP", "GAZP", "LKOH")]


def feed(*symbols: str, selection: Selection | None = None) -> FeedConfig:
    return FeedConfig("f", "moex", "wss://h/", symbols, selection=selection)


def listed(symbols: tuple[str, ...] = (), gap: BadData | None = None, unlistable: tuple[str, ...] = ()) -> Listed:
    unknown = (None, None, None, None, None, None, None, None)
    there = tuple(Instrument("moex", symbol, 0, 1, *unknown) for symbol in LISTED)
    without = frozenset(unlistable)
    return Listed(symbols, from_cache=False, age=0.0, instruments=there, gap=gap, unlistable=without)


def test_all_that_is_wanted_is_there() -> None:
    found = judged(feed("TQBR.SBER", "TQBR.GAZP"), listed())
    assert (found.finding.verdict, found.symbol, found.nearest) == ("good", "TQBR.SBER", ())
    assert found.finding.said == "the venue lists all that are wanted (2 symbols)"


def test_what_is_missing_is_named_with_the_nearest() -> None:
    odd = [f"TQBR.X{number}" for number in range(8)]
    found = judged(feed("TQBR.SBERR", *odd), listed())
    assert found.finding.verdict == "failed"
    assert found.finding.said.startswith(
        "the venue doesn't list 9 of 9 symbols: TQBR.SBERR (did you mean TQBR.SBER or TQBR.SBERP?), TQBR.X0, "
    )
    assert found.finding.said.endswith("TQBR.X3 and 4 more")
    assert found.finding.facts["missing"] == ["TQBR.SBERR", *odd]
    assert (found.symbol, found.nearest) == ("TQBR.SBERR", ("TQBR.SBER", "TQBR.SBERP"))


def test_another_missing_symbol_says_nothing_of_the_one_on_trial() -> None:
    assert judged(feed("TQBR.SBER", "TQBR.SBERR"), listed()).nearest == ()


def test_what_can_not_be_listed_and_what_is_only_in_part_known_is_not_missing() -> None:
    assert judged(feed("TQBR.SBERR"), listed(unlistable=("TQBR.SBERR",))).finding.verdict == "good"
    part = judged(feed("TQBR.SBERR"), listed(gap=BadData("ISS", "no JSON")))
    assert (part.finding.verdict, part.symbol) == ("warning", "TQBR.SBERR")
    assert part.finding.said == "a part of the list is missing: ISS: no JSON"


def test_the_first_of_a_selection_is_tried() -> None:
    found = judged(feed(selection=Selection(boards=("TQBR",), top=2)), listed(("TQBR.GAZP", "TQBR.SBER")))
    assert (found.finding.verdict, found.symbol) == ("good", "TQBR.GAZP")
    assert found.finding.said == "2 symbols: the 2 with the largest turnover on TQBR"


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        (f"{MOEX}, symbols: [TQBR.A]", True),
        ("venue: moex, url: 'ws://127.0.0.1:9/', symbols: [TQBR.A]", False),
        ("venue: moex, url: 'ws://127.0.0.1:9/', symbols: [TQBR.A], rest: 'http://127.0.0.1:9'", True),
        ("venue: moex, url: 'ws://127.0.0.1:9/', symbols: {boards: [TQBR]}", True),
    ],
)
def test_a_simulators_symbols_are_not_looked_for_at_the_real_venue(keys: str, asked: bool, tmp_path: Path) -> None:
    assert is_asked(*made(tmp_path, keys)) == asked
