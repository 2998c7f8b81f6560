"""Candles of the simulated market: what its trades add up to, and a made-up past before its first step. Pure.

Every trade counts in one candle of each interval, so that the ten M1 of ten minutes make an M10, and so on up; a
minute without a trade has no candle. The past ends at the price that the market opens with. It adds up in the same
way: the candles of each interval are made of the next smaller one's as far as these reach back, and made up further
back. Like the market itself it trades day and night, and depends on the seed, the paper and the opening alone.

The totals of the day in `securities` are of a morning that nobody saw, and are not the sum of the candles.

Prices are whole numbers of 10^-decimals, a turnover is price times units, and a start is minutes since the epoch by
Moscow's clock.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable
from typing import NamedTuple

from feedbus.sim.moex.catalogue import Share

MINUTES = {"M1": 1, "M10": 10, "H1": 60, "D1": 1440}
"""How long a candle is, by interval, each a multiple of the one before."""

ROWS = 256
"""How many candles of an interval are told, and kept."""

MOSCOW_AHEAD = 180  # minutes
_MINUTE_NS = 60_000_000_000
# By interval: how far the price goes in one candle of the past, in parts of the price; by tier: lots a minute.
_REACH = {"M1": 4000, "M10": 1400, "H1": 500, "D1": 90}
_LOTS = (4000, 600, 40)
_LEASH = 5  # the past strays from the paper's usual price by a fifth of it


def moscow_minute(time_ns: int) -> int:
    """The minute that a time (ns since the epoch, UTC) is in."""
    return time_ns // _MINUTE_NS + MOSCOW_AHEAD


class MoexCandle(NamedTuple):
    """One candle."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int


def joined(first: MoexCandle, then: MoexCandle) -> MoexCandle:
    """What two candles make together, the first one's start kept."""
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
    """Longer candles out of shorter ones, which are in order."""
    longer: list[MoexCandle] = []
    for candle in candles:
        start = candle.start // minutes * minutes
        if longer and longer[-1].start == start:
            longer[-1] = joined(longer[-1], candle)
        else:
            longer.append(candle._replace(start=start))
    return longer


def continued(before: list[MoexCandle], live: list[MoexCandle]) -> list[MoexCandle]:
    """One after the other; the last candle of the past goes on in the first live one when they are of one period."""
    if live and live[0].start == before[-1].start:
        return [*before[:-1], joined(before[-1], live[0]), *live[1:]]
    return [*before, *live]


class MoexCandleTape:
    """The candles of one instrument since the market opened. Closed ones are kept packed: there are many papers."""

    __slots__ = ("_closed", "_current")

    def __init__(self) -> None:
        self._current: dict[str, list[int]] = {}
        self._closed: dict[str, array[int]] = {}

    def trade(self, minute: int, price: int, units: int) -> None:
        """Count one trade in the candles of its minute."""
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
        """At most 256, in order: the current one, and those before it that begin at `since` or later."""
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


def past(paper: Share, seed: int, opening: int, minute: int, interval: str) -> list[MoexCandle]:
    """The 256 candles, or a few more, before the market's first step, which is in this minute, at this price."""
    rng = random.Random(f"{seed}/{paper.symbol}/candles")
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
            earlier.append(_made_up(paper, rng.getrandbits(64), start, close, name))
            start, close = start - minutes, earlier[-1].open
        candles = [*reversed(earlier), *candles]
        if name == interval:
            return candles
    raise ValueError(f"no interval {interval}")


def _made_up(paper: Share, draw: int, start: int, close: int, interval: str) -> MoexCandle:
    """A candle that closes at this price."""
    reach = max(2, paper.price // paper.tick // _REACH[interval])  # in ticks
    move = (draw & 0xFFFF) % (2 * reach + 1) - reach
    strayed = close - paper.price
    if abs(strayed) * _LEASH > paper.price and (move > 0) == (strayed > 0):
        move = -move
    opened = close + move * paper.tick
    high = max(opened, close) + (draw >> 16 & 0xFF) % reach * paper.tick
    low = min(opened, close) - (draw >> 24 & 0xFF) % reach * paper.tick
    lots = MINUTES[interval] * (1 + (draw >> 32 & 0xFFFF) % _LOTS[paper.tier])
    volume = lots * paper.lot
    return MoexCandle(start, opened, high, low, close, volume, volume * (opened + high + low + close) // 4)
