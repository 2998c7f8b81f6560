"""Whether the sums of a trading day, the count of trades and the volume of a ticker, only grow. Pure.

They begin anew with each trading day. A venue may do so long after midnight, and until then shows the sums of the day
before. So the day that they belong to is known by when they last grew, or by a ticker that says that it is traded now;
sums of which neither has been seen may fall without being wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from feedbus.schema.events import Ticker
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.replays import ReplayRow


class DaySums:
    """The sums of one instrument. They are compared over connections, too: they are the exchange's."""

    __slots__ = ("_continuous", "_counts", "_proved_at", "_row", "_time", "_trades", "_trading_day", "_volume")

    def __init__(
        self, counts: LossCounts, trading_day: Callable[[int], int], continuous: Collection[str] = frozenset()
    ) -> None:
        self._counts = counts
        self._trading_day = trading_day
        self._continuous = continuous
        self._trades = 0
        self._volume = 0.0
        self._time = 0  # of the last ticker
        self._proved_at = 0  # the last time at which they certainly were those of its day; 0: long ago
        self._row = ReplayRow()

    def check(self, event: Ticker, now: float) -> Finding | None:
        """The next ticker (`now` in seconds). A sum that is None says nothing."""
        trades, volume = event.trades, event.volume
        if (trades is not None and trades < self._trades) or (volume is not None and volume < self._volume):
            return self._fell(event, now)
        time = event.ts_event or event.ts_recv
        if trades is not None and trades > self._trades:
            self._proved_at = time if self._trades else 0
            self._trades = trades
        if volume is not None and volume > self._volume:
            self._proved_at = time if self._volume else self._proved_at
            self._volume = volume
        if event.status in self._continuous:
            self._proved_at = time
        self._time = time
        return None

    def _fell(self, event: Ticker, now: float) -> Finding | None:
        time = event.ts_event or event.ts_recv
        if self._trading_day(time) > self._trading_day(self._proved_at):
            self._begin_anew(event, time)
            return None
        text = (
            f"the sums of the day went back: trades from {self._trades} to {_told(event.trades)}, volume from "
            f"{self._volume:.15g} to {_told(event.volume)}"
        )
        if time < self._time and not self._row.too_long((self._trades, self._volume), now):
            self._counts.replays += 1
            return Finding("gapped", "counters", f"{text}, in an older message", refuse=True)
        self._counts.counters_back += 1
        self._begin_anew(event, time)
        return Finding("gapped", "counters", text)

    def _begin_anew(self, event: Ticker, time: int) -> None:
        """These are the sums now. When they next grow, or the ticker says that it is traded, their day is known."""
        self._trades = event.trades or 0
        self._volume = event.volume or 0.0
        self._time = time
        self._proved_at = time if event.status in self._continuous else 0


def _told(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.15g}"
