"""How late data is by the cell TIME: whole seconds of Moscow's day, without a date."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import OLD_PICTURE
from feedbus.venues.moex.trade_times import RESOLUTION, TradeTimes

SECOND = 1_000_000_000
MOSCOW = dt.timezone(dt.timedelta(hours=3))
SENT = 1_769_065_132 * SECOND  # 2026-01-22 09:58:52 in Moscow


def lateness(time: object, sent: int = SENT, way: int = 0) -> int | None:
    times = TradeTimes()
    times.add(time, sent, sent + way)
    return times.take()


@pytest.mark.parametrize(
    ("time", "late"),
    [
        ("09:58:52", -1),  # within the second that the time is cut off by
        ("09:58:50", 1),
        ("09:43:52", 899),
        ("08:58:52", 3599),
        ("08:58:50", None),  # more than an hour ago
        ("10:00:00", -69),  # the venue's own clocks differ
        ("", None),
        ("9:58:52", None),
        ("24:00:00", None),
        ("09:58:60", None),
        ("09:58:52\n", None),
        ("٠٩:٥٨:٥٢", None),
        (95852, None),
        (None, None),
    ],
)
def test_a_trade_says_how_late_its_data_is_at_least(time: object, late: int | None) -> None:
    assert lateness(time) == (None if late is None else late * SECOND)


@given(st.integers(0, 4 * 10**9), st.integers(0, OLD_PICTURE - 2 * SECOND), st.integers(0, SECOND))
def test_it_is_within_a_second_below_the_truth_at_any_time_of_the_day(second: int, late: int, way: int) -> None:
    """Over midnight too."""
    sent = second * SECOND + OLD_PICTURE
    traded = dt.datetime.fromtimestamp((sent - late) // SECOND, MOSCOW)
    found = lateness(f"{traded:%H:%M:%S}", sent, way)
    assert found is not None
    assert late + way - RESOLUTION <= found < late + way


def test_the_youngest_trade_since_the_last_call_counts() -> None:
    times = TradeTimes()
    assert times.take() is None
    for time in ("09:40:00", "09:43:52", "09:41:00", "nonsense"):
        times.add(time, SENT, SENT)
    assert times.take() == 899 * SECOND
    assert times.take() is None
