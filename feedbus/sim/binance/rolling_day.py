"""Statistics of a pair's last 24 hours in the simulated Binance. Pure.

Prices and quantities are whole numbers of 10^-8, turnovers of 10^-16.
"""

from __future__ import annotations

from random import Random

from feedbus.sim.binance.candles import BinanceTrade
from feedbus.sim.binance.catalogue import Pair


class RollingDay:
    """Statistics of the last 24 hours. What was before the market opened is made up, and never leaves the 24 hours."""

    __slots__ = ("close", "first", "high", "last", "low", "open", "previous", "quantity", "turnover", "volume")

    def __init__(self, rng: Random, pair: Pair, price: int, lots: int) -> None:
        tick = pair.tick
        reach = max(3, price // tick // 60)
        self.close = price
        self.high = price + rng.randrange(2, 2 + reach) * tick
        self.low = price - rng.randrange(1, 1 + max(1, min(reach, price // tick - 1))) * tick
        span = (self.high - self.low) // tick
        self.open = self.low + rng.randrange(span + 1) * tick
        self.previous = self.open
        trades = rng.randrange(20_000, 900_000)
        self.first = rng.randrange(10_000_000, 4_000_000_000)
        self.last = self.first + trades - 1
        self.quantity = pair.lot
        self.volume = (trades * lots // 40 + 1) * pair.lot
        self.turnover = self.volume * ((self.high + self.low + self.open + self.close) // 4)

    def add(self, trade: BinanceTrade) -> None:
        """Add a trade."""
        self.close, self.quantity, self.last = trade.price, trade.quantity, trade.id
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.volume += trade.quantity
        self.turnover += trade.price * trade.quantity
