"""The newest bar of each instrument. Pure: time is an argument.

Only bars of the shortest period that has been seen are kept, so that all rows of the table compare the same span of
time. A bar is replaced by one that starts later. Of bars with the same start, one made of trades is preferred, since it
knows most; then one made of tickers; and last the venue's own, which may arrive a whole period late.
"""

from __future__ import annotations

import math

import msgspec

from feedbus.schema.events import Bar

SECOND = 1_000_000_000
MAX_BARS = 20_000
KNOWN_FOR = 10 * SECOND
"""A bar is shown for two of its periods and this long (ns) after it was received. An older one is hidden, because it
would be taken for what is going on now."""
SOURCES = ("venue", "ticker", "trades")
"""From the least to the most preferred."""


class BarView(msgspec.Struct, frozen=True):
    """What the table shows of a bar. A value that isn't known is None.

    `change` is close / open - 1. `buys` is the share of buyers, from 0 to 1, in the volume whose aggressor is known.
    `volume` is in the unit of the bar's source.
    """

    change: float | None
    vwap: float | None
    volume: float | None
    buys: float | None


NO_BAR = BarView(None, None, None, None)


class BarsSeen(msgspec.Struct):
    """Which values any bar of this period (in seconds) has ever had; the table has a column for each of them."""

    period_s: int
    change: bool = False
    vwap: bool = False
    volume: bool = False
    buys: bool = False


class BarTable:
    """Takes in Bar events, and says what an instrument's newest bar is.

    `not_shown` counts the bars that were dropped because MAX_BARS instruments had one already.
    """

    def __init__(self) -> None:
        self.seen: BarsSeen | None = None
        self.not_shown = 0
        self._bars: dict[tuple[str, str], Bar] = {}

    def add(self, bar: Bar) -> None:
        """Take in a bar. When its period is shorter than that of the bars so far, those are forgotten."""
        seen = self.seen
        if seen is None or bar.period_s < seen.period_s:
            seen = self.seen = BarsSeen(bar.period_s)
            self._bars.clear()
        if bar.period_s > seen.period_s:
            return
        key = (bar.venue, bar.symbol)
        known = self._bars.get(key)
        if known is None and len(self._bars) >= MAX_BARS:
            self.not_shown += 1
        elif known is None or _rank(bar) >= _rank(known):
            self._bars[key] = bar
            seen.change = seen.change or bar.close is not None
            seen.vwap = seen.vwap or bar.vwap is not None
            seen.volume = seen.volume or bar.volume is not None
            seen.buys = seen.buys or bar.buy_volume is not None

    def of(self, venue: str, symbol: str, now_ns: int) -> BarView:
        """The newest bar of an instrument; NO_BAR when there is none, or when it is too old to be shown."""
        bar = self._bars.get((venue, symbol))
        if bar is None or now_ns - bar.ts_recv > 2 * bar.period_s * SECOND + KNOWN_FOR:
            return NO_BAR
        return BarView(
            change=change(bar.open, bar.close),
            vwap=bar.vwap,
            volume=bar.volume,
            buys=buyers(bar.buy_volume, bar.sell_volume),
        )


def _rank(bar: Bar) -> tuple[int, int]:
    """The bar with the largest rank is shown."""
    return bar.start, SOURCES.index(bar.source)


def change(first: float | None, last: float | None) -> float | None:
    """last / first - 1; None when a price is missing or the first one isn't a positive finite number."""
    if first is None or last is None or not 0 < first < math.inf:
        return None
    return last / first - 1


def buyers(bought: float | None, sold: float | None) -> float | None:
    """The share of buyers, from 0 to 1; None when the sides aren't known or nothing was traded."""
    if bought is None or sold is None or not bought + sold > 0:
        return None
    return bought / (bought + sold)
