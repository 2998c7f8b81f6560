"""Candles against a list of all trades."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance.candles import EASTERN, INTERVALS, BinanceCandle, BinanceCandleBuilder, BinanceTrade

SECOND = 1_000_000_000
START = 1_723_161_255_208_000_000
OPENING = 500
STEPS = st.lists(
    st.tuples(st.integers(0, 40 * SECOND), st.integers(1, 1000), st.integers(1, 50), st.booleans()), max_size=40
)


def numbers(candle: BinanceCandle) -> tuple[int, ...]:
    return (
        candle.first, candle.last, candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades,
        candle.turnover, candle.bought, candle.bought_turnover,
    )  # fmt: skip


def added_up(trades: list[BinanceTrade], before: int) -> tuple[int, ...]:
    """The same numbers from the trades of the period alone; `before` is the price before them."""
    if not trades:
        return (-1, -1, before, before, before, before, 0, 0, 0, 0, 0)
    prices = [trade.price for trade in trades]
    bought = [trade for trade in trades if not trade.maker]
    return (
        trades[0].id, trades[-1].id, prices[0], max(prices), min(prices), prices[-1],
        sum(trade.quantity for trade in trades), len(trades),
        sum(trade.price * trade.quantity for trade in trades),
        sum(trade.quantity for trade in bought), sum(trade.price * trade.quantity for trade in bought),
    )  # fmt: skip


def traded(steps: list[tuple[int, int, int, bool]]) -> tuple[BinanceCandleBuilder, list[BinanceTrade], int]:
    tape, trades, now = BinanceCandleBuilder(START, OPENING), [], START
    for number, (pause, price, quantity, maker) in enumerate(steps, 1):
        now += pause
        trades.append(BinanceTrade(number, now, price, quantity, maker))
        tape.add(trades[-1])
    return tape, trades, now


@given(steps=STEPS)
def test_every_candle_is_the_sum_of_the_trades_of_its_period(steps: list[tuple[int, int, int, bool]]) -> None:
    tape, trades, now = traded(steps)
    tape.roll(now)
    for interval in (*INTERVALS, *EASTERN):
        candles = [candle for name, candle in tape.ended if name == interval] + [tape.current(interval)]
        assert candles[0].start <= START < candles[0].end
        assert candles[-1].start <= now < candles[-1].end
        assert all(before.end == after.start for before, after in pairwise(candles))
        close = OPENING
        for candle in candles:
            inside = [trade for trade in trades if candle.start <= trade.time_ns < candle.end]
            assert numbers(candle) == added_up(inside, close)
            close = candle.close


@pytest.mark.parametrize("interval", INTERVALS)
def test_periods_begin_where_the_venues_do(interval: str) -> None:
    candle = BinanceCandleBuilder(START, OPENING).current(interval)
    start = dt.datetime.fromtimestamp(candle.start / 1e9, dt.UTC)
    assert candle.end - candle.start == INTERVALS[interval]
    if interval == "1M":
        assert start == dt.datetime(2024, 8, 1, tzinfo=dt.UTC)
    elif interval == "1w":
        assert start == dt.datetime(2024, 8, 5, tzinfo=dt.UTC)  # a Monday
    elif interval == "4h":
        assert start == dt.datetime(2024, 8, 8, 20, tzinfo=dt.UTC)
    else:
        assert candle.start % INTERVALS[interval] == 0


@pytest.mark.parametrize(
    ("interval", "first", "then"),
    [
        ("6h@+08:00", (8, 8, 22), (8, 9, 4)), ("12h@+08:00", (8, 8, 16), (8, 9, 4)),
        ("1d@+08:00", (8, 8, 16), (8, 9, 16)), ("1w@+08:00", (8, 4, 16), (8, 11, 16)),
        ("1M@+08:00", (7, 31, 16), (8, 31, 16)), ("1M", (8, 1, 0), (9, 1, 0)),
    ],
)  # fmt: skip
def test_periods_of_the_east_and_months(interval: str, first: tuple[int, ...], then: tuple[int, ...]) -> None:
    candle = BinanceCandleBuilder(START, OPENING).current(interval)
    start, end = (dt.datetime.fromtimestamp(each / 1e9, dt.UTC) for each in (candle.start, candle.end))
    assert (start.month, start.day, start.hour) == first
    assert (end.month, end.day, end.hour) == then


def test_a_year_has_twelve_months() -> None:
    december = dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    tape = BinanceCandleBuilder(round(december.timestamp()) * SECOND, OPENING)
    tape.roll(round(december.timestamp()) * SECOND + SECOND)
    assert dt.datetime.fromtimestamp(tape.current("1M").start / 1e9, dt.UTC) == dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    assert dt.datetime.fromtimestamp(tape.current("1M").end / 1e9, dt.UTC) == dt.datetime(2025, 2, 1, tzinfo=dt.UTC)


def test_a_trade_at_the_end_of_a_period_is_in_the_next_one() -> None:
    tape = BinanceCandleBuilder(0, OPENING)
    tape.add(BinanceTrade(1, SECOND - 1, 10, 1, maker=True))
    tape.add(BinanceTrade(2, SECOND, 20, 1, maker=True))
    ((interval, ended),) = tape.ended
    assert (interval, ended.last) == ("1s", 1)
    assert tape.current("1s").first == 2
    assert tape.current("1m").trades == 2
