"""What was traded of an instrument while the table watched. Pure.

Where trades come, they are added up. Else it is what the ticker's sums of the day have risen by: a sum that falls to
less than half begins a new day, of which all counts; one that falls less was corrected, and how much was traded isn't
known then, nor where the sums are of a window that rolls. The ticker doesn't tell buyers from sellers.

Bars aren't needed for it, and those that a venue sends would count what was traded before the table began.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from feedbus.schema.events import Ticker, Trade


class Total(msgspec.Struct, frozen=True):
    """One instrument over the whole run. Volumes are in the venue's unit: of `source` trades that of a trade's size, of
    `source` ticker that of the ticker's volume. `vwap` is in the unit of prices. None: not known."""

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
        """One more."""
        size = trade.size
        self.volume += size
        self.turnover += trade.price * size
        if trade.side == "buy":
            self.bought += size
        elif trade.side == "sell":
            self.sold += size

    def sums(self) -> Sums:
        """Where no trade had a side, the venue doesn't say it: that isn't the same as none having been bought."""
        sided = self.bought > 0 or self.sold > 0
        vwap = self.turnover / self.volume if self.volume > 0 else None
        return vwap, self.volume, self.bought if sided else None, self.sold if sided else None


class DayTotals(msgspec.Struct, gc=False):
    """The tickers of one instrument that have a volume: the first and the newest of this day, and the days before."""

    newest: Ticker
    first: Ticker | None
    """None: the day began while the table watched."""
    volume: float = 0.0
    turnover: float | None = 0.0
    low: float | None = None
    high: float | None = None
    known: bool = True

    def fell(self, ticker: Ticker) -> None:
        """The next one, with a lower volume than the newest."""
        if (ticker.volume or 0.0) * 2 < (self.newest.volume or 0.0):
            self.volume, self.turnover = self._risen()
            self.low, self.high = self._range()
            self.first = None
        else:
            self.known = False
        self.newest = ticker

    def sums(self) -> Sums:
        """A VWAP that no price of the day could have is none: turnover and volume aren't in units that fit the price
        (bonds are priced in per cent, futures in points)."""
        if not self.known:
            return None, None, None, None
        volume, turnover = self._risen()
        low, high = self._range()
        vwap = turnover / volume if turnover is not None and volume > 0 else None
        if vwap is None or low is None or high is None or not low <= vwap <= high:
            vwap = None
        return vwap, volume, None, None

    def _risen(self) -> tuple[float, float | None]:
        before = self.first.volume if self.first else 0.0
        volume = self.volume + (self.newest.volume or 0.0) - (before or 0.0)
        spent = self.first.turnover if self.first else 0.0
        if self.turnover is None or spent is None or self.newest.turnover is None:
            return volume, None
        return volume, self.turnover + self.newest.turnover - spent

    def _range(self) -> tuple[float | None, float | None]:
        """The lowest and the highest price of all days."""
        lows = [low for low in (self.low, self.newest.low) if low is not None]
        highs = [high for high in (self.high, self.newest.high) if high is not None]
        return min(lows, default=None), max(highs, default=None)


NOTHING: Sums = (None, None, None, None)


def sums_of(trades: TradeTotals | None, day: DayTotals | None) -> tuple[Sums, Literal["trades", "ticker"] | None]:
    """What is known best, and where it is from."""
    if trades is not None:
        return trades.sums(), "trades"
    return (NOTHING, None) if day is None else (day.sums(), "ticker")
