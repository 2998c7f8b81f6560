"""The sums of a day only grow, and begin anew with a trading day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Ticker
from feedbus.trust.day_sums import DaySums
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.replays import MOST_REFUSED
from feedbus.venues.trading_days import moscow

FRIDAY = datetime(2024, 6, 28, 12, tzinfo=UTC)


def at(hours: float) -> int:
    """Nanoseconds, so many hours after Friday noon in London, which is 15:00 in Moscow."""
    return int((FRIDAY + timedelta(hours=hours)).timestamp()) * 1_000_000_000


def ticker(trades: int | None, hours: float = 0.0, *, volume: float | None = None, status: str | None = None) -> Ticker:
    return Ticker("moex", "A", at(hours), at(hours), trades=trades, volume=volume, status=status)


def sums(*tickers: Ticker, counts: LossCounts | None = None) -> DaySums:
    made = DaySums(counts or LossCounts(), moscow, frozenset("T"))
    assert [made.check(each, 0.0) for each in tickers] == [None] * len(tickers)
    return made


def test_sums_that_fall_within_the_day_are_gapped_and_then_believed() -> None:
    counts = LossCounts()
    made = sums(ticker(100), ticker(110), counts=counts)
    assert made.check(ticker(90, 1), 0.0) == Finding(
        "gapped", "counters", "the sums of the day went back: trades from 110 to 90, volume from 0 to nothing"
    )
    assert made.check(ticker(90, 1), 0.0) is None
    assert counts.totals() == {**LossCounts().totals(), "counters_back": 1}


def test_a_volume_that_falls_is_as_wrong() -> None:
    made = sums(ticker(100, volume=1000.0), ticker(110, volume=1300.0))
    finding = made.check(ticker(111, volume=1299.0), 0.0)
    assert finding is not None
    assert finding.reason == "counters"


def test_sums_of_an_older_message_are_refused_besides_and_not_believed() -> None:
    made = sums(ticker(100), ticker(110, 1))
    for _ in range(2):
        finding = made.check(ticker(105, 0.5), 0.0)
        assert finding is not None
        assert (finding.state, finding.refuse) == ("gapped", True)
    assert made.check(ticker(111, 1), 0.0) is None


def test_a_clock_that_went_back_with_the_sums_is_not_refused_for_ever() -> None:
    made = sums(ticker(100), ticker(110, 1))
    findings = [made.check(ticker(50, 0.5), 0.0) for _ in range(MOST_REFUSED + 2)]
    assert [finding and finding.refuse for finding in findings[-3:]] == [True, False, None]


@pytest.mark.parametrize(
    ("tickers", "why"),
    [
        ([ticker(100), ticker(110), ticker(5, 15.5)], "it is Saturday in Moscow, which is another day"),
        ([ticker(100), ticker(110), ticker(110, 12), ticker(0, 15.5)], "sums of yesterday stand until the morning"),
        ([ticker(100, 10), ticker(0, 15.5)], "they were never seen to grow, so they may be of any day"),
        ([ticker(100, status="N"), ticker(0, 1, status="T")], "nor was it traded"),
        ([ticker(100), ticker(110), ticker(None, 1), ticker(110, 2)], "what isn't said says nothing"),
    ],
)
def test_sums_that_may_begin_anew_do(tickers: list[Ticker], why: str) -> None:
    sums(*tickers)


def test_a_weekend_is_one_trading_day_with_its_monday() -> None:
    made = sums(ticker(100), ticker(110), ticker(5, 24), ticker(6, 25))
    assert made.check(ticker(4, 72), 0.0) is not None


def test_sums_while_it_is_traded_are_those_of_the_day() -> None:
    made = sums(ticker(100, status="T"))
    assert made.check(ticker(99, 1, status="T"), 0.0) is not None


def test_the_time_of_receipt_stands_in_for_that_of_the_venue() -> None:
    made = DaySums(LossCounts(), moscow)
    for trades in (100, 110):
        assert made.check(Ticker("v", "A", 0, at(0), trades=trades), 0.0) is None
    assert made.check(Ticker("v", "A", 0, at(0), trades=90), 0.0) is not None
    assert made.check(Ticker("v", "A", 0, at(15.5), trades=3), 0.0) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), min_size=2, max_size=40))
def test_a_naive_model_finds_the_same(steps: list[tuple[int, int]]) -> None:
    """Days of sums, while it is traded: they are wrong where a sum is smaller than the one before of the same day."""
    made, found, expected = DaySums(LossCounts(), moscow, frozenset("T")), [], []
    day, before = 0, (-1, 0)
    for skipped, trades in steps:
        day += skipped // 5
        expected.append(before[0] == day and trades < before[1])
        before = (day, trades)
        found.append(made.check(ticker(trades, 72 + 24 * 7 * day, status="T"), 0.0) is not None)
    assert found == expected
