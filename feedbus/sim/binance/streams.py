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

from feedbus.sim.binance import wire
from feedbus.sim.binance.candles import INTERVALS
from feedbus.sim.binance.market import BinanceMarket, BinancePair

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


class BinanceStream:
    """One stream. `count` is how many payloads there were, `recent` the newest of them."""

    __slots__ = ("__weakref__", "count", "lossless", "recent", "write")

    def __init__(self, write: Callable[[BinanceStream], None], *, lossless: bool = False) -> None:
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


def channel(name: str, market: BinanceMarket, unit: int) -> BinanceStream | None:
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


def _trades(instrument: BinancePair, market: BinanceMarket, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(it: BinanceStream) -> None:
        for fill in instrument.fills:
            for trade in fill.trades:
                it.put(wire.trade(symbol, trade, market.now_ns, unit))

    return BinanceStream(write, lossless=True)


def _aggregates(instrument: BinancePair, market: BinanceMarket, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(it: BinanceStream) -> None:
        for fill in instrument.fills:
            it.put(wire.aggregate(symbol, fill, market.now_ns, unit))

    return BinanceStream(write, lossless=True)


def _tops(instrument: BinancePair, _market: BinanceMarket, _unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(it: BinanceStream) -> None:
        for top in instrument.tops:
            it.put(wire.book_ticker(symbol, top))

    return BinanceStream(write, lossless=True)


def _depth_updates(instrument: BinancePair, market: BinanceMarket, unit: int, period_ns: int) -> BinanceStream:
    changed: dict[tuple[bool, int], None] = {}
    told = instrument.update

    def write(it: BinanceStream) -> None:
        nonlocal told
        changed.update(dict.fromkeys(instrument.changes))
        if changed and market.passed(period_ns):
            it.put(wire.depth_update(instrument, told + 1, changed, market.now_ns // unit))
            told = instrument.update
            changed.clear()

    return BinanceStream(write, lossless=True)


def _depth(instrument: BinancePair, market: BinanceMarket, levels: int, period_ns: int) -> BinanceStream:
    told = 0

    def write(it: BinanceStream) -> None:
        nonlocal told
        if market.passed(period_ns) and instrument.update != told:
            told = instrument.update
            it.put(wire.depth(instrument, levels))

    return BinanceStream(write)


def _klines(instrument: BinancePair, market: BinanceMarket, interval: str, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol
    period_ns = SLOW_NS if interval == "1s" else KLINE_NS
    told = 0

    def write(it: BinanceStream) -> None:
        nonlocal told
        for ended, candle in instrument.tape.ended:
            if ended == interval:
                it.put(wire.kline(symbol, interval, candle, market.now_ns, unit))
        if market.passed(period_ns) and instrument.traded_at > told:
            told = market.step
            it.put(wire.kline(symbol, interval, instrument.tape.current(interval), market.now_ns, unit))

    return BinanceStream(write)


def _mini_tickers(instrument: BinancePair, market: BinanceMarket, unit: int) -> BinanceStream:
    return _statistics(wire.mini_ticker, instrument, market, unit)


def _tickers(instrument: BinancePair, market: BinanceMarket, unit: int) -> BinanceStream:
    return _statistics(wire.ticker, instrument, market, unit)


def _statistics(
    render: Callable[[BinancePair, int, int], str], instrument: BinancePair, market: BinanceMarket, unit: int
) -> BinanceStream:
    told = 0

    def write(it: BinanceStream) -> None:
        nonlocal told
        if market.passed(SLOW_NS) and instrument.traded_at > told:
            told = market.step
            it.put(render(instrument, market.now_ns, unit))

    return BinanceStream(write)


def _every_mini_ticker(market: BinanceMarket, unit: int) -> BinanceStream:
    told = 0

    def write(it: BinanceStream) -> None:
        nonlocal told
        if not market.passed(SLOW_NS):
            return
        traded = [each for each in market.instruments.values() if each.traded_at > told]
        told = market.step
        if traded:
            it.put(f"[{','.join(wire.mini_ticker(each, market.now_ns, unit) for each in traded)}]")

    return BinanceStream(write)


_PLAIN: dict[str, Callable[[BinancePair, BinanceMarket, int], BinanceStream]] = {
    "trade": _trades,
    "aggTrade": _aggregates,
    "bookTicker": _tops,
    "miniTicker": _mini_tickers,
    "ticker": _tickers,
}
