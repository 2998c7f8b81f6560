"""The maker of bars: what is published when, out of which source, and what a late, lost or odd event does."""

from __future__ import annotations

import random
from itertools import pairwise
from math import inf, nan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
from feedbus.analytics.bar_maker import GAP_DETECTION_TIME, MAX_AHEAD, BarMaker
from feedbus.analytics.bars import SECOND
from feedbus.analytics.options import AggregateCounters, IndicatorOptions, Options
from feedbus.schema.events import Bar, Indicator, Instrument, MarketData, Side, Ticker, Trade
from feedbus.testing.strategies import examples, plain
from tests.captured_trades import captured_trades

START = 28_000_005 * 60 * SECOND  # a whole multiple of 900 s
MINUTE = Options(periods=(60,), indicators=())


def trade(at: float, price: float = 100.0, size: float = 1.0, symbol: str = "A", side: Side | None = "buy") -> Trade:
    ts = START + round(at * SECOND)
    return Trade("fake", symbol, ts, ts + 5, price, size, side, None)


def ticker(at: float, last: float | None, volume: float | None = None, symbol: str = "A") -> Ticker:
    ts = START + round(at * SECOND)
    return Ticker("fake", symbol, ts, ts + 5, last=last, volume=volume)


class Rig:
    """A maker with a clock, which shows the seconds since START by the venue's clock."""

    def __init__(self, options: Options = MINUTE) -> None:
        self.counters = AggregateCounters()
        self.maker = BarMaker(options, self.counters, trading_day=venues.trading_day)

    def add(self, *events: Trade | Ticker, now: float | None = None) -> list[MarketData]:
        """Takes in events as one message, at the time of the last of them or at `now`."""
        at = (events[-1].ts_event - START) / SECOND if now is None else now
        for event in events:
            if isinstance(event, Trade):
                self.maker.add_trade(event, at)
            else:
                self.maker.add_ticker(event, at)
        return self.maker.take(at)


