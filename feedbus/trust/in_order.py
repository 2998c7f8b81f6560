"""Whether a quote, a book, a ticker or a bar is older than what was published already. Pure.

A venue's own numbers and times never fall within a subscription, as far as its Account says so (`Evidence`). An event
that has a number and a time is old when the number is smaller and the time isn't newer: with a newer time the venue
numbers anew, and with a number that has grown its clock went back, and both are sound. Equal ones are no replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedbus.schema.events import Bar
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.replays import ReplayRow

AsToOrder = Callable[[Any, float], Finding | None]
"""(event, now in seconds) -> None where the event isn't older than the last one."""


class _Ordered:
    """`_newest` is the number or the time of the newest event that was published since the last `reset`, -1 before."""

    __slots__ = ("_counts", "_newest", "_row", "_time", "_word")

    def __init__(self, word: str, counts: LossCounts) -> None:
        self._word = word
        self._counts = counts
        self._newest = -1
        self._time = 0
        self._row = ReplayRow()

    def reset(self) -> None:
        """It has been subscribed anew. Whatever comes first is right."""
        self._newest = -1
        self._time = 0

    def _old(self, text: str, now: float) -> Finding:
        self._counts.replays += 1
        if not self._row.too_long((self._newest, self._time), now):
            return Finding("", "", text, refuse=True)
        self._counts.gone_back += 1
        self.reset()
        return Finding("gapped", "hole", f"{text}, as all are of late: the venue has gone back", refuse=True)


class ByNumber(_Ordered):
    """Quotes and books that have numbers alone."""

    __slots__ = ()

    def check(self, event: Any, now: float) -> Finding | None:
        """See AsToOrder."""
        number = event.venue_sequence
        if number is None or number >= self._newest:
            self._newest = -1 if number is None else number
            return None
        return self._old(f"the {self._word} of number {number} came after that of {self._newest}", now)


class ByTime(_Ordered):
    """Events that have times alone. One without a time (0) is as good as the next."""

    __slots__ = ()

    def check(self, event: Any, now: float) -> Finding | None:
        """See AsToOrder."""
        time = event.ts_event
        if time >= self._newest:
            self._newest = time
            return None
        if not time:
            return None
        behind_ms = (self._newest - time) / 1e6
        return self._old(f"a {self._word} came that is {behind_ms:,.3f} ms older than the last one", now)


class ByNumberAndTime(_Ordered):
    """Books that have both."""

    __slots__ = ()

    def check(self, event: Any, now: float) -> Finding | None:
        """See AsToOrder."""
        number, time = event.venue_sequence, event.ts_event
        if number is None or number >= self._newest or time > self._time:
            self._newest = -1 if number is None else number
            self._time = time
            return None
        return self._old(f"the {self._word} of number {number} came after that of {self._newest}", now)


class BarsByTime:
    """Bars, of which each length comes in an order of its own."""

    __slots__ = ("_by_period", "_counts")

    def __init__(self, counts: LossCounts) -> None:
        self._counts = counts
        self._by_period: dict[int, ByTime] = {}

    def check(self, event: Bar, now: float) -> Finding | None:
        """See AsToOrder."""
        ordered = self._by_period.get(event.period_s)
        if ordered is None:
            ordered = self._by_period[event.period_s] = ByTime("bar", self._counts)
        return ordered.check(event, now)

    def reset(self) -> None:
        """They have been subscribed anew."""
        self._by_period.clear()
