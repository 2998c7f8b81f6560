"""Candles (the venue's "klines") of the simulated Binance, built of its trades since the market opened. Pure.

Each trade is added to the one-second candle of its time, and each second that has ended is added to the candles of
every other interval, so that all intervals agree. Days, and all longer or uneven parts of them, exist by the time zone
UTC+8 as well (`1d@+08:00`). A period without a trade has an empty candle at the last price, as
at the venue. There is no history: the first candle of an interval has only the trades since the market opened. Times
are ns since the epoch; prices and quantities are whole numbers of 10^-8, turnovers of 10^-16.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_DAY_NS = 24 * _HOUR_NS

INTERVALS = {
    "1s": _SECOND_NS,
    "1m": _MINUTE_NS, "3m": 3 * _MINUTE_NS, "5m": 5 * _MINUTE_NS, "15m": 15 * _MINUTE_NS, "30m": 30 * _MINUTE_NS,
    "1h": _HOUR_NS, "2h": 2 * _HOUR_NS, "4h": 4 * _HOUR_NS, "6h": 6 * _HOUR_NS, "8h": 8 * _HOUR_NS,
    "12h": 12 * _HOUR_NS, "1d": _DAY_NS, "3d": 3 * _DAY_NS, "1w": 7 * _DAY_NS,
    "1M": 31 * _DAY_NS,
}  # fmt: skip
"""The length of a candle in ns, by interval; of a month, the longest."""
EAST = "@+08:00"
"""What follows an interval by the time zone UTC+8."""
EASTERN = {f"{interval}{EAST}": interval for interval in ("6h", "12h", "1d", "3d", "1w", "1M")}
"""The intervals whose periods begin at other times in that zone."""

_MONDAY_NS = 4 * _DAY_NS  # the first Monday of the epoch
_NO_TRADE = -1


class BinanceTrade(NamedTuple):
    """One trade. `maker` is true when the buyer was the maker, that is, when the taker sold."""

    id: int
    time_ns: int
    price: int
    quantity: int
    maker: bool


class BinanceCandle:
    """One candle. `first` and `last` are trade ids, -1 without a trade; `bought` is the volume of the buying takers."""

    __slots__ = (
        "bought", "bought_turnover", "close", "end", "first", "high", "last", "low", "open", "start", "trades",
        "turnover", "volume",
    )  # fmt: skip

    def __init__(self, start: int, end: int, price: int) -> None:
        self.start = start
        self.end = end
        self.first = self.last = _NO_TRADE
        self.open = self.high = self.low = self.close = price
        self.volume = self.turnover = self.trades = self.bought = self.bought_turnover = 0

    def add(self, trade: BinanceTrade) -> None:
        """Add a trade."""
        price, quantity = trade.price, trade.quantity
        if self.first == _NO_TRADE:
            self.first = trade.id
            self.open = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.last, self.close = trade.id, price
        self.trades += 1
        self.volume += quantity
        self.turnover += price * quantity
        if not trade.maker:
            self.bought += quantity
            self.bought_turnover += price * quantity

    def extend(self, then: BinanceCandle) -> None:
        """Add all trades of a later candle."""
        if then.first == _NO_TRADE:
            return
        if self.first == _NO_TRADE:
            self.first, self.open, self.high, self.low = then.first, then.open, then.high, then.low
        else:
            self.high, self.low = max(self.high, then.high), min(self.low, then.low)
        self.last, self.close = then.last, then.close
        self.volume += then.volume
        self.turnover += then.turnover
        self.trades += then.trades
        self.bought += then.bought
        self.bought_turnover += then.bought_turnover


class BinanceCandleBuilder:
    """Builds the candles of one pair. `ended` is (interval, candle) of those that ended since it was last cleared."""

    __slots__ = ("_longer", "_second", "ended")

    def __init__(self, time_ns: int, price: int) -> None:
        self.ended: list[tuple[str, BinanceCandle]] = []
        self._second = _candle("1s", time_ns, price)
        longer = [interval for interval in INTERVALS if interval != "1s"]
        self._longer = {interval: _candle(interval, time_ns, price) for interval in (*longer, *EASTERN)}

    def add(self, trade: BinanceTrade) -> None:
        """Add a trade, whose time is not before the one of the trade before."""
        if trade.time_ns >= self._second.end:
            self.roll(trade.time_ns)
        self._second.add(trade)

    def roll(self, time_ns: int) -> None:
        """End the candles that end at this time or before it."""
        while time_ns >= self._second.end:
            self._end_second()

    def current(self, interval: str) -> BinanceCandle:
        """The candle that is still open."""
        if interval == "1s":
            return self._second
        before = self._longer[interval]
        candle = BinanceCandle(before.start, before.end, before.close)
        candle.extend(before)
        candle.extend(self._second)
        return candle

    def _end_second(self) -> None:
        second = self._second
        self.ended.append(("1s", second))
        self._second = BinanceCandle(second.end, second.end + _SECOND_NS, second.close)
        for interval, candle in self._longer.items():
            candle.extend(second)
            if second.end >= candle.end:
                self.ended.append((interval, candle))
                self._longer[interval] = _candle(interval, candle.end, second.close)


def _candle(interval: str, time_ns: int, price: int) -> BinanceCandle:
    """An empty candle of the period that a time is in."""
    name = EASTERN.get(interval, interval)
    east = 0 if name is interval else 8 * _HOUR_NS
    start, end = _period(name, time_ns + east)
    return BinanceCandle(start - east, end - east, price)


def _period(interval: str, time_ns: int) -> tuple[int, int]:
    length = INTERVALS[interval]
    if interval == "1M":
        first = datetime.fromtimestamp(time_ns // _SECOND_NS, UTC).replace(day=1, hour=0, minute=0, second=0)
        year, month = divmod(first.year * 12 + first.month, 12)
        following = first.replace(year=year, month=month + 1)
        return round(first.timestamp()) * _SECOND_NS, round(following.timestamp()) * _SECOND_NS
    start = time_ns - (time_ns - (_MONDAY_NS if interval == "1w" else 0)) % length
    return start, start + length