def brief(events: list[MarketData]) -> list[tuple[Any, ...]]:
    """Returns (start in seconds, close, revision, final) of bars and (start, name, value) of indicators."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, Bar):
            found.append(((event.start - START) // SECOND, event.close, event.revision, event.final))
        elif isinstance(event, Indicator):
            found.append(((event.start - START) // SECOND, event.name, event.value))
    return found


# Lots


def paper(lot: float | None, currency: str | None = "RUB", symbol: str = "A", venue: str = "fake") -> Instrument:
    return Instrument(venue, symbol, 0, 1, None, lot, None, None, currency, None, None, None)


def money(events: list[MarketData]) -> list[float | None]:
    return [event.turnover_currency for event in events if isinstance(event, Bar)]


def test_the_lot_is_an_instrument_s_before_and_after_its_first_trade() -> None:
    for first in (True, False):
        rig = Rig()
        if first:
            rig.maker.add_instrument(paper(10.0), 0.0)
        assert money(rig.add(trade(1, 10.0, 2.0))) == [200.0 if first else None]
        rig.maker.add_instrument(paper(10.0), 1.5)
        assert money(rig.add(trade(3, 10.0, 1.0))) == [300.0]
        rig.maker.add_instrument(paper(1.0), 3.5)
        assert money(rig.add(trade(5, 10.0, 1.0))) == [310.0]
        assert money(rig.add(trade(61, 10.0, 1.0))) == [310.0, 10.0]


def test_without_a_currency_or_a_sound_lot_there_is_no_money() -> None:
    rig = Rig()
    for odd in (paper(10.0, None), paper(None), paper(0.0), paper(-1.0), paper(1e200), paper(float("nan"))):
        rig.maker.add_instrument(odd, 0.0)
    assert money(rig.add(trade(1, 10.0, 2.0))) == [None]
    assert (rig.counters.instruments, rig.counters.unusable) == (6, 4)


def test_where_sizes_are_base_units_the_lot_is_known_from_the_beginning() -> None:
    units = {"fake": {"trades": "base units"}, "lots": {"trades": "lots"}}
    for venue, found in (("fake", 20.0), ("lots", None), ("unknown", None)):
        counters = AggregateCounters()
        maker = BarMaker(MINUTE, counters, trading_day=venues.trading_day, units=lambda name: units.get(name, {}))
        maker.add_trade(msgspec.structs.replace(trade(1, 10.0, 2.0), venue=venue), 1.0)
        assert money(maker.take(1.0)) == [found]


def test_the_lots_are_bounded_as_the_instruments_are() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), max_instruments=1))
    rig.maker.add_instrument(paper(10.0), 0.0)
    rig.maker.add_instrument(paper(10.0, symbol="B"), 0.0)
    rig.maker.add_instrument(paper(20.0), 0.0)
    assert rig.counters.ignored == 1
    assert money(rig.add(trade(1, 10.0, 2.0))) == [400.0]


# When bars are published


def test_a_bar_that_is_being_made_is_published_once_a_second_at_most_with_its_newest_state() -> None:
    rig = Rig()
    assert brief(rig.add(trade(1.0, 10.0), trade(1.0, 11.0))) == [(0, 11.0, 0, False)]
    assert rig.maker.next_due() == 61.0 + MINUTE.grace - 1.0
    assert rig.add(trade(1.2, 12.0), trade(1.9, 13.0)) == []
    assert rig.maker.next_due() == 2.0
    assert brief(rig.maker.take(2.0)) == [(0, 13.0, 1, False)]
    assert rig.maker.take(10.0) == []


def test_ten_thousand_trades_a_second_give_no_more_bars_than_few_trades() -> None:
    rig = Rig(Options(indicators=()))
    published = [event for number in range(30_000) for event in rig.add(trade(number / 10_000, number))]
    assert len(published) == 3 * 3
    assert rig.counters.bars == 9


def test_with_no_pause_every_message_publishes() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), forming_every=0.0))
    assert [brief(rig.add(trade(1.0, price), trade(1.0, price + 1))) for price in (10.0, 20.0)] == [
        [(0, 11.0, 0, False)],
        [(0, 21.0, 1, False)],
    ]


def test_a_trade_of_a_later_period_makes_the_bar_final_at_once() -> None:
    rig = Rig()
    rig.add(trade(59.5, 10.0))
    assert brief(rig.add(trade(60.0, 11.0))) == [(0, 10.0, 1, True)]  # the new one waits for its turn
    assert brief(rig.maker.take(60.5)) == [(60, 11.0, 0, False)]


def test_without_a_later_trade_the_bar_is_final_after_the_grace() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), grace=2.0))
    rig.add(trade(30.0, 10.0))
    assert rig.maker.next_due() == 62.0
    assert rig.maker.take(61.9) == []
    assert brief(rig.maker.take(62.0)) == [(0, 10.0, 1, True)]
    assert rig.maker.next_due() == inf


@pytest.mark.parametrize("behind", [-3600.0, -1.3, 0.0, 900.0])
def test_the_end_of_a_bar_goes_by_the_venues_clock_however_late_its_events_are(behind: float) -> None:
    rig = Rig()
    rig.add(trade(30.0, 10.0), now=30.0 + behind)
    assert rig.maker.next_due() == pytest.approx(61.0 + behind)
    rig.maker.take(60.9 + behind)
    assert rig.counters.bars_final == 0
    rig.maker.take(61.01 + behind)
    assert rig.counters.bars_final == 1


def test_every_period_has_its_bar_and_its_indicators() -> None:
    rig = Rig(Options(periods=(60, 300), indicators=(IndicatorOptions("sma", 1), IndicatorOptions("ema", 2))))
    rig.add(trade(10.0, 10.0))
    assert brief(rig.add(trade(65.0, 20.0))) == [
        (0, 10.0, 1, True),
        (0, "sma", 10.0),
        (0, "ema", None),
        (60, 20.0, 0, False),
        (0, 20.0, 1, False),
    ]
    events = rig.maker.take(400.0)
    assert brief(events) == [
        (60, 20.0, 1, True), (60, "sma", 20.0), (60, "ema", 15.0),
        (0, 20.0, 2, True), (0, "sma", 20.0), (0, "ema", None),
    ]  # fmt: skip
    assert events[1] == Indicator("fake", "A", START + 65 * SECOND, START + 65 * SECOND + 5, "sma", 60, 1,
                                  START + 60 * SECOND, 20.0)  # fmt: skip
    assert (rig.counters.bars, rig.counters.bars_final, rig.counters.indicators) == (7, 3, 6)


def test_instruments_have_bars_of_their_own() -> None:
    rig = Rig()
    found = rig.add(trade(1.0, 10.0, symbol="A"), trade(1.0, 20.0, symbol="B"))
    assert [(bar.symbol, bar.close) for bar in found if isinstance(bar, Bar)] == [("A", 10.0), ("B", 20.0)]
    assert len(rig.maker) == 2


# Late trades


def test_a_late_trade_is_published_as_another_revision_with_indicators_if_the_close_is_another() -> None:
    rig = Rig(Options(periods=(60,), indicators=(IndicatorOptions("sma", 1),)))
    rig.add(trade(30.0, 10.0))
    rig.add(trade(61.0, 11.0))
    assert rig.add(trade(59.0, 9.0), now=61.5) == []
    assert brief(rig.maker.take(62.0)) == [(0, 9.0, 2, True), (0, "sma", 9.0)]
    rig.add(trade(20.0, 50.0), now=62.5)
    [bar] = [event for event in rig.maker.take(63.0) if isinstance(event, Bar)]
    assert (bar.high, bar.close, bar.revision, bar.volume) == (50.0, 9.0, 3, 3.0)
    assert (rig.counters.corrected, rig.counters.too_late, rig.counters.indicators) == (2, 0, 2)


def test_many_late_trades_are_one_revision() -> None:
    rig = Rig()
    rig.add(trade(30.0, 10.0))
    rig.add(trade(61.0, 11.0))
    for price in range(100):
        assert rig.add(trade(59.0, price), now=61.5) == []
    assert brief(rig.maker.take(62.0)) == [(0, 99, 2, True)]


def test_a_correction_is_published_before_the_next_bar_is_final() -> None:
    rig = Rig(Options(periods=(60,), indicators=(IndicatorOptions("sma", 2),)))
    rig.add(trade(30.0, 10.0))
    rig.add(trade(119.0, 20.0))
    assert rig.add(trade(59.0, 12.0), now=119.5) == []
    assert brief(rig.add(trade(119.9, 20.0), trade(120.0, 30.0))) == [
        (0, 12.0, 2, True), (60, 20.0, 1, True), (60, "sma", 16.0), (120, 30.0, 0, False),
    ]  # fmt: skip


def test_a_late_trade_does_not_set_the_venues_clock_back() -> None:
    rig = Rig()
    rig.add(trade(30.0))
    rig.add(trade(10.0), now=40.0)
    rig.maker.take(61.0)
    assert rig.counters.bars_final == 1


def test_an_older_bar_is_not_corrected_and_that_is_counted_by_period() -> None:
    rig = Rig(Options(periods=(60, 900), indicators=()))
    rig.add(trade(30.0), trade(61.0), trade(121.0))
    rig.add(trade(31.0), now=122.0)
    assert (rig.counters.too_late, rig.counters.corrected) == (1, 0)


# Empty periods


def test_empty_bars_come_in_time_and_end_after_so_many() -> None:
    rig = Rig(Options(periods=(60,), indicators=(IndicatorOptions("sma", 2),), empty=True, max_empty=2))
    rig.add(trade(30.0, 10.0))
    assert brief(rig.maker.take(61.0)) == [(0, 10.0, 1, True), (0, "sma", None)]
    assert rig.maker.next_due() == 121.0
    assert brief(rig.maker.take(121.0)) == [(60, 10.0, 0, True), (60, "sma", 10.0)]
    assert rig.maker.next_due() == 181.0
    assert brief(rig.maker.take(10_000.0)) == [(120, 10.0, 0, True), (120, "sma", 10.0)]
    assert rig.maker.next_due() == inf
    assert brief(rig.add(trade(1200.0, 20.0))) == [(1200, 20.0, 0, False)]


def test_empty_bars_that_are_overdue_come_before_the_trade_that_ends_the_silence() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), empty=True, max_empty=3))
    rig.add(trade(30.0, 10.0))
    assert brief(rig.add(trade(200.0, 20.0))) == [
        (0, 10.0, 1, True), (60, 10.0, 0, True), (120, 10.0, 0, True), (180, 20.0, 0, False),
    ]  # fmt: skip


# Out of tickers


def test_tickers_make_bars_where_there_are_no_trades() -> None:
    rig = Rig()
    assert rig.add(ticker(1.0, 10.0, 100.0)) == []
    [bar] = rig.add(ticker(2.0, 11.0, 103.0))
    assert isinstance(bar, Bar)
    assert (bar.source, bar.open, bar.close, bar.volume, bar.vwap, bar.complete) == (
        "ticker", 11.0, 11.0, 3.0, None, False,
    )  # fmt: skip
    assert rig.add(ticker(2.5, 11.0, 103.0)) == []
    found = rig.add(ticker(62.0, 12.0, 110.0))
    assert brief(found) == [(0, 11.0, 1, True), (60, 12.0, 0, False)]
    assert [bar.complete for bar in found if isinstance(bar, Bar)] == [False, True]


def test_a_ticker_that_is_older_than_the_one_before_is_passed_over() -> None:
    rig = Rig()
    rig.add(ticker(10.0, 10.0, 100.0), ticker(20.0, 11.0, 105.0))
    assert rig.add(ticker(19.0, 50.0, 101.0), now=25.0) == []
    assert rig.counters.stale == 1


def test_with_the_first_trade_tickers_make_no_bars_any_more() -> None:
    rig = Rig(Options(periods=(60,), indicators=(IndicatorOptions("sma", 2),)))
    rig.add(ticker(1.0, 10.0, 100.0), ticker(2.0, 11.0, 103.0))
    rig.add(ticker(61.0, 12.0, 104.0))
    found = rig.add(trade(70.0, 20.0))
    assert brief(found) == [(60, 12.0, 1, True), (60, "sma", 11.5), (60, 20.0, 0, False)]
    assert [(bar.source, bar.complete) for bar in found if isinstance(bar, Bar)] == [
        ("ticker", False),
        ("trades", False),
    ]
    assert rig.add(ticker(75.0, 13.0, 200.0)) == []
    assert brief(rig.maker.take(121.0)) == [(60, 20.0, 1, True), (60, "sma", None)]
    assert rig.maker.next_due() == inf


def test_what_tickers_have_begun_gives_no_empty_bars_after_the_first_trade() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), empty=True))
    rig.add(ticker(1.0, 10.0, 100.0), ticker(2.0, 11.0, 103.0))
    rig.maker.take(61.0)
    rig.add(trade(70.0, 20.0))
    later = [bar for now in (121.0, 181.0, 241.0) for bar in rig.maker.take(now)]
    assert {bar.source for bar in later if isinstance(bar, Bar)} == {"trades"}


def test_a_correction_of_what_tickers_made_is_published_before_the_first_trade() -> None:
    rig = Rig()
    rig.add(ticker(1.0, 10.0, 100.0), ticker(2.0, 11.0, 103.0))
    rig.maker.take(61.0)
    assert brief(rig.add(ticker(59.0, 15.0, 105.0), now=61.0)) == [(0, 15.0, 2, True)]
    assert rig.add(ticker(59.5, 16.0, 106.0), now=61.1) == []
    assert brief(rig.add(trade(61.2, 20.0))) == [(0, 16.0, 3, True)]


def test_the_clock_of_tickers_is_not_that_of_trades() -> None:
    rig = Rig()
    rig.add(ticker(100.0, 10.0, 100.0), now=30.0)
    rig.add(trade(30.0, 20.0))
    assert rig.maker.next_due() == 61.0


# Odd times and numbers


def test_a_count_that_the_bus_cannot_carry_is_unknown() -> None:
    rig = Rig()
    counts = [2**60 * number for number in range(40)]
    rig.add(*(msgspec.structs.replace(ticker(at, 10.0 + at), trades=count) for at, count in enumerate(counts)))
    bars = rig.maker.take(200.0)
    assert [bar.trades for bar in bars if isinstance(bar, Bar)] == [None]
    assert msgspec.msgpack.encode(bars)


def stamped(at: float, set_back: float, *, venue: bool, kind: str) -> Trade | Ticker:
    """What happens `at` this second, while our wall clock is behind by `set_back` seconds."""
    ts, wall = START + round(at * SECOND), START + round((at - set_back) * SECOND)
    if kind == "trade":
        return Trade("fake", "A", ts * venue, wall, 100.0, 1.0, None, None)
    return Ticker("fake", "A", ts * venue, wall, last=100.0, volume=at)


@pytest.mark.parametrize("kind", ["trade", "ticker"])
@pytest.mark.parametrize("venue", [True, False], ids=["venue time", "no venue time"])
@pytest.mark.parametrize("hours", [1, 3])
def test_a_wall_clock_that_is_set_back_changes_no_bar(hours: int, venue: bool, kind: str) -> None:
    def bars(set_back: float) -> list[tuple[Any, ...]]:
        rig, found = Rig(), list[MarketData]()
        for at in range(5, 400, 20):
            found += rig.add(stamped(at, set_back if at > 150 else 0.0, venue=venue, kind=kind), now=float(at))
        assert (rig.counters.stale, rig.counters.too_late, rig.counters.odd_times) == (0, 0, 0)
        return [(*brief([bar]), bar.volume) for bar in found if isinstance(bar, Bar)]

    assert bars(hours * 3600.0) == bars(0.0)
    assert len(bars(0.0)) > 20


@pytest.mark.parametrize(
    ("ts_event", "ts_recv", "begin"),
    [
        (START + 61 * SECOND, START + 2 * SECOND, 60),
        (0, START + 61 * SECOND, 60),  # the venue gives none
        (START + MAX_AHEAD, START, MAX_AHEAD // SECOND),
        (START + MAX_AHEAD + 1, START, 0),  # can't be
        (-5, START + 1, 0),
    ],
)
def test_the_time_is_the_venues_if_it_gives_one(ts_event: int, ts_recv: int, begin: int) -> None:
    rig = Rig()
    rig.maker.add_trade(Trade("fake", "A", ts_event, ts_recv, 1.0, 1.0, None, None), 0.0)
    assert brief(rig.maker.take(0.0)) == [(begin, 1.0, 0, False)]
    assert rig.counters.odd_times == (ts_event < 0 or ts_event - ts_recv > MAX_AHEAD)
    rig = Rig()
    for last in (1.0, 2.0):
        rig.maker.add_ticker(Ticker("fake", "A", ts_event, ts_recv, last=last), 0.0)
    assert brief(rig.maker.take(0.0)) == [(begin, 2.0, 0, False)]


@pytest.mark.parametrize("at", [-(2**63), -1, 2**63, 2**64 - 1])
def test_times_that_no_clock_shows_give_bars_that_the_bus_can_carry(at: int) -> None:
    rig = Rig(Options(periods=(60, 86400), indicators=(), empty=True))
    rig.maker.add_trade(Trade("fake", "A", at, at, 1.0, 1.0, None, None), 0.0)
    found = rig.maker.take(1e7)
    assert len(found) > 60
    assert all(plain(event) for event in found)


@pytest.mark.parametrize(("price", "size"), [(nan, 1.0), (inf, 1.0), (-inf, 1.0), (1.0, nan), (1.0, inf), (1.0, -1.0)])
def test_a_trade_with_numbers_that_are_none_is_counted_and_left_out(price: float, size: float) -> None:
    rig = Rig()
    assert rig.add(trade(1.0, price, size)) == []
    assert rig.counters.unusable == 1
    assert brief(rig.add(trade(1.0, 5.0))) == [(0, 5.0, 0, False)]


@pytest.mark.parametrize(
    "numbers",
    [{"last": nan}, {"last": inf}, {"last": 1.0, "volume": nan}, {"last": 1.0, "volume": -1.0},
     {"last": 1.0, "turnover": inf}, {"last": 1.0, "trades": -1}],
)  # fmt: skip
def test_a_ticker_with_numbers_that_are_none_is_counted_and_left_out(numbers: dict[str, Any]) -> None:
    rig = Rig()
    rig.add(ticker(1.0, 5.0))
    rig.maker.add_ticker(Ticker("fake", "A", START + 2 * SECOND, START, **numbers), 2.0)
    assert rig.maker.take(2.0) == []
    assert rig.counters.unusable == 1
    assert brief(rig.add(ticker(3.0, 6.0))) == [(0, 6.0, 0, False)]


def test_instruments_beyond_the_limit_are_ignored_and_counted() -> None:
    rig = Rig(Options(periods=(60,), indicators=(), max_instruments=2))
    rig.add(trade(1.0, symbol="A"), ticker(1.0, 1.0, symbol="B"))
    assert rig.add(trade(1.0, symbol="C"), ticker(1.0, 1.0, symbol="D")) == []
    assert rig.counters.ignored == 2
    assert brief(rig.add(trade(3.0, 7.0, symbol="A"))) == [(0, 7.0, 1, False)]


def test_no_periods_make_no_bars() -> None:
    rig = Rig(Options(periods=()))
    assert rig.add(ticker(1.0, 1.0), ticker(2.0, 2.0), trade(3.0)) == []
    assert rig.maker.take(100.0) == []


# What is lost


def test_a_gap_in_the_source_of_the_bars_is_published_with_them() -> None:
    rig = Rig()
    rig.add(trade(1.0), trade(61.0))
    rig.maker.mark_gap("ticker", "fake", "A", 62.0)
    rig.maker.mark_gap("trades", "fake", "B", 62.0)
    assert rig.maker.take(62.5) == []
    rig.maker.mark_gap("trades", "fake", "A", 63.0)
    assert [bar.complete for bar in rig.maker.take(63.0) if isinstance(bar, Bar)] == [False]
    found = rig.add(trade(121.0)) + rig.add(trade(181.0)) + rig.maker.take(300.0)
    finals = [(bar.start, bar.complete) for bar in found if isinstance(bar, Bar) and bar.final]
    assert finals == [
        (START + 60 * SECOND, False),
        (START + 120 * SECOND, False),
        (START + 180 * SECOND, True),
    ]


def test_a_gap_within_a_bar_does_not_concern_the_next_one() -> None:
    rig = Rig()
    rig.add(trade(1.0), trade(61.0))
    rig.maker.mark_gap("trades", "fake", "A", 62.0)
    found = rig.add(trade(63.0), trade(121.0), trade(181.0))
    assert [bar.complete for bar in found if isinstance(bar, Bar) and bar.final] == [False, True]


@pytest.mark.parametrize(("seconds_after", "published"), [(5.0, 1), (GAP_DETECTION_TIME / SECOND + 1, 0)])
def test_a_gap_reaches_back_to_the_bar_that_was_closed_just_before(seconds_after: float, published: int) -> None:
    rig = Rig()
    rig.add(trade(1.0), trade(61.0))
    rig.maker.take(122.0)
    rig.maker.mark_gap("trades", "fake", "A", 120.0 + seconds_after)
    found = rig.maker.take(150.0)
    assert [(bar.complete, bar.final) for bar in found if isinstance(bar, Bar)] == [(False, True)] * published


@pytest.mark.parametrize(("venues", "tainted"), [(None, 2), ({"fake"}, 1), ({"other"}, 1), (set(), 0)])
def test_a_gap_in_anything_concerns_the_instruments_of_some_venues(venues: set[str] | None, tainted: int) -> None:
    rig = Rig()
    for venue in ("fake", "other"):
        for at in (1, 61):
            time = START + at * SECOND
            rig.maker.add_trade(Trade(venue, "A", time, time, 1.0, 1.0, None, None), float(at))
    rig.maker.take(62.0)
    rig.maker.mark_gap_in_venues(venues, 63.0)
    assert sum(not bar.complete for bar in rig.maker.take(70.0) if isinstance(bar, Bar)) == tainted


# Any trades


def published(trades: list[Trade], cuts: list[int], options: Options) -> list[MarketData]:
    """Returns what is published for trades that come in batches with these ends, and in the time after them."""
    rig = Rig(options)
    found: list[MarketData] = []
    edges = [0, *sorted(cuts), len(trades)]
    for begin, end in pairwise(edges):
        if begin < end:
            found += rig.add(*trades[begin:end])
    return found + rig.maker.take(1e9)


def last_of_each(events: list[MarketData]) -> dict[tuple[Any, ...], list[Any]]:
    """Returns the newest version of every bar and indicator, without its revision."""
    newest: dict[tuple[Any, ...], list[Any]] = {}
    for event in events:
        if isinstance(event, Bar):
            key: tuple[Any, ...] = (event.symbol, event.period_s, event.start)
            newest[key] = [getattr(event, name) for name in event.__struct_fields__ if name != "revision"]
        elif isinstance(event, Indicator):
            key = (event.symbol, event.name, event.period_s, event.window, event.start)
            newest[key] = [event.value]
    return newest


SHORT = Options(
    periods=(7, 60), indicators=(IndicatorOptions("sma", 2), IndicatorOptions("ema", 3)), empty=True, max_empty=4
)
TRADES = st.lists(
    st.builds(
        trade, st.integers(0, 400), st.sampled_from([1.0, 2.5, 0.1]), st.sampled_from([0.0, 0.1, 3.0]),
        st.sampled_from(["A", "B"]), st.sampled_from(["buy", "sell", None]),
    ),
    max_size=40,
).map(lambda trades: sorted(trades, key=lambda each: each.ts_event))  # fmt: skip


@given(TRADES, st.lists(st.integers(0, 40), max_size=10))
@examples(150)
def test_batches_of_any_size_give_the_same_bars(trades: list[Trade], cuts: list[int]) -> None:
    cuts = [min(cut, len(trades)) for cut in cuts]
    whole = last_of_each(published(trades, [], SHORT))
    assert last_of_each(published(trades, cuts, SHORT)) == whole
    final = [name for name in Bar.__struct_fields__ if name != "revision"].index("final")
    assert all(values[final] for key, values in whole.items() if len(key) == 3)


@given(TRADES, st.lists(st.integers(0, 40), max_size=10))
@examples(150)
def test_revisions_of_a_bar_count_up_from_nothing_and_final_stays_final(trades: list[Trade], cuts: list[int]) -> None:
    shuffled = sorted(trades, key=lambda each: (each.ts_event // (20 * SECOND), each.price))  # some come late
    seen: dict[tuple[str, int, int], Bar] = {}
    for bar in published(shuffled, [min(cut, len(trades)) for cut in cuts], SHORT):
        if isinstance(bar, Bar):
            key = (bar.symbol, bar.period_s, bar.start)
            before = seen.get(key)
            assert bar.revision == (0 if before is None else before.revision + 1)
            assert before is None or bar.final or not before.final
            seen[key] = bar


def test_real_trades_in_batches_give_the_bars_of_the_whole_and_every_trade_is_in_one() -> None:
    trades = captured_trades()
    options = Options(periods=(60,), indicators=(IndicatorOptions("sma", 2),))
    chance = random.Random(5)
    cuts = [chance.randrange(len(trades)) for _ in range(2000)]
    newest = last_of_each(published(trades, cuts, options))
    assert newest == last_of_each(published(trades, [], options))
    bars = [values for key, values in newest.items() if len(key) == 3]
    fields = [name for name in Bar.__struct_fields__ if name != "revision"]
    total = sum(bar[fields.index("volume")] for bar in bars)
    assert total == pytest.approx(sum(each.size for each in trades), rel=1e-12, abs=0)
    assert sum(bar[fields.index("trades")] for bar in bars) == len(trades)
