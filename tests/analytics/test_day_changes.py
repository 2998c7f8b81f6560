"""What was traded between two tickers."""

from __future__ import annotations

import pytest

from feedbus.analytics.day_changes import Change, DayChanges
from feedbus.schema.events import Ticker


def ticker(
    last: float | None, volume: float | None = None, turnover: float | None = None, trades: int | None = None
) -> Ticker:
    return Ticker("fake", "A", 1, 2, last=last, volume=volume, turnover=turnover, trades=trades)


def changes(*tickers: Ticker) -> list[Change | None]:
    day = DayChanges()
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
        # a new day
        (ticker(90.0, 2.0, 180.0, 1), Change(90.0, 2.0, 180.0, 1)),
        (ticker(90.0, 4.9, 1000.0, 3), Change(90.0, 4.9, 1000.0, 3)),
        (ticker(100.0, 0.0, 0.0, 0), None),
        # not a new day
        (ticker(100.0, 5.0, 500.0, 3), None),
        (ticker(101.0, 9.0, 1001.0, 4), Change(101.0, None, None, None)),
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


def test_after_a_sum_has_fallen_a_little_nothing_is_known_until_a_new_day() -> None:
    day = DayChanges()
    volumes = (100.0, 99.0, 120.0, 119.0, 3.0, 4.0)
    found = [day.change(ticker(float(number), volume)) for number, volume in enumerate(volumes)]
    assert [each.volume if each else None for each in found] == [None, None, None, None, 3.0, 1.0]


def test_a_new_day_that_begins_with_no_last_price() -> None:
    found = changes(FIRST, ticker(None, 0.0, 0.0, 0), ticker(98.0, 1.0, 98.0, 1))
    assert found == [None, None, Change(98.0, 1.0, 98.0, 1)]
