"""The aggregator's model: which event goes where, and which instruments a Gap concerns."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
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
    FeedState,
    FeedStatus,
    Gap,
    MarketData,
    Quote,
    Status,
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
    model = Aggregates(OPTIONS, venues.trading_day)
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
        "trades": 1, "tickers": 1, "books": 1, "deltas": 1, "passed_over": 1, "quotes": 1, "gaps": 1, "bars": 1,
        "metrics": 2,
    }  # fmt: skip


def test_what_is_due_next_is_the_first_of_all() -> None:
    model = Aggregates(OPTIONS, venues.trading_day)
    assert model.next_due() == inf
    model.add("fake", [trade(30)], 30.0)
    model.take(30.0)
    assert model.next_due() == 61.0
    model.add("fake", [book(30)], 30.0)
    model.take(30.0)
    model.add("fake", [book(30)], 30.1)
    assert model.next_due() == 30.25


def concerned(model: Aggregates, lost: Gap | Status) -> list[tuple[str, str]]:
    """Returns (venue, symbol) of each event that is published because of a loss."""
    model.add("fake", [lost], 100.0)
    return [(event.venue, event.symbol) for event in model.take(100.0)]


def with_two_of_each() -> Aggregates:
    model = Aggregates(OPTIONS, venues.trading_day)
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
        (gap("status.other.A"), [("other", "A")]),
        (Status("fake", "A", 1, 2, "gapped", "hole", 1, 1), [("fake", "A")]),
        (gap("ticker.fake.A"), []),
        (gap("quote.fake.A"), []),
        (gap("heartbeat.fake"), []),
        (gap("", "second"), [("other", "A"), ("other", "B.C")] * 2),
        (gap("", "fake/1"), [("fake", "A"), ("fake", "B.C")] * 2),
        (gap("", "aggregator"), []),  # our own, and all others that publish no market data
    ],
)
def test_whom_a_loss_concerns(lost: Gap | Status, whom: list[tuple[str, str]]) -> None:
    assert concerned(with_two_of_each(), lost) == whom


def test_a_gap_concerns_everybody_when_there_are_too_many_publishers_to_remember(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregates, "MAX_SOURCES", 2)
    model = with_two_of_each()
    model.add("fake", [Quote("fake", "C", START, START, 1.0, 1.0, 2.0, 1.0, None)], 63.0)
    model.take(63.0)
    bars = [(venue, symbol) for venue in ("fake", "other") for symbol in ("A", "B.C")]
    assert concerned(model, gap("", "nobody")) == [*bars, ("fake", "C")]  # of each book the publisher is known


# Outages


class Outages:
    """A model with bars of a minute, empty ones too. Times are seconds since START."""

    def __init__(self) -> None:
        self.model = Aggregates(Options(periods=(60,), indicators=(), empty=True), venues.trading_day)
        self.bars: dict[int, Bar] = {}  # the newest version, by the number of its minute

    def at(self, now: float, *events: MarketData) -> None:
        self.model.add("fake", events, now)
        self.take(now)

    def take(self, now: float) -> None:
        for event in self.model.take(now):
            assert isinstance(event, Bar)
            if event.venue == "other":
                assert event.complete or not event.final or event.start == START
                continue
            self.bars[(event.start - START) // SECOND // 60] = event

    def volumes(self) -> dict[int, float]:
        """The volumes of the minutes in which something was traded."""
        return {minute: bar.volume for minute, bar in self.bars.items() if bar.volume}

    def complete(self) -> list[int]:
        """The minutes whose bar says that it is complete."""
        return [minute for minute, bar in sorted(self.bars.items()) if bar.final and bar.complete]


def status(state: FeedState, up: int, wanted: int = 1, name: str = "fake/0", generation: int = 1) -> FeedStatus:
    return FeedStatus("fake", name, 0, START, state, "", up, wanted, {}, 0.0, None, generation)


def minute_ticker(minute: int, volume: float, last: float = 10.0) -> Ticker:
    ts = START + minute * 60 * SECOND
    return Ticker("fake", "A", ts, ts, last=last, volume=volume)


def test_no_bar_that_an_outage_touches_is_complete() -> None:
    rig = Outages()
    for at in (-70, -5, 5):
        rig.at(at, trade(at))
    rig.at(20, status("waiting", 0))
    rig.at(150, status("online", 1))
    rig.at(160, trade(160))
    rig.at(185, trade(185))
    rig.at(250, status("online", 1))
    rig.take(250)
    assert rig.complete() == [-1, 3]
    assert rig.model.counters.outages == 1


def test_a_bar_that_ended_just_before_the_outage_was_noticed_is_published_again() -> None:
    rig = Outages()
    for at in (-5, 30):
        rig.at(at, trade(at))
    rig.take(65)
    assert rig.complete() == [0]
    rig.at(100, status("waiting", 0))
    assert rig.complete() == []


def test_while_any_connection_is_down_no_bar_of_the_venue_is_complete() -> None:
    rig = Outages()
    rig.at(0, status("online", 2, 2), status("online", 2, 2, "fake/1"))
    for minute in range(8):
        if minute == 2:
            rig.at(110, status("waiting", 1, 2, "fake/1"))
        if minute == 5:
            rig.at(290, status("online", 2, 2, "fake/1", 2))
        at = minute * 60 + 5
        rig.at(at, status("online", 1 if 110 <= at < 290 else 2, 2), trade(at), trade(at, "other", "B"))
    assert rig.complete() == [6]


def test_an_instrument_that_hasnt_spoken_since_the_outage_is_incomplete() -> None:
    rig = Outages()
    for at in (-5, 5):
        rig.at(at, trade(at))
    rig.at(20, status("waiting", 0))
    rig.at(30, status("online", 1))
    for at in range(60, 400, 10):
        rig.at(at, status("online", 1))
    assert len(rig.bars) > 5
    assert rig.complete() == []


def test_what_was_traded_during_an_outage_is_in_no_bar_of_tickers() -> None:
    rig = Outages()
    for minute in range(3):
        rig.at(minute * 60, minute_ticker(minute, 100.0 + 10 * minute, 10.0 + minute))
    rig.at(130, status("waiting", 0))
    rig.at(31 * 60, status("online", 1), minute_ticker(31, 3100.0, 20.0))  # a snapshot
    for minute in range(32, 36):
        rig.at(minute * 60, status("online", 1), minute_ticker(minute, 3100.0 + 10 * (minute - 31)))
    assert rig.volumes() == dict.fromkeys((1, 2, 32, 33, 34, 35), 10.0)
    assert rig.complete() == [31, 32, 33, 34]


def test_what_a_second_connection_misses_while_another_is_down_is_in_no_bar_either() -> None:
    rig = Outages()
    rig.at(0, status("waiting", 1, 2, "fake/1"), minute_ticker(0, 100.0))
    rig.at(60, minute_ticker(1, 110.0))  # while the other connection is down, this one counts on
    rig.at(70, status("waiting", 0, 2))
    rig.at(600, status("online", 1, 2, "fake/0", 2), minute_ticker(10, 5000.0))
    rig.at(660, minute_ticker(11, 5010.0))
    assert rig.volumes() == {1: 10.0, 11: 10.0}


def test_a_feed_that_falls_silent_is_an_outage_like_any_other() -> None:
    rig = Outages()
    for at in (-70, 5):
        rig.at(at, trade(at))
    rig.at(10, status("online", 1))
    assert rig.model.next_due() <= 25.0
    for at in (25, 61, 130):
        rig.take(at)
    rig.at(140, status("connecting", 0, generation=2))
    rig.at(141, status("online", 1, generation=2), trade(141))
    rig.at(190, trade(190))
    rig.take(200)
    rig.at(250, trade(250))
    assert rig.complete() == [-1, 3]


def test_a_gap_is_an_outage_of_the_sums_too() -> None:
    rig = Outages()
    rig.at(0, minute_ticker(0, 100.0))
    rig.at(60, minute_ticker(1, 110.0))
    rig.model.add("fake", [Gap("", "fake", 1, None, None, "restart")], 70)
    rig.at(1860, minute_ticker(31, 3100.0))
    rig.at(1920, minute_ticker(32, 3110.0))
    assert rig.volumes() == {1: 10.0, 32: 10.0}


NUMBERS = st.sampled_from([0.0, 1.0, 2.5, -1.0, 1e300, float("inf"), float("nan")]) | st.floats()
TIMES = st.sampled_from([0, START, START + 61 * SECOND, START + 3 * 3600 * SECOND, 2**63, -5])
SYMBOLS = st.sampled_from(["A", "B"])
VENUES = st.just("fake")
LEVELS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3)
SIZES = st.none() | NUMBERS
STATES = st.sampled_from(["live", "stale", "gapped"])
SIDES = st.sampled_from(["buy", "sell", None])
ANY_INPUT = st.one_of(
    st.builds(Trade, VENUES, SYMBOLS, TIMES, TIMES, NUMBERS, NUMBERS, SIDES, st.none()),
    st.builds(
        Ticker, VENUES, SYMBOLS, TIMES, TIMES, last=SIZES, volume=SIZES, turnover=SIZES,
        trades=st.none() | st.integers(-3, 2**63),
    ),
    st.builds(BookSnapshot, VENUES, SYMBOLS, TIMES, TIMES, LEVELS, LEVELS, st.none()),
    st.builds(BookDelta, VENUES, SYMBOLS, TIMES, TIMES, LEVELS, LEVELS, st.none(), st.none()),
    st.builds(Status, VENUES, SYMBOLS, TIMES, TIMES, STATES, st.just(""), TIMES, TIMES),
    st.builds(Quote, VENUES, SYMBOLS, TIMES, TIMES, SIZES, SIZES, SIZES, SIZES, st.none()),
    st.builds(gap, st.sampled_from(["", "trade.fake.A", "book.fake.A", "ticker.fake.B", "quote", "trade."])),
    events(Gap),
    st.builds(status, st.sampled_from(["online", "waiting", "stopped"]), st.integers(0, 2)),
    events(FeedStatus),
    events(Trade),
    events(Ticker),
    events(Quote),
    events(BookSnapshot),
    events(BookDelta),
    events(Status),
)  # fmt: skip


@given(st.lists(st.tuples(ANY_INPUT, st.floats(0, 100)), max_size=30), st.booleans())
@examples(100)
def test_whatever_comes_it_goes_on_and_says_no_number_that_is_none(
    inputs: list[tuple[MarketData | Gap, float]], empty: bool
) -> None:
    model = Aggregates(
        Options(periods=(60, 86400), indicators=(IndicatorOptions("sma", 2), IndicatorOptions("ema", 2)), empty=empty),
        venues.trading_day,
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
        assert msgspec.msgpack.encode(event)  # no count is too large for the bus


def all_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(all_finite, value))
    return not isinstance(value, float) or abs(value) < inf
