"""The newest bar of each instrument, of one period: the shortest that has come. Pure: time is an argument.

Where there are bars of several sources, those of trades say most, and those of tickers more than the venue's own,
which may come a whole period late; but a newer one always comes first.
"""

from __future__ import annotations

import math

import msgspec

from feedbus.schema.events import Bar

SECOND = 1_000_000_000
MAX_BARS = 20_000
KNOWN_FOR = 10 * SECOND
"""For two periods and so long after its last event a bar is shown: it would be taken for what goes on now."""
SOURCES = ("venue", "ticker", "trades")


class BarView(msgspec.Struct, frozen=True):
    """One bar. `change` is close to open, and `buys` the buyers' part of the volume of which the side is known, both
    in parts of one; `volume` is in the unit of the bar's source. None where it isn't known."""

    change: float | None
    vwap: float | None
    volume: float | None
    buys: float | None


NO_BAR = BarView(None, None, None, None)


class BarsSeen(msgspec.Struct):
    """What bars of the period have ever said."""

    period_s: int
    change: bool = False
    vwap: bool = False
    volume: bool = False
    buys: bool = False


class BarTable:
    """Bars in, the newest out. `not_shown` are bars of instruments beyond MAX_BARS."""

    def __init__(self) -> None:
        self.seen: BarsSeen | None = None
        self.not_shown = 0
        self._bars: dict[tuple[str, str], Bar] = {}

    def add(self, bar: Bar) -> None:
        """Take one in; a shorter period than the one before begins anew."""
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
        """An instrument's newest bar; NO_BAR when there is none, or an old one only."""
        bar = self._bars.get((venue, symbol))
        if bar is None or now_ns - bar.ts_recv > 2 * bar.period_s * SECOND + KNOWN_FOR:
            return NO_BAR
        return BarView(
            change=_change(bar.open, bar.close),
            vwap=bar.vwap,
            volume=bar.volume,
            buys=buyers(bar.buy_volume, bar.sell_volume),
        )


def _rank(bar: Bar) -> tuple[int, int]:
    return bar.start, SOURCES.index(bar.source)


def _change(first: float | None, last: float | None) -> float | None:
    if first is None or last is None or not 0 < first < math.inf:
        return None
    return last / first - 1


def buyers(bought: float | None, sold: float | None) -> float | None:
    """The part of the buyers; None where nothing is known of either, or nothing was traded."""
    if bought is None or sold is None or not bought + sold > 0:
        return None
    return bought / (bought + sold)
