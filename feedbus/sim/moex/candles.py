"""Candles of the simulated market, built of its trades, and a made-up history before its first step. Pure.

Each trade is added to one candle of each interval, so that the M1 candles of ten minutes add up to their M10 candle,
and so on to D1. A minute without a trade has no candle. The history ends at the price with which the market opens,
and its candles add up in the same way: those of an interval are built of the next shorter interval's as far back
as these go, and are made up further back. Like the market itself the history trades day and night. It depends on the
seed, the security, the opening price and the opening minute alone.

The totals of the day in `securities` include a made-up morning, so they are not the sum of the candles.

Prices are whole numbers of 10^-decimals, a turnover is price times units, and a start is minutes since the epoch by
Moscow's clock.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from feedbus.sim.moex.catalogue import Security

MINUTES = {"M1": 1, "M10": 10, "H1": 60, "D1": 1440}
"""The minutes of a candle, by interval. Each interval is a multiple of the one before."""

ROWS = 256
"""How many candles of an interval are kept, and sent in a snapshot."""

MOSCOW_AHEAD = 180  # minutes
_MINUTE_NS = 60_000_000_000
_REACH = {"M1": 4000, "M10": 1400, "H1": 500, "D1": 90}  # a candle of the history moves by 1/4000 of the price, ...
_LOTS = (4000, 600, 40)  # the most lots a minute in the history, by tier
_LEASH = 5  # the history turns back when it is 1/5 of the security's usual price away from it


def moscow_minute(time_ns: int) -> int:
    """The minute of a time (ns since the epoch), in minutes since the epoch by Moscow's clock."""
    return time_ns // _MINUTE_NS + MOSCOW_AHEAD


class MoexCandle(NamedTuple):
    """One candle. `volume` is units."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int


def joined(first: MoexCandle, then: MoexCandle) -> MoexCandle:
    """One candle of two successive ones, with the start of the first."""
    return MoexCandle(
        first.start,
        first.open,
        max(first.high, then.high),
        min(first.low, then.low),
        then.close,
        first.volume + then.volume,
        first.turnover + then.turnover,
    )


def folded(candles: Iterable[MoexCandle], minutes: int) -> list[MoexCandle]:
    """Candles of this many minutes, built of shorter ones, which have to be in order."""
    longer: list[MoexCandle] = []
    for candle in candles:
        start = candle.start // minutes * minutes
        if longer and longer[-1].start == start:
            longer[-1] = joined(longer[-1], candle)
        else:
            longer.append(candle._replace(start=start))
    return longer


def continued(before: list[MoexCandle], live: list[MoexCandle]) -> list[MoexCandle]:
    """The history, then the live candles. The last candle of the history and the first live one are joined when
    both are of one period."""
    if live and live[0].start == before[-1].start:
        return [*before[:-1], joined(before[-1], live[0]), *live[1:]]
    return [*before, *live]


class MoexCandleBuilder:
    """Builds the candles of one instrument since the market opened. Closed candles are packed in arrays, as there are
    many securities."""

    __slots__ = ("_closed", "_current")

    def __init__(self) -> None:
        self._current: dict[str, list[int]] = {}
        self._closed: dict[str, array[int]] = {}

    def trade(self, minute: int, price: int, units: int) -> None:
        """Add one trade to the candles of its minute."""
        for interval, minutes in MINUTES.items():
            start = minute - minute % minutes
            candle = self._current.get(interval)
            if candle is None or candle[0] != start:
                if candle is not None:
                    self._close(interval, candle)
                self._current[interval] = [start, price, price, price, price, units, units * price]
                continue
            if price > candle[2]:
                candle[2] = price
            elif price < candle[3]:
                candle[3] = price
            candle[4] = price
            candle[5] += units
            candle[6] += units * price

    def candles(self, interval: str, since: int = 0) -> list[MoexCandle]:
        """At most 256 candles, in order: those that begin at `since` or later, and the open one."""
        current = self._current.get(interval)
        if current is None:
            return []
        packed, width = self._closed.get(interval, ()), len(MoexCandle._fields)
        at = len(packed)
        while at > 0 and packed[at - width] >= since:
            at -= width
        return [
            *(MoexCandle(*packed[each : each + width]) for each in range(at, len(packed), width)),
            MoexCandle(*current),
        ]

    def _close(self, interval: str, candle: list[int]) -> None:
        closed = self._closed.setdefault(interval, array("q"))
        closed.extend(candle)
        if len(closed) >= ROWS * len(candle):
            del closed[: len(candle)]


def past(security: Security, seed: int, opening: int, minute: int, interval: str) -> list[MoexCandle]:
    """The history: 256 candles, or a few more, before the market's first step in this `minute`, at the price `opening`.
    Raises ValueError for an unknown interval."""
    rng = Random(f"{seed}/{security.symbol}/candles")
    candles: list[MoexCandle] = []
    for name, minutes in MINUTES.items():
        candles = folded(candles, minutes)
        newest = minute // minutes * minutes
        oldest = newest - (ROWS - 1) * minutes
        longer = next((each for each in MINUTES.values() if each > minutes), minutes)
        oldest -= oldest % longer  # so that the next longer ones are whole
        start = candles[0].start - minutes if candles else newest
        close = candles[0].open if candles else opening
        earlier: list[MoexCandle] = []
        while start >= oldest:
            earlier.append(_made_up(security, rng.getrandbits(64), start, close, name))
            start, close = start - minutes, earlier[-1].open
        candles = [*reversed(earlier), *candles]
        if name == interval:
            return candles
    raise ValueError(f"no interval {interval}")


def _made_up(security: Security, draw: int, start: int, close: int, interval: str) -> MoexCandle:
    """A made-up candle that closes at this price."""
    reach = max(2, security.price // security.tick // _REACH[interval])  # in ticks
    move = (draw & 0xFFFF) % (2 * reach + 1) - reach
    strayed = close - security.price
    if abs(strayed) * _LEASH > security.price and (move > 0) == (strayed > 0):
        move = -move
    opened = close + move * security.tick
    high = max(opened, close) + (draw >> 16 & 0xFF) % reach * security.tick
    low = min(opened, close) - (draw >> 24 & 0xFF) % reach * security.tick
    lots = MINUTES[interval] * (1 + (draw >> 32 & 0xFFFF) % _LOTS[security.tier])
    volume = lots * security.lot
    return MoexCandle(start, opened, high, low, close, volume, volume * (opened + high + low + close) // 4)
