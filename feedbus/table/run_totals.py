"""What was traded of each instrument since the table began. Pure.

When there are trades, they are added up. Otherwise it is how much the day's volume and turnover in the ticker have
risen. On a new trading day a volume that differs from yesterday's is all of today's, and all of it counts. When it
falls within a day, the venue has corrected it, and how much was traded is not known from then on. It is never known
from tickers whose sums are over a rolling window. Tickers don't tell buyers from sellers.

Bars are not used: the bars that a venue sends include what was traded before the table began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from feedbus.schema.events import Ticker, Trade


class Total(msgspec.Struct, frozen=True):
    """One instrument over the whole run. A value that isn't known is None.

    Volumes are in the venue's unit of a trade's size when `source` is trades, and in its unit of a ticker's volume when
    it is ticker. `bought` and `sold` are by the aggressor's side. `vwap` is in the unit of prices.
    """

    venue: str
    symbol: str
    updates: int
    last: float | None
    decimals: int
    vwap: float | None
    volume: float | None
    bought: float | None
    sold: float | None
    source: Literal["trades", "ticker"] | None


Sums = tuple[float | None, float | None, float | None, float | None]
"""(vwap, volume, bought, sold)"""


class TradeTotals(msgspec.Struct, gc=False):
    """The trades of one instrument, added up."""

    volume: float = 0.0
    turnover: float = 0.0
    bought: float = 0.0
    sold: float = 0.0

    def add(self, trade: Trade) -> None:
        """Add a trade."""
        size = trade.size
        self.volume += size
        self.turnover += trade.price * size
        if trade.side == "buy":
            self.bought += size
        elif trade.side == "sell":
            self.sold += size

    def sums(self) -> Sums:
        """The sums so far. `bought` and `sold` are None when no trade had a side: the venue doesn't give it then, and 0
        would say that nothing was bought.
        """
        sided = self.bought > 0 or self.sold > 0
        vwap = self.turnover / self.volume if self.volume > 0 else None
        return vwap, self.volume, self.bought if sided else None, self.sold if sided else None


class DayTotals:
    """The day's sums of one instrument: the first and the newest ticker with a volume of this day, and what was traded
    on the days before.
    """

    __slots__ = ("_day", "_day_of", "_first", "_high", "_known", "_low", "_newest", "_turnover", "_volume")

    def __init__(self, ticker: Ticker, day_of: Callable[[int], int]) -> None:
        """`ticker` is the first one. `day_of` tells on which of the exchange's trading days a time lies, in nanoseconds
        since the epoch.
        """
        self._day_of = day_of
        self._day = day_of(ticker.ts_event or ticker.ts_recv)
        self._newest = ticker
        # None when the day began after the table did, so that all of its volume counts.
        self._first: Ticker | None = ticker
        self._volume = 0.0  # of the days before, as the following ones
        self._turnover: float | None = 0.0
        self._low: float | None = None
        self._high: float | None = None
        self._known = True

    def add(self, ticker: Ticker) -> None:
        """Take in a further ticker with a volume."""
        before, now = self._newest.volume or 0.0, ticker.volume or 0.0
        if now != before and (day := self._day_of(ticker.ts_event or ticker.ts_recv)) > self._day:
            self._volume, self._turnover = self._risen()
            self._low, self._high = self._range()
            self._first, self._day = None, day
        elif now < before:
            self._known = False
        self._newest = ticker

    def sums(self) -> Sums:
        """The sums so far.

        The VWAP is None when it is outside of the day's lowest and highest price. Turnover and volume aren't in units
        that give a price then: bonds are quoted in percent of their face value, futures in points.
        """
        if not self._known:
            return None, None, None, None
        volume, turnover = self._risen()
        low, high = self._range()
        vwap = turnover / volume if turnover is not None and volume > 0 else None
        if vwap is None or low is None or high is None or not low <= vwap <= high:
            vwap = None
        return vwap, volume, None, None

    def _risen(self) -> tuple[float, float | None]:
        """Volume and turnover since the table began."""
        before = self._first.volume if self._first else 0.0
        volume = self._volume + (self._newest.volume or 0.0) - (before or 0.0)
        spent = self._first.turnover if self._first else 0.0
        if self._turnover is None or spent is None or self._newest.turnover is None:
            return volume, None
        return volume, self._turnover + self._newest.turnover - spent

    def _range(self) -> tuple[float | None, float | None]:
        """The lowest and the highest price of all days since the table began."""
        lows = [low for low in (self._low, self._newest.low) if low is not None]
        highs = [high for high in (self._high, self._newest.high) if high is not None]
        return min(lows, default=None), max(highs, default=None)


NOTHING: Sums = (None, None, None, None)


def sums_of(trades: TradeTotals | None, day: DayTotals | None) -> tuple[Sums, Literal["trades", "ticker"] | None]:
    """The sums of the trades when there are any, else those of the tickers; and which of both they are from."""
    if trades is not None:
        return trades.sums(), "trades"
    return (NOTHING, None) if day is None else (day.sums(), "ticker")
