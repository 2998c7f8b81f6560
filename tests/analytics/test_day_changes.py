"""What was traded between two tickers."""

from __future__ import annotations

import pytest

from feedbus.analytics.day_changes import Change, DayChanges
from feedbus.schema.events import Ticker
from feedbus.venues import trading_days
from feedbus.venues.trading_days import DAY


def ticker(
    last: float | None,
    volume: float | None = None,
    turnover: float | None = None,
    trades: int | None = None,
    *,
    day: int = 1,
) -> Ticker:
    return Ticker("fake", "A", day * DAY + 1, 2, last=last, volume=volume, turnover=turnover, trades=trades)


def changes(*tickers: Ticker) -> list[Change | None]:
    day = DayChanges(trading_days.utc)
    return [day.change(each) for each in tickers]


FIRST = ticker(100.0, 10.0, 1000.0, 3)


@pytest.mark.parametrize(
    ("second", "change"),
    [
        (ticker(101.0, 12.0, 1202.0, 4), Change(101.0, 2.0, 202.0, 1)),
        (ticker(100.0, 12.0, 1200.0, 4), Change(100.0, 2.0, 200.0, 1)),  # at the same price
        (ticker(100.0, 10.0, 1000.0, 3), None),
        (ticker(101.0, 10.0, 1000.0, 3), Change(101.0, 0.0, 0.0, 0)),
        (ticker(100.0), None),
        (ticker(101.0), Change(101.0, None, None, None)),
        (ticker(100.0, 12.0), Change(100.0, 2.0, None, None)),
        (ticker(100.0, None, None, 4), Change(100.0, None, None, 1)),
        (ticker(None, 12.0, 1200.0, 4), None),
        # a new day, whether the sums are lower or higher than yesterday's
        (ticker(90.0, 2.0, 180.0, 1, day=2), Change(90.0, 2.0, 180.0, 1)),
        (ticker(90.0, 25.0, 2250.0, 12, day=2), Change(90.0, 25.0, 2250.0, 12)),
        (ticker(90.0, 10.0, 900.0, 3, day=2), Change(90.0, 10.0, 900.0, 3)),
        (ticker(100.0, 0.0, 0.0, 0, day=2), None),
        (ticker(100.0, None, None, 2, day=9), Change(100.0, None, None, 2)),
        # a new date, but still yesterday's sums
        (ticker(100.0, 10.0, 1000.0, 3, day=2), None),
        (ticker(101.0, 10.0, 1000.0, 3, day=2), Change(101.0, None, None, None)),
        # a correction: only the sum that fell is unknown
        (ticker(100.0, 5.0, 500.0, 3), None),
        (ticker(101.0, 2.0, 1001.0, 4), Change(101.0, None, 1.0, 1)),
    ],
)
def test_the_second_ticker(second: Ticker, change: Change | None) -> None:
    assert changes(FIRST, second) == [None, change]


def test_a_ticker_without_a_last_price_leaves_its_sums_to_the_next() -> None:
    assert changes(FIRST, ticker(None, 12.0, 1200.0, 4), ticker(100.0, 13.0, 1300.0, 5))[-1] == Change(
        100.0, 3.0, 300.0, 2
    )


def test_a_sum_that_is_left_out_once_is_counted_from_where_it_was() -> None:
    assert changes(FIRST, ticker(101.0), ticker(102.0, 15.0, 1500.0, 6))[-1] == Change(102.0, 5.0, 500.0, 3)


def test_a_sum_that_comes_later_begins_there() -> None:
    assert changes(ticker(1.0), ticker(2.0, 50.0), ticker(2.0, 51.0))[1:] == [
        Change(2.0, None, None, None),
        Change(2.0, 1.0, None, None),
    ]


def volumes(*tickers: Ticker) -> list[float | None]:
    return [change.volume if change else None for change in changes(*tickers)]


def test_after_a_correction_the_differences_count_again() -> None:
    found = volumes(*(ticker(float(number), sum_) for number, sum_ in enumerate((1000.0, 1200.0, 1194.0, 1300.0, 9.0))))
    assert found == [None, 200.0, None, 106.0, None]


def test_tickers_of_a_new_date_that_repeat_yesterday_dont_hide_the_new_day() -> None:
    night = [ticker(100.0, 40.0, day=2), ticker(100.0, 40.0, day=2)]
    assert volumes(ticker(100.0, 40.0), *night, ticker(101.0, 55.0, day=2), ticker(101.0, 60.0, day=2)) == [
        None, None, None, 55.0, 5.0,
    ]  # fmt: skip


@pytest.mark.parametrize("day", [1, 2])
@pytest.mark.parametrize("reset", [0.0, None])
def test_a_reset_without_a_last_price_is_where_the_day_begins(reset: float | None, day: int) -> None:
    """A reset that leaves the sum out shows nothing but the date, so without a new one there is no day to begin."""
    found = volumes(ticker(100.0, 1000.0), ticker(None, reset, day=day), ticker(100.0, 1500.0, day=day))
    assert found == [None, None, 500.0 if reset is None and day == 1 else 1500.0]


def test_a_correction_without_a_last_price_is_a_correction() -> None:
    assert volumes(ticker(100.0, 1000.0), ticker(None, 990.0), ticker(100.0, 995.0)) == [None, None, 5.0]


def test_a_last_price_that_appears_is_a_trade_only_if_a_sum_has_risen() -> None:
    first = ticker(None, 10.0)
    assert changes(first, ticker(100.0, 10.0)) == [None, None]
    assert changes(first, ticker(100.0, 12.0)) == [None, Change(100.0, 2.0, None, None)]


def test_the_trading_days_are_the_exchanges() -> None:
    day = DayChanges(lambda time: time // (3 * DAY))
    found = [day.change(each) for each in (FIRST, ticker(101.0, 25.0, day=2), ticker(102.0, 30.0, day=3))]
    assert [change.volume if change else None for change in found] == [None, 15.0, 30.0]


def test_what_lies_before_a_restart_is_in_no_change() -> None:
    day = DayChanges(trading_days.utc)
    day.change(FIRST)
    day.restart()
    assert day.change(ticker(120.0, 900.0)) is None
    assert day.change(ticker(121.0, 905.0)) == Change(121.0, 5.0, None, None)
