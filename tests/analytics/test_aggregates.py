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
    FeedStatus,
    Gap,
    MarketData,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
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
        (Status("fake", "A", 1, 2, "gapped", "hole", 1, 1, "book"), [("fake", "A")]),
        (Status("fake", "A", 1, 2, "gapped", "hole", 1, 1, "trade"), [("fake", "A")]),
        (Status("fake", "A", 1, 2, "gapped", "hole", 1, 1, "ticker"), []),
        (Status("fake", "A", 1, 2, "gapped", "hole", 1, 1), [("fake", "A")] * 2),
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
        self.published: list[Bar] = []

    def at(self, now: float, *events: MarketData) -> None:
        self.model.add("fake", events, now)
        self.take(now)

    def take(self, now: float) -> None:
        for event in self.model.take(now):
            assert isinstance(event, Bar)
            self.published.append(event)
            if event.venue == "other":
                assert event.complete or not event.final or event.start == START
                continue
            self.bars[(event.start - START) // SECOND // 60] = event

    def of(self, symbol: str) -> list[Bar]:
        """The newest versions of the final bars of this instrument from START on, in order."""
        found = {bar.start: bar for bar in self.published if bar.symbol == symbol and bar.final and bar.start >= START}
        return [found[start] for start in sorted(found)]

    def volumes(self) -> dict[int, float]:
        """The volumes of the minutes in which something was traded."""
        return {minute: bar.volume for minute, bar in self.bars.items() if bar.volume}

    def complete(self) -> list[int]:
        """The minutes whose bar says that it is complete."""
        return [minute for minute, bar in sorted(self.bars.items()) if bar.final and bar.complete]


def said(state: TrustState, word: str = "trade", symbol: str = "A") -> Status:
    reason = "" if state == "live" else "connecting"
    return Status("fake", symbol, 0, START, state, reason, START, 1, word)


def minute_ticker(minute: int, volume: float, last: float = 10.0) -> Ticker:
    ts = START + minute * 60 * SECOND
    return Ticker("fake", "A", ts, ts, last=last, volume=volume)


UNUSABLE: tuple[TrustState, ...] = ("unsubscribed", "resyncing", "gapped", "stale")


@pytest.mark.parametrize("state", UNUSABLE)
def test_no_bar_in_whose_time_the_data_could_not_be_used_is_complete(state: TrustState) -> None:
    rig = Outages()
    for at in (-70, -5, 5):
        rig.at(at, trade(at))
    rig.at(20, said(state))
    rig.at(155, trade(155), said("live"))
    rig.at(185, trade(185))
    rig.take(250)
    assert rig.complete() == [-1, 3]
    assert rig.model.counters.outages == 1


@pytest.mark.parametrize("state", ["delayed", "closed", "quiet", "live"])
def test_what_is_late_closed_or_quiet_is_complete(state: TrustState) -> None:
    rig = Outages()
    for at in (-70, -5, 5):
        rig.at(at, trade(at))
    rig.at(20, said(state))
    rig.at(185, trade(185))
    rig.take(250)
    assert rig.complete() == [-1, 0, 1, 2, 3]
    assert rig.model.counters.outages == 0


def test_a_trade_that_comes_while_the_data_may_not_be_used_ends_nothing() -> None:
    rig = Outages()
    for at in (-70, -5, 5):
        rig.at(at, trade(at))
    rig.at(20, said("gapped"))
    for at in (65, 125, 185):
        rig.at(at, trade(at))
    rig.at(186, said("live"))
    for at in (245, 305):
        rig.at(at, trade(at))
    assert rig.complete() == [-1, 4]


def test_bars_that_had_ended_before_it_was_known_are_published_again_all_that_it_concerns() -> None:
    rig = Outages()
    for at in (-5, 30):
        rig.at(at, trade(at))
    for at in (65, 125, 185, 245):
        rig.take(at)
    assert rig.complete() == [0, 1, 2, 3]
    late = Outages()
    late.model, late.bars = rig.model, dict(rig.bars)
    late.at(250, said("resyncing"))  # a connection is seen to be gone within 45 s
    assert late.complete() == [0, 1, 2]
    assert late.bars[3].revision == 1
    other = Outages()
    for at in (-5, 30):
        other.at(at, trade(at))
    for at in (65, 125, 185, 245):
        other.take(at)
    other.at(250, said("stale"))  # nobody knows since when it is mute
    assert other.complete() == []


def test_the_other_words_and_instruments_concern_nobody_else() -> None:
    rig = Outages()
    for at in (-5, 5):
        rig.at(at, trade(at), trade(at, symbol="B"))
    rig.at(20, said("resyncing", "ticker"), said("resyncing", "book"), said("stale", symbol="B"))
    rig.at(65, trade(65))
    rig.take(130)
    assert rig.model.counters.outages == 1
    assert [bar.complete for bar in rig.of("A")] == [True, True]
    assert not any(bar.complete for bar in rig.of("B"))


def test_what_was_traded_while_tickers_could_not_be_used_is_in_no_bar() -> None:
    rig = Outages()
    for minute in range(3):
        rig.at(minute * 60, minute_ticker(minute, 100.0 + 10 * minute, 10.0 + minute))
    rig.at(130, said("resyncing", "ticker"))
    rig.at(31 * 60, minute_ticker(31, 3100.0, 20.0), said("live", "ticker"))  # a snapshot
    for minute in range(32, 36):
        rig.at(minute * 60, minute_ticker(minute, 3100.0 + 10 * (minute - 31)))
    assert rig.volumes() == dict.fromkeys((1, 2, 32, 33, 34, 35), 10.0)
    assert rig.complete() == [31, 32, 33, 34]


def test_a_publisher_that_falls_silent_makes_bars_incomplete_until_its_statuses_are_said_again() -> None:
    rig = Outages()
    rig.at(-70, trade(-70), said("live"))
    rig.at(5, trade(5))
    rig.model.add("fake", [Gap("", "fake", 1, None, None, "silent")], 10)
    for at in (61, 130):
        rig.take(at)
    rig.at(141, trade(141))
    rig.at(145, said("live"))
    rig.at(190, trade(190))
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
    st.builds(said, st.sampled_from(["live", "quiet", "stale", "resyncing"]), st.sampled_from(["trade", "ticker", ""])),
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
