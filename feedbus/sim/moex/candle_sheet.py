"""How the simulated venue writes the candles of an instrument down. Pure.

A snapshot is the newest 256 candles. An update is the rows that have changed since the last message: the current
candle, whose TILL moves, and those that were current then and have ended. All of a paper's updates fall due at the same
steps, on every connection.
"""

from __future__ import annotations

import datetime as dt
import functools

from feedbus.sim.moex.candles import MINUTES, MOSCOW_AHEAD, ROWS, MoexCandle, continued, past
from feedbus.sim.moex.market import MoexInstrument, MoexMarket
from feedbus.sim.moex.wire import BODIES, Clock, cents, price_cell

CANDLE_COLUMNS = ("FROM", "TILL", "OPEN", "HIGH", "LOW", "CLOSE", "VALUE", "VOLUME")
UPDATE_S = 5
"""Seconds between two updates of a subscription."""

_HEAD = '"columns":["' + '","'.join(CANDLE_COLUMNS) + '"],\n"data":['
_INTERVALS = tuple(MINUTES)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (Moscow's, like the times that are counted from it)


class CandleSheet:
    """One instrument's candles on the wire, at the market's newest step."""

    def __init__(self, instrument: MoexInstrument, market: MoexMarket, clock: Clock, seed: int) -> None:
        self.instrument = instrument
        self._market = market
        self._clock = clock
        self._seed = seed
        self._every = max(1, round(UPDATE_S * 1_000_000_000 / market.step_ns))
        self._before: dict[str, MoexCandle] = {}
        """The last candle of the past, which the first trades belong to, by interval."""
        self._update: dict[str, tuple[int, int, bytes]] = {}

    @property
    def due_at(self) -> int:
        """The last step at which an update fell due."""
        step = self._market.step
        return step - (step + self.instrument.index) % self._every

    def snapshot(self, interval: str) -> bytes:
        """The body of a first message."""
        live = self.instrument.tape.candles(interval)
        candles = continued(self._past(interval), live) if len(live) < ROWS else live
        return self._body("snapshot", interval, candles[-ROWS:])

    def update(self, interval: str, since: int) -> bytes:
        """The body of a later one: what has changed since this step."""
        step = self._market.step
        made = self._update.get(interval)
        if made is None or made[:2] != (step, since):
            current_then = self._market.minute(since) // MINUTES[interval] * MINUTES[interval]
            live = self.instrument.tape.candles(interval, current_then)
            candles = continued([self._before.get(interval) or self._past(interval)[-1]], live)
            changed = [candle for candle in candles if candle.start >= current_then] or candles[-1:]
            made = self._update[interval] = (step, since, self._body("updates", interval, changed))
        return made[2]

    def _past(self, interval: str) -> list[MoexCandle]:
        """Made up again for every snapshot: kept for every paper it would fill the memory."""
        instrument = self.instrument
        before = past(instrument.paper, self._seed, instrument.opening, self._market.minute(0), interval)
        self._before[interval] = before[-1]
        return before

    def _body(self, kind: str, interval: str, candles: list[MoexCandle]) -> bytes:
        place = BODIES * self.instrument.index + 2 + _INTERVALS.index(interval)
        now_s = self._market.time_ms(self._market.step) // 1000 + 60 * MOSCOW_AHEAD
        rows = ",".join([self._row(candle, MINUTES[interval], now_s) for candle in candles])
        return f"{self._clock.properties(kind, place)}{_HEAD}{rows}]}}".encode()

    def _row(self, candle: MoexCandle, minutes: int, now_s: int) -> str:
        start, opened, high, low, close, volume, turnover = candle
        price, value = self._price, cents(self.instrument.paper, turnover)
        times = _times(start * 60, min(now_s, (start + minutes) * 60 - 1))
        prices = f"{price(opened)},{price(high)},{price(low)},{price(close)}"
        return f"[{times},{prices},[{value // 100}.{value % 100:02d},2],{volume}]"

    def _price(self, value: int) -> str:
        return price_cell(value, self.instrument.paper.decimals)


@functools.lru_cache(maxsize=8192)
def _times(start_s: int, end_s: int) -> str:
    """FROM and TILL, of seconds since the epoch by Moscow's clock. Kept, because all papers have the same."""
    return f'"{_EPOCH + dt.timedelta(seconds=start_s)}","{_EPOCH + dt.timedelta(seconds=end_s)}"'
