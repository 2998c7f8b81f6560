"""What each subscription is sent, step by step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.alor.market import AlorListing
from feedbus.sim.alor.streams import (
    AlorBarStream,
    AlorBookStream,
    AlorInstrumentStream,
    AlorQuoteStream,
    AlorStream,
    AlorTradeStream,
    interval_steps,
)
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import securities

START_NS = 1_719_825_533_789_000_000


def listing(rate: float = 20.0, **options: Any) -> AlorListing:
    venue = AlorVenue(AlorSimOptions(start_ns=START_NS, rate=rate, **options), securities=securities()[:1])
    venue.market.open(0)
    (found,) = venue.listings["SBER"]
    return found


def told(source: AlorListing, stream: AlorStream, steps: int) -> list[list[Any]]:
    """What comes at the beginning, and at each step."""
    batches = [stream.first()]
    for _ in range(steps):
        source.market.advance()
        batches.append(stream.due())
    return [[msgspec.json.decode(each) for each in batch] for batch in batches]


@pytest.mark.parametrize(
    ("ms", "rate", "steps"), [(0, 20, 1), (25, 20, 1), (50, 20, 1), (51, 20, 2), (175, 20, 4), (500, 40, 20)]
)
def test_an_interval_is_never_shorter_than_asked_for(ms: int, rate: int, steps: int) -> None:
    assert interval_steps(ms, 1_000_000_000 // rate) == steps


@settings(max_examples=20, deadline=None)
@given(interval=st.integers(1, 9), depth=st.integers(1, 12), seed=st.integers(0, 99))
def test_books_are_the_newest_and_an_interval_apart(interval: int, depth: int, seed: int) -> None:
    source = listing(seed=seed)
    stream = AlorBookStream(source, "slim", depth, interval)
    ((first,), *later) = told(source, stream, 60)
    assert first["h"] is True
    at = [step for step, batch in enumerate(later, 1) if batch]
    assert all(after - before >= interval for before, after in pairwise([0, *at]))
    assert len(at) > 60 // interval // 2
    for step in at:
        (book,) = later[step - 1]
        assert book["h"] is False
        assert len(book["b"]) == len(book["a"]) == min(depth, 10)
        assert book["t"] == source.market.time_ms(step) or interval > 1
    assert [book["t"] for (book,) in filter(None, later)] == sorted([book["t"] for (book,) in filter(None, later)])


def test_an_empty_book_stays_silent() -> None:
    source = listing(book_sides="none")
    ((first,), *later) = told(source, AlorBookStream(source, "simple", 20, 1), 40)
    assert (first["bids"], first["asks"], first["existing"]) == ([], [], True)
    assert not any(later)


@pytest.mark.parametrize("depth", [0, 1, 50])
@pytest.mark.parametrize("repeated", [0, 2])
def test_trades_are_the_last_ones_then_every_one(depth: int, repeated: int) -> None:
    source = listing(repeated_trades=repeated)
    first, *later = told(source, AlorTradeStream(source, "simple", depth), 80)
    assert len(first) == depth
    assert all(trade["existing"] for trade in first)
    live = [trade for batch in later for trade in batch]
    again = live[: min(repeated, depth)]
    assert [trade["id"] for trade in again] == [trade["id"] for trade in first[-repeated:]] if repeated else again == []
    ids = [trade["id"] for trade in (*first, *live[len(again) :])]
    assert len({after - before for before, after in pairwise(ids)}) == 1
    assert len(live) > 20
    assert not any(trade["existing"] for trade in live)


def test_trades_that_could_not_be_told_at_a_step_are_told_at_the_next() -> None:
    one, two = listing(), listing()
    steady, late = AlorTradeStream(one, "slim", 0), AlorTradeStream(two, "slim", 0)
    all_of_them = [trade for batch in told(one, steady, 90) for trade in batch]
    assert late.first() == []
    for _ in range(90):
        two.market.advance()
    assert [msgspec.json.decode(trade) for trade in late.due()] == all_of_them
    assert late.due() == []


def test_quotes_are_whole_every_time_and_an_interval_apart() -> None:
    source = listing()
    first, *later = told(source, AlorQuoteStream(source, "heavy", 10), 80)
    quotes = [quote for batch in later for quote in batch]
    assert all(quote.keys() == first[0].keys() for quote in quotes)
    at = [step for step, batch in enumerate(later, 1) if batch]
    assert all(after - before >= 10 for before, after in pairwise([0, *at]))
    assert len(at) >= 5


def test_bars_are_history_then_the_forming_bar_and_the_next() -> None:
    source = listing(rate=1.0)
    since = START_NS // 1_000_000_000 - 600
    first, *later = told(source, AlorBarStream(source, "simple", 60, since, 1, history=True), 200)
    assert len(first) == 10
    assert [bar["time"] for bar in first] == [since // 60 * 60 + 60 * each for each in range(1, 11)]
    live = [bar for batch in later for bar in batch]
    times = [bar["time"] for bar in live]
    assert times == sorted(times)
    assert times[0] == first[-1]["time"]
    assert len(set(times)) == 5
    assert any(before == after for before, after in pairwise(times))
    assert all(before != after for before, after in pairwise(live))
    held = {bar["time"]: bar for bar in (*first, *live)}
    anew = [msgspec.json.decode(bar) for bar in AlorBarStream(source, "simple", 60, since, 1, history=True).first()]
    assert list(held.values()) == anew


def test_bars_without_their_history_begin_with_a_change() -> None:
    source = listing(rate=1.0)
    first, *later = told(source, AlorBarStream(source, "slim", 60, 0, 1, history=False), 100)
    assert first == []
    live = [bar for batch in later for bar in batch]
    assert live
    assert live[0]["t"] * 1000 > source.market.time_ms(0) - 60_000


def test_bars_from_a_time_to_come_begin_then() -> None:
    source = listing(rate=1.0)
    since = START_NS // 1_000_000_000 + 60
    first, *later = told(source, AlorBarStream(source, "slim", 60, since, 1, history=True), 150)
    assert first == []
    live = [bar for batch in later for bar in batch]
    assert live
    assert all(bar["t"] >= since for bar in live)


def test_an_instrument_is_told_whole_and_then_what_changed() -> None:
    source = listing(rate=4.0)
    ((first,), *later) = told(source, AlorInstrumentStream(source, "simple"), 400)
    assert list(first) == ["symbol", "exchange", "board", "tradingStatus", "tradingStatusInfo", "priceMin", "priceMax"]
    changes = [change for batch in later for change in batch]
    assert changes
    assert all({"symbol"} < change.keys() <= {"symbol", "priceMin", "priceMax"} for change in changes)
    assert all(change["symbol"] == "SBER" for change in changes)
