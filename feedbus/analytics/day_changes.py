"""What was traded between two tickers of an instrument, derived from the sums of the day that tickers carry.

A ticker isn't a trade, but two tickers in a row show that something was traded: the last price differs, or one of the
sums of the day (volume, turnover, trades) has risen. How far a sum rose is what was traded in between. The first ticker
only gives the starting point, since nothing is known of what was traded before it.

Sums don't always rise:

- The exchange begins them anew on each trading day. So on a new date a sum that differs from yesterday's is all of
  today's, even when it is higher. Before that the tickers of the new date still repeat yesterday's sums.
- A sum that falls within a day was corrected by the venue. How much was traded in between isn't known from this sum;
  from then on its differences count again. The other sums aren't concerned.
- A ticker of a rolling window (`window_s`, the last 24 hours on Binance) never tells how much was traded, because old
  trades leave its sums while new ones enter. There only another last price shows a trade.

The module is pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from feedbus.books.decimals import difference
from feedbus.schema.events import Ticker

N = TypeVar("N", int, float)

Amounts = tuple[float | None, float | None, int | None]
"""Volume, turnover and trades."""
NO_AMOUNTS: Amounts = (None, None, None)


class Change(msgspec.Struct, frozen=True, gc=False):
    """What was traded between two tickers. `price` is the last price; `volume`, `turnover` and `trades` are in the
    units of the ticker's own sums, and None where the amount is unknown."""

    price: float
    volume: float | None
    turnover: float | None
    trades: int | None


class DayChanges:
    """Compares the tickers of one instrument, which must come in the order of their times."""

    __slots__ = ("_day", "_day_of", "_last", "_started", "_sums")

    def __init__(self, day_of: Callable[[int], int]) -> None:
        """`day_of` tells on which of the exchange's trading days a time lies, in nanoseconds since the epoch. The days
        are numbers that ascend."""
        self._day_of = day_of
        self._started = False  # True once there has been a ticker to compare with
        self._day = 0  # the trading day that the sums are of
        self._last: float | None = None
        self._sums = NO_AMOUNTS  # up to these everything has been told

    def restart(self) -> None:
        """Makes the next ticker a starting point again, because tickers may be missing before it. What its sums have
        risen by may have been traded at any time since the ticker before."""
        self._started = False

    def change(self, ticker: Ticker, time: int | None = None) -> Change | None:
        """Returns what was traded since the ticker before, or None when no trade can be seen.

        `time` is the ticker's, in nanoseconds since the epoch, where it isn't its `ts_event`. A ticker without a last
        price doesn't say at what price something was traded: what its sums have risen by is told with the next ticker
        that has one.
        """
        if ticker.window_s is not None:
            return self._change_in_rolling_window(ticker)
        sums = (ticker.volume, ticker.turnover, ticker.trades)
        day = self._day_of((ticker.ts_event or ticker.ts_recv) if time is None else time)
        if not self._started:
            self._started, self._day, self._last, self._sums = True, day, ticker.last, sums
            return None
        amounts = self._compare(sums, day)
        if ticker.last is None:
            volume, turnover, trades = self._sums
            self._sums = (_lower(volume, sums[0]), _lower(turnover, sums[1]), _lower(trades, sums[2]))
            return None
        moved = self._last is not None and ticker.last != self._last
        self._last = ticker.last
        self._sums = _with_newer(self._sums, sums)
        return Change(ticker.last, *amounts) if moved or any(amounts) else None

    def _compare(self, sums: Amounts, day: int) -> Amounts:
        """Returns how far each sum has risen, None where that isn't known. Notes when a new day has begun."""
        if day > self._day:
            if not _differ(self._sums, sums):
                return NO_AMOUNTS  # these may still be yesterday's sums, or by chance the same ones
            self._day = day
            self._sums = (0.0, 0.0, 0)
        volume, turnover, trades = self._sums
        count = None if trades is None or sums[2] is None or sums[2] < trades else sums[2] - trades
        return _rise(volume, sums[0]), _rise(turnover, sums[1]), count

    def _change_in_rolling_window(self, ticker: Ticker) -> Change | None:
        """The change that another last price shows: its amounts are unknown."""
        if ticker.last is None:
            return None
        started, self._started = self._started, True
        moved, self._last = ticker.last != self._last, ticker.last
        return Change(ticker.last, None, None, None) if started and moved else None


def _differ(before: Amounts, now: Amounts) -> bool:
    """Whether any sum that both have isn't the same."""
    return any(one is not None and other is not None and one != other for one, other in zip(before, now, strict=True))


def _rise(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None or now < before else difference(now, before)


def _lower(before: N | None, now: N | None) -> N | None:
    return before if now is None else now if before is None else min(before, now)


def _with_newer(before: Amounts, now: Amounts) -> Amounts:
    """The sums `now`, and those `before` where there are none now."""
    volume, turnover, trades = now
    return (
        before[0] if volume is None else volume,
        before[1] if turnover is None else turnover,
        before[2] if trades is None else trades,
    )
