"""The aggregator's model: which event goes where, and which instruments a Gap concerns."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics import aggregates
from feedbus.analytics.aggregates import Aggregates
from feedbus.analytics.bars import SECOND
from feedbus.analytics.options import IndicatorOptions, Options
from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookMetrics,
    BookSnapshot,
    Gap,
    MarketData,
    Quote,
    Ticker,
    Trade,
)
from feedbus.testing.strategies import events, examples, plain

START = 28_000_005 * 60 * SECOND
OPTIONS = Options(periods=(60,), indicators=())


def trade(at: int, venue: str = "fake", symbol: str = "A") -> Trade:
    return Trade(venue, symbol, START + at * SECOND, START + at * SECOND, 10.0, 1.0, "buy", None)


def book(at: int, venue: str = "fake", symbol: str = "A") -> BookSnapshot:
    return BookSnapshot(venue, symbol, START + at * SECOND, START + at * SECOND, [(9.0, 1.0)], [(11.0, 1.0)], None)


def gap(topic: str, publisher: str = "fake") -> Gap:
    return Gap(topic, publisher, 1, None, None, "lost")


def test_each_kind_goes_where_it_belongs() -> None:
    model = Aggregates(OPTIONS)
    model.add(
        "fake",
        [
            trade(1),
            Ticker("fake", "B", START, START, last=1.0),
            book(1),
            BookDelta("fake", "B", 1, 2, [], [], None, None),
            Quote("fake", "C", START, START, 1.0, 1.0, 2.0, 1.0, None),
            Alert("fake", "A", 1, 2, "rule", "info", "firing", None, "text"),
            gap("book.fake.Z"),
        ],
        1.0,
    )
    found = model.take(1.0)
    assert [(type(event), getattr(event, "symbol", "")) for event in found] == [
        (Bar, "A"),
        (BookMetrics, "A"),
        (BookMetrics, "C"),
    ]
    counts = model.counts()
    assert {name: count for name, count in counts.items() if count} == {
        "trades": 1, "tickers": 1, "books": 1, "deltas": 1, "quotes": 1, "gaps": 1, "bars": 1, "metrics": 2,
    }  # fmt: skip


def test_what_is_due_next_is_the_first_of_all() -> None:
    model = Aggregates(OPTIONS)
    assert model.next_due() == inf
    model.add("fake", [trade(30)], 30.0)
    model.take(30.0)
    assert model.next_due() == 61.0
    model.add("fake", [book(30)], 30.0)
    model.take(30.0)
    model.add("fake", [book(30)], 30.1)
    assert model.next_due() == 30.25


def concerned(model: Aggregates, lost: Gap) -> list[tuple[str, str]]:
    """Returns (venue, symbol) of each event that is published because of a gap."""
    model.add("fake", [lost], 100.0)
    return [(event.venue, event.symbol) for event in model.take(100.0)]


def with_two_of_each() -> Aggregates:
    model = Aggregates(OPTIONS)
    for publisher, venue in (("fake", "fake"), ("fake/1", "fake"), ("second", "other")):
        for symbol in ("A", "B.C"):
            model.add(publisher, [trade(1, venue, symbol), trade(61, venue, symbol), book(61, venue, symbol)], 61.0)
    model.take(63.0)
    return model


@pytest.mark.parametrize(
    ("lost", "whom"),
    [
        (gap("trade.fake.A"), [("fake", "A")]),
        (gap("trade.fake.B.C"), [("fake", "B.C")]),
        (gap("book.other.A"), [("other", "A")]),
        (gap("ticker.fake.A"), []),
        (gap("quote.fake.A"), []),
        (gap("heartbeat.fake"), []),
        (gap("", "second"), [("other", "A"), ("other", "B.C")] * 2),
        (gap("", "fake/1"), [("fake", "A"), ("fake", "B.C")] * 2),
        (gap("", "aggregator"), []),  # our own, and all others that publish no market data
    ],
)
def test_whom_a_gap_concerns(lost: Gap, whom: list[tuple[str, str]]) -> None:
    assert concerned(with_two_of_each(), lost) == whom


def test_a_gap_concerns_everybody_when_there_are_too_many_publishers_to_remember(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregates, "MAX_SOURCES", 2)
    assert len(concerned(with_two_of_each(), gap("", "nobody"))) == 8


NUMBERS = st.sampled_from([0.0, 1.0, 2.5, -1.0, 1e300, float("inf"), float("nan")])
TIMES = st.sampled_from([0, START, START + 61 * SECOND, START + 3 * 3600 * SECOND, 2**63, -5])
SYMBOLS = st.sampled_from(["A", "B"])
VENUES = st.just("fake")
LEVELS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3)
SIZES = st.none() | NUMBERS
SIDES = st.sampled_from(["buy", "sell", None])
ANY_INPUT = st.one_of(
    st.builds(Trade, VENUES, SYMBOLS, TIMES, TIMES, NUMBERS, NUMBERS, SIDES, st.none()),
    st.builds(
        Ticker, VENUES, SYMBOLS, TIMES, TIMES, last=SIZES, volume=SIZES, turnover=SIZES,
        trades=st.none() | st.integers(-3, 2**63),
    ),
    st.builds(BookSnapshot, VENUES, SYMBOLS, TIMES, TIMES, LEVELS, LEVELS, st.none()),
    st.builds(BookDelta, VENUES, SYMBOLS, TIMES, TIMES, LEVELS, LEVELS, st.none(), st.none()),
    st.builds(Quote, VENUES, SYMBOLS, TIMES, TIMES, SIZES, SIZES, SIZES, SIZES, st.none()),
    st.builds(gap, st.sampled_from(["", "trade.fake.A", "book.fake.A", "ticker.fake.B", "quote", "trade."])),
    events(Gap),
    events(Trade),
    events(Ticker),
    events(Quote),
    events(BookSnapshot),
)  # fmt: skip


@given(st.lists(st.tuples(ANY_INPUT, st.floats(0, 100)), max_size=30), st.booleans())
@examples(100)
def test_whatever_comes_it_goes_on_and_says_no_number_that_is_none(
    inputs: list[tuple[MarketData | Gap, float]], empty: bool
) -> None:
    model = Aggregates(
        Options(periods=(60, 86400), indicators=(IndicatorOptions("sma", 2), IndicatorOptions("ema", 2)), empty=empty)
    )
    now = 0.0
    found: list[MarketData] = []
    for event, passed in inputs:
        now += passed
        model.add("fake", [event], now)
        found += model.take(now)
        assert model.next_due() > now
    for event in found:
        assert all_finite(plain(event))


def all_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(all_finite, value))
    return not isinstance(value, float) or abs(value) < inf
