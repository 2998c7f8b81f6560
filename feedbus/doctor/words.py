"""How the doctor writes addresses, errors and lengths of time. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.errors import FeedbusError, VenueError
from feedbus.text import time_span

NAMED_SHORTLY = 5
"""So many names are named where there are many."""

PRECISE = 120.0
"""Seconds from where on a length of time is rounded."""

BUG = "This is a bug of feedbus: report it with this output."


def shown_url(url: str) -> str:
    """A URL without its query, which may hold a token."""
    return url.partition("?")[0]


def error_words(error: Exception) -> str:
    """What an error says, with its cause in front as logs and metrics name it."""
    return f"{error.cause}: {error}" if isinstance(error, VenueError) else f"{type(error).__name__}: {error}"


def is_bug(error: Exception) -> bool:
    """Whether an error is none that feedbus raises on purpose."""
    return not isinstance(error, FeedbusError)


def seconds_words(seconds: float) -> str:
    """A length of time, to the millisecond where it is short."""
    return time_span(seconds) if abs(seconds) >= PRECISE else f"{seconds:.3f} s"


def counted(number: int, word: str) -> str:
    """So many of something: 1 feed, 2 feeds."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = len(names) - NAMED_SHORTLY
    return ", ".join(names[:NAMED_SHORTLY]) + (f" and {more} more" if more > 0 else "")
