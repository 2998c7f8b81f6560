"""The streams of the simulated Binance: what each name stands for, and what is sent in it. Pure.

A Channel is one stream in one unit of time. It writes each payload once, however many connections have it, and keeps
the newest ones for those that are late. All channels of a period (100 ms, 1 s, 2 s) are written at its multiples, by
the market's clock. `@depth`, `@trade`, `@aggTrade` and `@bookTicker` tell everything; of the others only the newest
state counts.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence

from feedbus.sim import binance_wire as wire
from feedbus.sim.binance_candles import INTERVALS
from feedbus.sim.binance_market import Instrument, Market

MS = 1_000_000
FAST_NS, SLOW_NS, KLINE_NS = 100 * MS, 1000 * MS, 2000 * MS
EVENTS, STATES = 1024, 32
"""How many payloads are kept for late connections: of streams that tell everything, and of the others."""

_NAME = re.compile(
    r"(?P<symbol>[^@!]+)@"
    r"(?:(?P<plain>trade|aggTrade|bookTicker|miniTicker|ticker)|kline_(?P<interval>\w+)"
    r"|depth(?P<levels>5|10|20)?(?P<fast>@100ms)?)"
)
_ALL = "!miniTicker@arr"


class Channel:
    """One stream. `count` is how many payloads there were, `recent` the newest of them."""

    __slots__ = ("__weakref__", "count", "lossless", "recent", "write")

    def __init__(self, write: Callable[[Channel], None], *, lossless: bool = False) -> None:
        self.write = write
        """Puts what the market's newest step brings."""
        self.lossless = lossless
        self.count = 0
        self.recent: deque[str] = deque(maxlen=EVENTS if lossless else STATES)

    def put(self, payload: str) -> None:
        self.recent.append(payload)
        self.count += 1

    def since(self, count: int) -> Sequence[str]:
        """The payloads after the first `count` ones, as far as they are kept."""
        new = self.count - count
        if new == 1:
            return (self.recent[-1],)
        return list(self.recent)[-new:] if new else ()


def channel(name: str, market: Market, unit: int) -> Channel | None:
    """The stream of that name; None when there is no such stream (which the venue doesn't tell its clients)."""
    if name == _ALL:
        return _every_mini_ticker(market, unit)
    found = _NAME.fullmatch(name)
    symbol = found["symbol"] if found else ""
    instrument = market.instruments.get(symbol.upper()) if symbol == symbol.lower() else None
    if found is None or instrument is None:
        return None
    if found["plain"]:
        return _PLAIN[found["plain"]](instrument, market, unit)
    if interval := found["interval"]:
        return _klines(instrument, market, interval, unit) if interval in INTERVALS else None
    period_ns = FAST_NS if found["fast"] else SLOW_NS
    if levels := found["levels"]:
        return _depth(instrument, market, int(levels), period_ns)
    return _depth_updates(instrument, market, unit, period_ns)


def _trades(instrument: Instrument, market: Market, unit: int) -> Channel:
    symbol = instrument.pair.symbol

    def write(it: Channel) -> None:
        for fill in instrument.fills:
            for trade in fill.trades:
                it.put(wire.trade(symbol, trade, market.now_ns, unit))

    return Channel(write, lossless=True)


def _aggregates(instrument: Instrument, market: Market, unit: int) -> Channel:
    symbol = instrument.pair.symbol

    def write(it: Channel) -> None:
        for fill in instrument.fills:
            it.put(wire.aggregate(symbol, fill, market.now_ns, unit))

    return Channel(write, lossless=True)


def _tops(instrument: Instrument, _market: Market, _unit: int) -> Channel:
    symbol = instrument.pair.symbol

    def write(it: Channel) -> None:
        for top in instrument.tops:
            it.put(wire.book_ticker(symbol, top))

    return Channel(write, lossless=True)


def _depth_updates(instrument: Instrument, market: Market, unit: int, period_ns: int) -> Channel:
    changed: dict[tuple[bool, int], None] = {}
    told = instrument.update

    def write(it: Channel) -> None:
        nonlocal told
        changed.update(dict.fromkeys(instrument.changes))
        if changed and market.passed(period_ns):
            it.put(wire.depth_update(instrument, told + 1, changed, market.now_ns // unit))
            told = instrument.update
            changed.clear()

    return Channel(write, lossless=True)


def _depth(instrument: Instrument, market: Market, levels: int, period_ns: int) -> Channel:
    told = 0

    def write(it: Channel) -> None:
        nonlocal told
        if market.passed(period_ns) and instrument.update != told:
            told = instrument.update
            it.put(wire.depth(instrument, levels))

    return Channel(write)


def _klines(instrument: Instrument, market: Market, interval: str, unit: int) -> Channel:
    symbol = instrument.pair.symbol
    period_ns = SLOW_NS if interval == "1s" else KLINE_NS
    told = 0

    def write(it: Channel) -> None:
        nonlocal told
        for ended, candle in instrument.tape.ended:
            if ended == interval:
                it.put(wire.kline(symbol, interval, candle, market.now_ns, unit))
        if market.passed(period_ns) and instrument.traded_at > told:
            told = market.step
            it.put(wire.kline(symbol, interval, instrument.tape.current(interval), market.now_ns, unit))

    return Channel(write)


def _mini_tickers(instrument: Instrument, market: Market, unit: int) -> Channel:
    return _statistics(wire.mini_ticker, instrument, market, unit)


def _tickers(instrument: Instrument, market: Market, unit: int) -> Channel:
    return _statistics(wire.ticker, instrument, market, unit)


def _statistics(
    render: Callable[[Instrument, int, int], str], instrument: Instrument, market: Market, unit: int
) -> Channel:
    told = 0

    def write(it: Channel) -> None:
        nonlocal told
        if market.passed(SLOW_NS) and instrument.traded_at > told:
            told = market.step
            it.put(render(instrument, market.now_ns, unit))

    return Channel(write)


def _every_mini_ticker(market: Market, unit: int) -> Channel:
    told = 0

    def write(it: Channel) -> None:
        nonlocal told
        if not market.passed(SLOW_NS):
            return
        traded = [each for each in market.instruments.values() if each.traded_at > told]
        told = market.step
        if traded:
            it.put(f"[{','.join(wire.mini_ticker(each, market.now_ns, unit) for each in traded)}]")

    return Channel(write)


_PLAIN: dict[str, Callable[[Instrument, Market, int], Channel]] = {
    "trade": _trades,
    "aggTrade": _aggregates,
    "bookTicker": _tops,
    "miniTicker": _mini_tickers,
    "ticker": _tickers,
}
