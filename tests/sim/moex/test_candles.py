"""Candles add up, whatever trades, and the past is a plausible one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.moex.candles import (
    MINUTES,
    ROWS,
    MoexCandle,
    MoexCandleBuilder,
    continued,
    folded,
    joined,
    moscow_minute,
    past,
)
from feedbus.sim.moex.catalogue import Security, securities

SAMPLE = [security for security in securities() if security.secid in ("SBER", "AKRN", "TGKA", "LQDT")] + list(
    securities()[-2:]
)
NINE = moscow_minute(1_769_065_132_000_000_000)
"""09:58 on 2026-01-22 in Moscow, inside a candle of every interval but M1."""


def test_a_minute_is_counted_by_moscow_s_clock() -> None:
    assert moscow_minute(0) == 180
    assert NINE % 1440 == 9 * 60 + 58


TRADES = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 1000), st.integers(1, 50)), min_size=1, max_size=60)


@given(TRADES.map(sorted))
def test_the_candles_of_every_interval_are_what_the_trades_make(trades: list[tuple[int, int, int]]) -> None:
    builder = MoexCandleBuilder()
    for minute, price, units in trades:
        builder.trade(NINE + minute, price, units)
    for interval, minutes in MINUTES.items():
        expected: dict[int, MoexCandle] = {}
        for minute, price, units in trades:
            start = (NINE + minute) // minutes * minutes
            one = MoexCandle(start, price, price, price, price, units, units * price)
            expected[start] = joined(expected[start], one) if start in expected else one
        assert builder.candles(interval) == list(expected.values())
        assert builder.candles(interval) == folded(builder.candles("M1"), minutes)


def test_the_newest_candles_are_told_alone_when_asked_for() -> None:
    builder = MoexCandleBuilder()
    assert builder.candles("M1") == []
    for minute in range(10):
        builder.trade(NINE + minute, 5, 1)
    assert [candle.start - NINE for candle in builder.candles("M1", NINE + 7)] == [7, 8, 9]
    assert [candle.start - NINE for candle in builder.candles("M1", NINE + 99)] == [9]


def test_256_candles_are_kept() -> None:
    builder = MoexCandleBuilder()
    for minute in range(3 * ROWS):
        builder.trade(NINE + minute, 5, 1)
    candles = builder.candles("M1")
    assert [candle.start - NINE for candle in candles] == list(range(2 * ROWS, 3 * ROWS))


def test_the_past_goes_on_in_the_first_live_candle_of_its_own_period() -> None:
    first, second, third = (MoexCandle(start, 5, 9, 1, 6, 10, 60) for start in (0, 1, 2))
    assert continued([first, second], []) == [first, second]
    assert continued([first, second], [third]) == [first, second, third]
    live = MoexCandle(1, 6, 12, 2, 3, 1, 6)
    assert continued([first, second], [live, third]) == [first, MoexCandle(1, 5, 12, 1, 3, 11, 66), third]


def check(candles: list[MoexCandle], minutes: int) -> None:
    for candle in candles:
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
        assert candle.low * candle.volume <= candle.turnover <= candle.high * candle.volume
        assert candle.start % minutes == 0
    for before, after in pairwise(candles):
        assert after.start == before.start + minutes
        assert after.open == before.close


@settings(max_examples=25, deadline=None)
@given(
    security=st.sampled_from(SAMPLE),
    seed=st.integers(0, 2**32),
    minute=st.integers(NINE - 3000, NINE + 3000),
)
def test_the_past_is_whole_sound_and_ends_at_the_opening(security: Security, seed: int, minute: int) -> None:
    opening = security.price // security.tick * security.tick
    shorter: list[MoexCandle] = []
    for interval, minutes in MINUTES.items():
        candles = past(security, seed, opening, minute, interval)
        check(candles, minutes)
        assert ROWS <= len(candles) < 2 * ROWS
        assert (candles[-1].start, candles[-1].close) == (minute // minutes * minutes, opening)
        assert all(abs(candle.close - security.price) < security.price // 3 for candle in candles)
        assert candles[-len(folded(shorter, minutes)) :] == folded(shorter, minutes) or not shorter
        shorter = candles


def test_the_past_depends_on_seed_and_paper() -> None:
    sber, akrn = SAMPLE[:2]
    assert past(sber, 1, sber.price, NINE, "H1") == past(sber, 1, sber.price, NINE, "H1")
    assert past(sber, 1, sber.price, NINE, "H1") != past(sber, 2, sber.price, NINE, "H1")
    assert past(sber, 1, sber.price, NINE, "H1") != past(akrn, 1, sber.price, NINE, "H1")


def test_there_are_no_other_intervals() -> None:
    with pytest.raises(ValueError, match="no interval W1"):
        past(SAMPLE[0], 1, 30000, NINE, "W1")
