"""Sums over rolling windows of a pair of the simulated Binance: an hour, four hours, a day, or five minutes. Pure.

A window is made of whole minutes and of what the newest one has so far, so that it begins on a minute, as at the venue.
It has the trades since the market opened alone.
"""

from __future__ import annotations

from collections import deque

from feedbus.sim.binance.candles import BinanceCandle, BinanceCandleBuilder

MINUTE_NS = 60_000_000_000
WINDOWS = {"1h": 60 * MINUTE_NS, "4h": 240 * MINUTE_NS, "1d": 1440 * MINUTE_NS}
"""The lengths of the windows of tickers in ns, by name."""
AVERAGE_NS = 5 * MINUTE_NS
"""The length of the window of the average price."""


class BinanceWindows:
    """The minutes of the last day."""

    __slots__ = ("_minutes",)

    def __init__(self) -> None:
        self._minutes: deque[BinanceCandle] = deque(maxlen=WINDOWS["1d"] // MINUTE_NS)

    def keep(self, builder: BinanceCandleBuilder) -> None:
        """Remember the minutes that have just ended."""
        for interval, candle in builder.ended:
            if interval == "1m" and candle.trades:
                self._minutes.append(candle)

    def window(self, length_ns: int, builder: BinanceCandleBuilder, now_ns: int) -> BinanceCandle:
        """The sum of the window that ends now; its `trades` are 0 when nothing was traded in it."""
        start = (now_ns - length_ns) // MINUTE_NS * MINUTE_NS
        newest = builder.current("1m")
        found = BinanceCandle(start, now_ns, newest.close)
        for candle in self._minutes:
            if candle.start >= start:
                found.extend(candle)
        found.extend(newest)
        return found
