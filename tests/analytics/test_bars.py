"""Bars: tables of small cases, captured trades compared with polars, and properties that hold for any trades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics.bars import SECOND, BarSeries, BarState
from feedbus.schema.events import Bar, Side, Ticker, Trade
from feedbus.testing.strategies import examples
from tests.captured_trades import captured_trades

START = 28_000_005 * 60 * SECOND  # a whole multiple of 900 s


def trade(seconds: float, price: float = 100.0, size: float = 1.0, side: Side | None = "buy", number: int = 0) -> Trade:
    at = START + round(seconds * SECOND)
    return Trade("fake", "A", at, at + 5, price, size, side, number)


def add(series: BarSeries, trades: Iterable[Trade]) -> tuple[list[BarState], int]:
    """Returns the bars that became final, as if they were published at once, and how many trades were too late."""
    all_finished: list[BarState] = []
    too_late = 0
    for each in trades:
        finished: list[BarState] = []
        bar = series.find(each.ts_event, each, finished)
        for final in finished:
            final.changed = False
        all_finished += finished
        if bar is None:
            too_late += 1
        else:
            bar.add_trade(each, each.ts_event, each.price, each.size, each.side)
    return all_finished, too_late


def bars_of(trades: Sequence[Trade], period_s: int, *, empty: int = 0) -> list[Bar]:
    """Returns all bars of trades that come in order, including the last one."""
    series = BarSeries(period_s, "trades", max_empty=empty)
    finished, _ = add(series, trades)
    if series.bar is not None:
        series.close(finished)
    return [bar.publish(period_s, "trades") for bar in finished]


# One bar


def test_a_bar_of_some_trades() -> None:
    [bar] = bars_of(
        [trade(1, 10.0, 2.0), trade(2, 14.0, 1.0, "sell"), trade(3, 9.0, 3.0, None), trade(59, 12.0, 2.0)], 60
    )
    last = START + 59 * SECOND
    assert bar == Bar(
        venue="fake", symbol="A", ts_event=last, ts_recv=last + 5, source="trades", period_s=60, start=START,
        open=10.0, high=14.0, low=9.0, close=12.0, volume=8.0, turnover=85.0, trades=4, buy_volume=4.0,
        sell_volume=1.0, vwap=85 / 8, final=True, revision=0, complete=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trades", "buy", "sell", "vwap"),
    [
        ([trade(1, 10.0, 2.0, "buy")], 2.0, 0.0, 10.0),
        ([trade(1, 10.0, 2.0, "sell")], 0.0, 2.0, 10.0),
        ([trade(1, 10.0, 2.0, "sell"), trade(1, 10.0, 2.0, None)], 0.0, 2.0, 10.0),
        ([trade(1, 10.0, 2.0, None)], None, None, 10.0),  # the venue doesn't say
        ([trade(1, 10.0, 0.0, None)], 0.0, 0.0, None),  # nothing was bought or sold
        ([trade(1, 10.0, 0.0, "buy")], 0.0, 0.0, None),
        ([trade(1, -10.0, 2.0), trade(1, -20.0, 2.0)], 4.0, 0.0, -15.0),
        ([trade(1, 0.1, 0.1)] * 10, 1.0, 0.0, 0.1),  # not 0.9999999999999999
    ],
)
def test_sides_and_vwap(trades: list[Trade], buy: float | None, sell: float | None, vwap: float | None) -> None:
    [bar] = bars_of(trades, 60)
    assert (bar.buy_volume, bar.sell_volume, bar.vwap) == (buy, sell, vwap)


@pytest.mark.parametrize(
    ("seconds", "period_s", "starts"),
    [
        ([0], 60, [0]),
        ([59.999999999], 60, [0]),
        ([60], 60, [60]),
        ([1, 60, 61, 200], 60, [0, 60, 180]),
        ([1, 60, 61, 200], 300, [0]),
        ([899, 900], 900, [0, 900]),
        ([1], 86400, [-START // SECOND % 86400 - 86400]),
        ([3, 4], 1, [3, 4]),
    ],
)
def test_bars_begin_at_whole_multiples_of_their_period(seconds: list[float], period_s: int, starts: list[int]) -> None:
    bars = bars_of([trade(at) for at in seconds], period_s)
    assert [(bar.start - START) // SECOND for bar in bars] == starts
    assert all(bar.start % (period_s * SECOND) == 0 for bar in bars)


def test_prices_go_by_the_times_of_trades_and_ties_by_their_order() -> None:
    [bar] = bars_of([trade(5, 1.0), trade(9, 2.0), trade(9, 3.0), trade(4, 4.0), trade(4, 5.0), trade(7, 6.0)], 60)
    assert (bar.open, bar.close) == (4.0, 3.0)


def test_revisions_count_what_was_published_before() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    add(series, [trade(1, 10.0)])
    assert series.bar is not None
    first = series.bar.publish(60, "trades")
    add(series, [trade(2, 11.0)])
    assert series.bar.changed
    second = series.bar.publish(60, "trades")
    assert not series.bar.changed
    finished, _ = add(series, [trade(60, 12.0)])
    third = finished[0].publish(60, "trades")
    assert [(bar.revision, bar.final, bar.close) for bar in (first, second, third)] == [
        (0, False, 10.0),
        (1, False, 11.0),
        (2, True, 11.0),
    ]


# Late trades


def test_a_late_trade_corrects_the_last_closed_bar_and_no_other() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    finished, _ = add(series, [trade(1, 10.0), trade(61, 11.0), trade(121, 12.0)])
    assert [bar.publish(60, "trades").close for bar in finished] == [10.0, 11.0]
    assert add(series, [trade(119, 15.0), trade(60.5, 9.0), trade(59, 99.0)]) == ([], 1)
    assert series.closed is finished[1]
    assert series.closed.changed
    bar = series.closed.publish(60, "trades")
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.final, bar.revision) == (
        9.0, 15.0, 9.0, 15.0, 3.0, True, 1,
    )  # fmt: skip
    assert series.bar is not None
    assert series.bar.volume == 1.0


def test_a_correction_that_nobody_has_published_is_finished_before_the_next_bar() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    add(series, [trade(1), trade(61), trade(2)])
    again, _ = add(series, [trade(121)])
    assert [(bar.start - START) // SECOND for bar in again] == [0, 60]


def test_a_late_trade_finds_its_bar_after_that_was_closed_without_a_later_one() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    add(series, [trade(1)])
    finished: list[BarState] = []
    series.close(finished)
    assert series.bar is None
    assert add(series, [trade(2, 50.0)]) == ([], 0)
    assert finished[0].close == 50.0
    assert finished[0].final


# Empty periods


def test_empty_periods_have_no_bars_unless_asked_for() -> None:
    assert [bar.start - START for bar in bars_of([trade(1), trade(301)], 60)] == [0, 300 * SECOND]


@pytest.mark.parametrize(("most", "empties"), [(1, 1), (3, 3), (4, 4), (5, 4), (100, 4)])
def test_empty_periods_show_the_last_close_and_no_more_than_so_many(most: int, empties: int) -> None:
    bars = bars_of([trade(1, 10.0), trade(2, 12.0), trade(301, 11.0)], 60, empty=most)
    assert [(bar.start - START) // (60 * SECOND) for bar in bars] == [*range(empties + 1), 5]
    for bar in bars[1:-1]:
        assert (bar.open, bar.high, bar.low, bar.close) == (12.0, 12.0, 12.0, 12.0)
        assert (bar.volume, bar.turnover, bar.trades, bar.vwap) == (0.0, 0.0, 0, None)
        assert (bar.buy_volume, bar.sell_volume, bar.final, bar.complete) == (0.0, 0.0, True, True)
        assert bar.ts_event == START + 2 * SECOND


def test_empty_bars_come_as_time_passes_too_and_are_not_made_twice() -> None:
    series = BarSeries(60, "trades", max_empty=3)
    finished, _ = add(series, [trade(1)])
    ends = []
    while (end := series.next_end()) is not None:
        ends.append((end - START) // SECOND)
        series.close(finished)
    assert ends == [60, 120, 180, 240]
    assert len(finished) == 4
    series.close(finished)
    assert len(finished) == 4
    add(series, [trade(601)])
    assert series.next_end() == START + 660 * SECOND
    series.close(finished)
    assert series.next_end() == START + 720 * SECOND  # the row of empty bars begins anew


def test_a_late_trade_fills_an_empty_bar() -> None:
    series = BarSeries(60, "trades", max_empty=3)
    finished, _ = add(series, [trade(1, 10.0)])
    series.close(finished)
    series.close(finished)
    add(series, [trade(70, 20.0)])
    bar = finished[1].publish(60, "trades")
    assert (bar.open, bar.high, bar.low, bar.close, bar.trades) == (20.0, 20.0, 20.0, 20.0, 1)


# Complete


def test_the_first_bar_is_incomplete_and_those_that_follow_are_not() -> None:
    assert [bar.complete for bar in bars_of([trade(1), trade(61), trade(121)], 60)] == [False, True, True]


def test_a_gap_makes_the_bars_on_both_its_sides_incomplete() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    finished, _ = add(series, [trade(1), trade(61)])
    assert series.taint(0) == [series.bar]
    assert series.taint(0) == []  # nothing new
    more, _ = add(series, [trade(130), trade(190), trade(250)])
    assert [bar.complete for bar in finished + more] == [False, False, False, True]


def test_a_gap_within_one_bar_leaves_the_next_one_complete() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    add(series, [trade(1), trade(61)])
    series.taint(0)
    finished, _ = add(series, [trade(62), trade(121), trade(181)])
    assert [bar.complete for bar in finished] == [False, True]


@pytest.mark.parametrize(("since", "changed"), [(119, True), (120, False), (500, False)])
def test_a_gap_reaches_the_bar_that_was_just_closed_unless_it_ended_long_ago(since: int, changed: bool) -> None:
    series = BarSeries(60, "trades", max_empty=0)
    finished, _ = add(series, [trade(1), trade(61)])
    series.close(finished)
    assert not finished[1].publish(60, "trades").revision
    assert series.taint(START + since * SECOND) == [finished[1]] * changed
    assert finished[1].complete != changed
    more, _ = add(series, [trade(301), trade(361)])
    assert more[:-1] == ([finished[1]] if changed else [])  # to be published again
    assert not more[-1].complete


def test_empty_bars_in_a_gap_are_incomplete() -> None:
    series = BarSeries(60, "trades", max_empty=2)
    finished, _ = add(series, [trade(1), trade(61)])
    series.taint(0)
    series.close(finished)
    series.close(finished)
    assert [bar.complete for bar in finished] == [False, False, False]


def test_a_gap_that_is_found_late_reaches_the_bar_of_the_last_trade_and_all_empty_ones_after_it() -> None:
    series = BarSeries(60, "trades", max_empty=3)
    finished, _ = add(series, [trade(1), trade(61), trade(121)])
    for _ in range(5):
        series.close(finished)
    assert [bar.complete for bar in finished] == [False, True, True, True, True, True]
    assert series.taint(START + 240 * SECOND) == finished[4:]
    assert series.taint(START + 130 * SECOND) == finished[2:4]
    assert [bar.complete for bar in finished] == [False, True, False, False, False, False]


def test_a_late_trade_does_not_say_that_the_gap_is_over() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    finished, _ = add(series, [trade(1), trade(61)])
    series.close(finished)
    series.taint(0)
    add(series, [trade(65)])
    more, _ = add(series, [trade(121), trade(181)])
    assert [bar.complete for bar in more if bar.start > finished[1].start] == [False]


# Bars out of tickers


def test_a_bar_of_changes_has_no_vwap_and_no_sides() -> None:
    ticker = Ticker("fake", "A", START, START + 5, last=10.0)
    bar = BarState(START, START + 60 * SECOND, ticker, fill_price=0.0, complete=True)
    for at, (price, volume, turnover, trades) in enumerate(
        [(10.0, 5.0, 50.0, 2), (12.0, 1.0, 12.0, 1), (9.0, 0.0, 0.0, 0)]
    ):
        bar.add_change(ticker, START + at, price, volume, turnover, trades)
    made = bar.publish(60, "ticker")
    assert (made.open, made.high, made.low, made.close) == (10.0, 12.0, 9.0, 9.0)
    assert (made.volume, made.turnover, made.trades) == (6.0, 62.0, 3)
    assert (made.vwap, made.buy_volume, made.sell_volume) == (None, None, None)


def test_a_sum_that_one_change_did_not_give_is_unknown() -> None:
    ticker = Ticker("fake", "A", START, START + 5, last=10.0)
    bar = BarState(START, START + 60 * SECOND, ticker, fill_price=0.0, complete=True)
    bar.add_change(ticker, START, 10.0, 5.0, None, 2)
    bar.add_change(ticker, START, 10.0, 5.0, 50.0, None)
    made = bar.publish(60, "ticker")
    assert (made.volume, made.turnover, made.trades) == (10.0, None, None)


# Real trades, against polars


def by_polars(trades: Sequence[Trade], period_s: int) -> list[dict[str, Any]]:
    """Returns the same bars, computed by polars' group_by."""
    frame = pl.DataFrame(
        {
            "at": [each.ts_event for each in trades],
            "price": [each.price for each in trades],
            "size": [each.size for each in trades],
            "side": [each.side for each in trades],
        }
    ).with_row_index()
    size = pl.col("size")
    return (
        frame.sort("at", "index")
        .group_by((pl.col("at") // (period_s * SECOND) * (period_s * SECOND)).alias("start"), maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            trades=pl.len(),
            volume=size.sum(),
            turnover=(pl.col("price") * size).sum(),
            buy_volume=size.filter(pl.col("side") == "buy").sum(),
            sell_volume=size.filter(pl.col("side") == "sell").sum(),
            vwap=(pl.col("price") * size).sum() / size.sum(),
        )
        .to_dicts()
    )


EXACT = ("start", "open", "high", "low", "close", "trades")
SUMS = ("volume", "turnover", "buy_volume", "sell_volume", "vwap")


@pytest.mark.parametrize("period_s", [1, 7, 60, 300, 900, 86400])
def test_bars_of_real_trades_are_those_of_polars(period_s: int) -> None:
    trades = captured_trades()
    ours = bars_of(trades, period_s)
    theirs = by_polars(trades, period_s)
    assert len(ours) == len(theirs) > 0
    for bar, expected in zip(ours, theirs, strict=True):
        assert {name: getattr(bar, name) for name in EXACT} == {name: expected[name] for name in EXACT}
        for name in SUMS:
            wanted = expected[name] or 0.0
            assert getattr(bar, name) == pytest.approx(wanted, rel=1e-12, abs=0), (bar.start, name)


def test_sums_of_real_trades_are_exact_but_for_the_last_digit() -> None:
    trades = captured_trades()
    for bar in bars_of(trades, 60):
        within = [each for each in trades if 0 <= each.ts_event - bar.start < 60 * SECOND]
        volume = math.fsum(each.size for each in within)
        turnover = math.fsum(each.price * each.size for each in within)
        assert bar.volume == pytest.approx(volume, rel=0, abs=math.ulp(volume))
        assert bar.turnover == pytest.approx(turnover, rel=0, abs=math.ulp(turnover))


def test_a_sum_of_very_many_trades_is_as_exact() -> None:
    bar = BarState(START, START + SECOND, trade(0), fill_price=0.0, complete=True)
    for _ in range(200_000):
        bar.add_trade(trade(0), START, 0.1, 0.1, "sell")
    made = bar.publish(1, "trades")
    assert (made.volume, made.sell_volume, made.vwap) == (20_000.0, 20_000.0, 0.1)
    assert made.turnover == pytest.approx(2000.0, rel=1e-15, abs=0)


# Any trades

ORDERED = st.lists(
    st.builds(
        trade,
        st.integers(0, 1300),
        st.sampled_from([0.1, 1.0, 3.3, 99.99, -5.0]),
        st.sampled_from([0.0, 0.1, 0.7, 1.0, 1e9, 1e-9]),
        st.sampled_from(["buy", "sell", None]),
    ),
    max_size=40,
).map(lambda trades: sorted(trades, key=lambda each: each.ts_event))


@given(ORDERED, st.sampled_from([1, 60, 300]), st.lists(st.integers(0, 40), max_size=8))
@examples(150)
def test_bars_do_not_depend_on_when_they_are_looked_at(trades: list[Trade], period_s: int, cuts: list[int]) -> None:
    """However trades are batched, and though the unfinished bar is published after each batch, the bars are the same
    apart from their revisions."""
    whole = bars_of(trades, period_s)
    series = BarSeries(period_s, "trades", max_empty=0)
    finished: list[BarState] = []
    edges = [0, *sorted(cuts), len(trades)]
    for begin, end in pairwise(edges):
        finished += add(series, trades[begin:end])[0]
        if series.bar is not None:
            series.bar.publish(period_s, "trades")
    if series.bar is not None:
        series.close(finished)
    bars = [bar.publish(period_s, "trades") for bar in finished]
    assert [but_revision(bar) for bar in bars] == [but_revision(bar) for bar in whole]


def but_revision(bar: Bar) -> list[Any]:
    return [getattr(bar, name) for name in bar.__struct_fields__ if name != "revision"]


@given(ORDERED, st.sampled_from([(1, 60), (60, 300), (60, 900), (300, 900)]))
@examples(150)
def test_bars_of_a_longer_period_are_the_shorter_ones_merged(trades: list[Trade], periods: tuple[int, int]) -> None:
    short, long = (bars_of(trades, period_s) for period_s in periods)
    for bar in long:
        parts = [part for part in short if bar.start <= part.start < bar.start + periods[1] * SECOND]
        assert (bar.open, bar.close) == (parts[0].open, parts[-1].close)
        assert bar.high == max(part.high or 0.0 for part in parts)
        assert bar.low == min(part.low or 0.0 for part in parts)
        assert bar.trades == sum(part.trades or 0 for part in parts)
        assert bar.volume == pytest.approx(sum(part.volume or 0.0 for part in parts), rel=1e-12, abs=0)


@given(ORDERED.flatmap(st.permutations), st.sampled_from([60, 300]), st.integers(0, 5))
@examples(150)
def test_what_holds_of_all_bars(trades: list[Trade], period_s: int, empty: int) -> None:
    """In whatever order trades come, only late ones are left out, and the numbers of each bar are consistent."""
    series = BarSeries(period_s, "trades", max_empty=empty)
    kept: list[Trade] = []
    finished: list[BarState] = []
    for each in trades:
        more, too_late = add(series, [each])
        finished += more
        if not too_late:
            kept.append(each)
    periods = list({id(bar): bar for bar in [*finished, *([series.bar] if series.bar else [])]}.values())
    bars = [bar.publish(period_s, "trades") for bar in periods]
    assert sum(bar.trades or 0 for bar in bars) == len(kept)
    volume = sum(Fraction(bar.volume or 0.0) for bar in bars)
    assert float(volume) == pytest.approx(float(sum(Fraction(each.size) for each in kept)), rel=1e-12, abs=0)
    assert len({bar.start for bar in bars}) == len(bars)
    for bar in bars:
        assert bar.volume is not None
        assert (bar.buy_volume or 0.0) + (bar.sell_volume or 0.0) <= bar.volume * (1 + 1e-15)
        assert bar.low is not None
        assert bar.high is not None
        for price in (bar.open, bar.close, bar.vwap):
            assert price is None or bar.low <= price <= bar.high
        assert (bar.vwap is None) == (bar.volume == 0)


# The turnover as an amount of money


def money_of(*steps: Trade | float | None) -> list[float | None]:
    """The `turnover_currency` of the bars of trades, among which the lot changes."""
    series = BarSeries(60, "trades", max_empty=0)
    bars: list[BarState] = []
    for step in steps:
        if isinstance(step, Trade):
            finished, _ = add(series, [step])
            bars += finished
        else:
            series.set_lot(step)
    if series.bar is not None:
        series.close(bars)
    return [bar.publish(60, "trades").turnover_currency for bar in bars]


@pytest.mark.parametrize(
    ("steps", "money"),
    [
        ([trade(1, 10.0, 2.0)], [None]),
        ([10.0, trade(1, 10.0, 2.0), trade(2, 5.0, 1.0)], [250.0]),
        ([trade(1, 10.0, 2.0), 10.0, trade(2, 5.0, 1.0)], [250.0]),  # the lot was learned in the middle of the bar
        ([10.0, trade(1, 10.0, 2.0), 1.0, trade(2, 5.0, 1.0)], [205.0]),  # it was changed in the middle of the bar
        ([10.0, trade(1, 10.0, 2.0), 1.0, 1.0, 100.0, trade(2, 5.0, 1.0)], [700.0]),
        ([10.0, trade(1, 10.0, 2.0), 1.0, trade(61, 5.0, 1.0)], [200.0, 5.0]),
        ([10.0, trade(1, 10.0, 2.0), trade(61, 5.0, 1.0), 1.0], [200.0, 50.0]),
        ([10.0, trade(1, 10.0, 2.0), None, trade(61, 5.0, 1.0)], [None, None]),
        ([10.0, trade(1, 10.0, 2.0), None, trade(2, 5.0, 1.0), 1.0], [205.0]),
        ([1e99, trade(1, 1e99, 1e99), trade(2, 1e99, 1e99)], [pytest.approx(2e297)]),
        ([1e200, trade(1, 1e99, 1e99)], [None]),  # no event holds what isn't finite
        ([10.0, trade(1, -10.0, 2.0)], [-200.0]),
    ],
)
def test_the_turnover_counts_each_trade_by_the_lot_of_its_time(
    steps: list[Trade | float | None], money: list[float | None]
) -> None:
    assert money_of(*steps) == money


def test_a_late_trade_counts_by_the_lot_of_its_bar() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    series.set_lot(10.0)
    finished, _ = add(series, [trade(1, 10.0, 2.0), trade(61, 5.0, 1.0)])
    series.set_lot(1.0)
    add(series, [trade(2, 10.0, 1.0)])
    assert finished[0].publish(60, "trades").turnover_currency == 300.0


def test_a_closed_bar_learns_its_lot_for_a_correction() -> None:
    series = BarSeries(60, "trades", max_empty=0)
    finished, _ = add(series, [trade(1, 10.0, 2.0), trade(61, 5.0, 1.0)])
    assert finished[0].publish(60, "trades").turnover_currency is None
    series.set_lot(10.0)
    assert finished[0].publish(60, "trades").turnover_currency == 200.0


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0, 1e6), st.sampled_from([None, 1.0, 10.0])), max_size=20))
def test_the_money_is_the_sum_of_all_trades_each_in_its_lot(steps: list[tuple[float, float, float | None]]) -> None:
    lot, total = 100.0, 0.0
    told: list[Trade | float | None] = [lot]
    for price, size, changed in steps:
        if changed is not None:
            told.append(lot := changed)
        told.append(trade(1, price, size))
        total += price * size * lot
    found = money_of(*told)
    assert found == ([pytest.approx(total, rel=1e-9)] if steps else [])


def test_the_turnover_of_tickers_is_money_already() -> None:
    series = BarSeries(60, "ticker", max_empty=0)
    bar = series.find(START, trade(0), [])
    assert bar is not None
    bar.add_change(trade(0), START, 1.0, 2.0, 30.0, 1)
    assert bar.publish(60, "ticker").turnover_currency == 30.0
    bar.add_change(trade(0), START, 1.0, 2.0, None, 1)
    assert bar.publish(60, "ticker").turnover_currency is None
