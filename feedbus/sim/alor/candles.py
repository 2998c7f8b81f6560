"""The candles of one instrument of the simulated ALOR, of any length from a second to a week. Pure.

They are made of the simulated exchange's candles of minutes, hours and days, and those of less than a minute of its
fills. Where the fills aren't kept any more, and before the market's first step, all trades of a minute count as made at
its beginning. So the candles within a minute always add up to the minute's.

A candle of days or weeks is named by its date in Moscow: it begins at 00:00 UTC of that date, a week on a Monday. So a
client of ALOR's reads the times of days; of weeks nothing is known. All others begin at whole multiples of their length
by Moscow's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from feedbus.sim.alor import wire
from feedbus.sim.moex.candles import MINUTES, MOSCOW_AHEAD, MoexCandle, continued, folded, moscow_minute, past
from feedbus.sim.moex.market import MoexInstrument, MoexMarket

DAY_S, WEEK_S = 86_400, 604_800
_MONDAY = 4 * 1440  # minutes from the epoch, a Thursday, to the first Monday


def can_be(seconds: int) -> bool:
    """Whether there are candles of this many seconds: a part of a minute, minutes that divide a day, or a week."""
    if seconds < 60:
        return seconds > 0 and 60 % seconds == 0
    return seconds == WEEK_S or (seconds % 60 == 0 and DAY_S % seconds == 0)


class AlorCandles:
    """The candles of one instrument at the market's newest step. It keeps `fills` of its newest fills."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, seed: int, fills: int) -> None:
        self._instrument = instrument
        self._market = market
        self._seed = seed
        self._fills = fills
        self._past: dict[str, list[MoexCandle]] = {}

    def bars(self, seconds: int, since_s: int) -> list[wire.AlorBar]:
        """The known candles of this length, which is one that `can_be`. They begin at `since_s` (seconds since the
        epoch) or later, oldest first, the open one last."""
        if seconds < 60:
            ahead = MOSCOW_AHEAD * 60
            since = -(-since_s // seconds) * seconds + ahead
            candles = folded(self._within_minutes(since), seconds)
            return [self._bar(each, each.start - ahead) for each in candles if each.start >= since]
        ahead = 0 if seconds >= DAY_S else MOSCOW_AHEAD
        phase = _MONDAY if seconds == WEEK_S else 0
        minutes = seconds // 60
        since = -(-(-(-since_s // 60) + ahead - phase) // minutes) * minutes + phase
        candles = self._minutes(minutes, since, phase)
        return [self._bar(each, (each.start - ahead) * 60) for each in candles if each.start >= since]

    def _minutes(self, minutes: int, since: int, phase: int) -> list[MoexCandle]:
        """Candles of so many minutes, those from `since` on among them. They begin `phase` after whole multiples of
        their length."""
        interval = next(name for name, each in reversed(MINUTES.items()) if minutes % each == 0)
        live = self._instrument.candle_builder.candles(interval, since)
        before = self._before(interval)
        if since > before[-1].start:
            return _folded(live, minutes, phase)
        candles = _folded(continued([each for each in before if each.start >= since], live), minutes, phase)
        if since < before[0].start and candles[0].start < before[0].start:
            del candles[0]  # its beginning isn't known
        return candles

    def _within_minutes(self, since: int) -> Iterator[MoexCandle]:
        """Pieces of candles of less than a minute, in order, those from `since` on among them. Their times are seconds
        by Moscow's clock."""
        fills = self._instrument.fills or deque()
        whole = self._market.minute(0)
        if len(fills) >= self._fills:
            whole = self._market.minute(fills[0].step) + 1
        minute = since // 60
        before, live = self._before("M1"), self._instrument.candle_builder.candles("M1", minute)
        known = [each for each in before if each.start >= minute]
        closed = [each for each in live if each.start < whole]
        for candle in continued(known, closed) if known else closed:
            yield candle._replace(start=candle.start * 60)
        newest = []
        for fill in reversed(fills):
            time_ns = self._market.start_ns + fill.step * self._market.step_ns
            if moscow_minute(time_ns) < max(whole, minute):
                break
            price, units = fill.price, fill.lots * self._instrument.security.lot
            start = time_ns // 1_000_000_000 + MOSCOW_AHEAD * 60
            newest.append(MoexCandle(start, price, price, price, price, units, units * price))
        yield from reversed(newest)

    def _before(self, interval: str) -> list[MoexCandle]:
        """The candles before the market's first step. They are kept only once the market is open, as until then
        the time of that step may change."""
        if (before := self._past.get(interval)) is None:
            opening, minute = self._instrument.opening, self._market.minute(0)
            before = past(self._instrument.security, self._seed, opening, minute, interval)
            if self._market.opened:
                self._past[interval] = before
        return before

    def _bar(self, candle: MoexCandle, start: int) -> wire.AlorBar:
        volume = candle.volume // self._instrument.security.lot
        return wire.AlorBar(start, candle.open, candle.high, candle.low, candle.close, volume)


def _folded(candles: list[MoexCandle], minutes: int, phase: int) -> list[MoexCandle]:
    """Candles of so many minutes, which begin `phase` after whole multiples of it."""
    shifted = folded((each._replace(start=each.start - phase) for each in candles), minutes) if phase else None
    if shifted is None:
        return folded(candles, minutes)
    return [each._replace(start=each.start + phase) for each in shifted]
