"""On which trading day a moment lies."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedbus import venues


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9


@pytest.mark.parametrize("venue", ["moex", "alor"])
@pytest.mark.parametrize(
    ("moment", "same_day"),
    [
        ("2025-11-27T23:59:59+03:00", "2025-11-27T06:50+03:00"),  # a Thursday, to the end of its evening
        ("2025-11-28T00:00+03:00", "2025-11-28T18:00+03:00"),
        ("2025-11-29T09:50+03:00", "2025-12-01T18:00+03:00"),  # the sessions of a weekend belong to the Monday
        ("2025-11-30T18:59+03:00", "2025-12-01T00:00+03:00"),
    ],
)
def test_the_moscow_exchange(venue: str, moment: str, same_day: str) -> None:
    day_of = venues.trading_day(venue)
    assert day_of(ns(moment)) == day_of(ns(same_day))


def test_trading_days_ascend_and_weekdays_differ() -> None:
    day_of = venues.trading_day("moex")
    days = [day_of(ns(f"2025-11-{day}T12:00+03:00")) for day in range(24, 31)]
    assert [day - days[0] for day in days] == [0, 1, 2, 3, 4, 7, 7]


@pytest.mark.parametrize("venue", ["binance", "nowhere"])
def test_elsewhere_it_is_the_date_in_utc(venue: str) -> None:
    day_of = venues.trading_day(venue)
    assert day_of(ns("2025-11-29T23:59:59+00:00")) + 1 == day_of(ns("2025-11-30T00:00+00:00"))
