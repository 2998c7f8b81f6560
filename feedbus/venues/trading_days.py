"""On which trading day a moment lies. Sums of the day begin anew with each of them. Pure.

A trading day is a number that ascends: the number of the date, counted from the epoch (1970-01-01).
"""

from __future__ import annotations

DAY = 86_400_000_000_000
MOSCOW_AHEAD = 3 * 3_600_000_000_000
"""Nanoseconds. Moscow's clock has been 3 h ahead of UTC since 2014, all year."""


def utc(time: int) -> int:
    """Returns the date in UTC of a time in nanoseconds."""
    return time // DAY


def moscow(time: int) -> int:
    """Returns the trading day of the Moscow Exchange on which a time in nanoseconds lies.

    It is the date in Moscow. What is traded in the sessions of a weekend belongs to the Monday after it. Source: the
    exchange's trading schedule (moex.com).
    """
    date = (time + MOSCOW_AHEAD) // DAY
    weekday = (date + 3) % 7  # 0 is Monday; the epoch was a Thursday
    return date + 7 - weekday if weekday > 4 else date
