"""The streams of the simulated Binance: what each stream's name means, and what is sent on it. Pure.

A BinanceStream is one stream in one unit of time. It writes each payload once, however many connections are subscribed,
and keeps the newest payloads for connections that are slow. Streams with a period (100 ms, 1 s, 2 s) are written at its
multiples by the market's clock. `@depth`, `@trade`, `@aggTrade` and `@bookTicker` are lossless: a client needs every
payload. Of the other streams only the newest payload matters.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from feedbus.sim.binance import wire
from feedbus.sim.binance.candles import EASTERN, INTERVALS
from feedbus.sim.binance.market import BinanceInstrument, BinanceMarket
from feedbus.sim.binance.windows import AVERAGE_NS, WINDOWS

MS = 1_000_000
FAST_NS, SLOW_NS, KLINE_NS = 100 * MS, 1000 * MS, 2000 * MS
EVENTS, STATES = 1024, 32
"""How many payloads are kept for slow connections: of lossless streams, and of the others."""

_NAME = re.compile(
    r"(?P<symbol>[^@!]+)@"
    r"(?:(?P<plain>trade|aggTrade|bookTicker|miniTicker|ticker|ticker_1h|ticker_4h|ticker_1d|avgPrice)"
    r"|kline_(?P<interval>\w+)(?P<east>@\+08:00)?"
    r"|depth(?P<levels>5|10|20)?(?P<fast>@100ms)?)"
)


Render = Callable[[BinanceInstrument, int, int], str]
"""(pair, the market's time in ns, the unit of time) -> payload."""


class BinanceStream:
    """One stream. `count` is how many payloads it has had, `recent` are the newest of them."""

    __slots__ = ("__weakref__", "count", "lossless", "recent", "spoil", "write")

    def __init__(self, write: Callable[[BinanceStream], None], *, lossless: bool = False) -> None:
        self.write = write
        """Puts the payloads that the market's newest step brings."""
        self.lossless = lossless
        self.spoil: Callable[[str], Sequence[str]] | None = None
        """What is sent in place of a payload, where a fault may be armed."""
        self.count = 0
        self.recent: deque[str] = deque(maxlen=EVENTS if lossless else STATES)

    def put(self, payload: str) -> None:
        if self.spoil is None:
            self.recent.append(payload)
            self.count += 1
            return
        payloads = self.spoil(payload)
        self.recent.extend(payloads)
        self.count += len(payloads)

    def since(self, count: int) -> Sequence[str]:
        """The payloads after the first `count`, as far as they are kept."""
        new = self.count - count
        if new == 1:
            return (self.recent[-1],)
        return list(self.recent)[-new:] if new else ()


def stream_named(name: str, market: BinanceMarket, unit: int) -> BinanceStream | None:
    """A new stream of this name; None when the venue has no such stream. `unit` is the ns that a time on the wire
    counts."""
    if name in _OF_ALL:
        return _of_all(_OF_ALL[name], market, unit)
    found = _NAME.fullmatch(name)
    symbol = found["symbol"] if found else ""
    instrument = market.instruments.get(symbol.upper()) if symbol == symbol.lower() else None
    if found is None or instrument is None:
        return None
    if found["plain"]:
        return _PLAIN[found["plain"]](instrument, market, unit)
    if interval := found["interval"]:
        return _klines(instrument, market, interval, found["east"] or "", unit) if interval in INTERVALS else None
    period_ns = FAST_NS if found["fast"] else SLOW_NS
    if levels := found["levels"]:
        return _partial_depth(instrument, market, int(levels), period_ns)
    return _depth_updates(instrument, market, unit, period_ns)


def _trades(instrument: BinanceInstrument, market: BinanceMarket, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(stream: BinanceStream) -> None:
        for fill in instrument.fills:
            for trade in fill.trades:
                stream.put(wire.trade(symbol, trade, market.now_ns, unit))

    return BinanceStream(write, lossless=True)


def _aggregate_trades(instrument: BinanceInstrument, market: BinanceMarket, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(stream: BinanceStream) -> None:
        for fill in instrument.fills:
            stream.put(wire.aggregate(symbol, fill, market.now_ns, unit))

    return BinanceStream(write, lossless=True)


def _book_tickers(instrument: BinanceInstrument, _market: BinanceMarket, _unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol

    def write(stream: BinanceStream) -> None:
        for top in instrument.tops:
            stream.put(wire.book_ticker(symbol, top))

    return BinanceStream(write, lossless=True)


def _depth_updates(instrument: BinanceInstrument, market: BinanceMarket, unit: int, period_ns: int) -> BinanceStream:
    changed: dict[tuple[bool, int], None] = {}
    sent_update = instrument.update

    def write(stream: BinanceStream) -> None:
        nonlocal sent_update
        changed.update(dict.fromkeys(instrument.changes))
        if instrument.update < sent_update:  # the ids began anew
            sent_update = instrument.update - len(instrument.changes)
        if changed and market.passed(period_ns):
            stream.put(wire.depth_update(instrument, sent_update + 1, changed, market.now_ns // unit))
            sent_update = instrument.update
            changed.clear()

    return BinanceStream(write, lossless=True)


def _partial_depth(instrument: BinanceInstrument, market: BinanceMarket, levels: int, period_ns: int) -> BinanceStream:
    sent_update = 0

    def write(stream: BinanceStream) -> None:
        nonlocal sent_update
        if market.passed(period_ns) and instrument.update != sent_update:
            sent_update = instrument.update
            stream.put(wire.depth(instrument, levels))

    return BinanceStream(write)


def _klines(instrument: BinanceInstrument, market: BinanceMarket, interval: str, east: str, unit: int) -> BinanceStream:
    symbol = instrument.pair.symbol
    period_ns = SLOW_NS if interval == "1s" else KLINE_NS
    kept = interval + east if interval + east in EASTERN else interval
    sent_at = 0

    def write(stream: BinanceStream) -> None:
        nonlocal sent_at
        for ended, candle in instrument.candle_builder.ended:
            if ended == kept:
                stream.put(wire.kline(symbol, interval, candle, market.now_ns, unit))
        if market.passed(period_ns) and instrument.traded_at > sent_at:
            sent_at = market.step
            stream.put(wire.kline(symbol, interval, instrument.candle_builder.current(kept), market.now_ns, unit))

    return BinanceStream(write)


def _statistics(render: Render, instrument: BinanceInstrument, market: BinanceMarket, unit: int) -> BinanceStream:
    sent_at = 0

    def write(stream: BinanceStream) -> None:
        nonlocal sent_at
        if market.passed(SLOW_NS) and instrument.traded_at > sent_at:
            sent_at = market.step
            stream.put(render(instrument, market.now_ns, unit))

    return BinanceStream(write)


def _of_all(render: Render, market: BinanceMarket, unit: int) -> BinanceStream:
    """What is said of all pairs that have traded."""
    sent_at = 0

    def write(stream: BinanceStream) -> None:
        nonlocal sent_at
        if not market.passed(SLOW_NS):
            return
        traded = [each for each in market.instruments.values() if each.traded_at > sent_at]
        sent_at = market.step
        if traded:
            stream.put(f"[{','.join(render(each, market.now_ns, unit) for each in traded)}]")

    return BinanceStream(write)


def _rolling(window: str) -> Render:
    def render(instrument: BinanceInstrument, now_ns: int, unit: int) -> str:
        summed = instrument.windows.window(WINDOWS[window], instrument.candle_builder, now_ns)
        return wire.rolling_ticker(instrument.pair.symbol, window, summed, unit)

    return render


def _average_price(instrument: BinanceInstrument, now_ns: int, unit: int) -> str:
    summed = instrument.windows.window(AVERAGE_NS, instrument.candle_builder, now_ns)
    return wire.average_price(instrument.pair.symbol, summed, instrument.traded_ns, unit)


_PLAIN: dict[str, Callable[[BinanceInstrument, BinanceMarket, int], BinanceStream]] = {
    "trade": _trades,
    "aggTrade": _aggregate_trades,
    "bookTicker": _book_tickers,
    "miniTicker": partial(_statistics, wire.mini_ticker),
    "ticker": partial(_statistics, wire.ticker),
    **{f"ticker_{window}": partial(_statistics, _rolling(window)) for window in WINDOWS},
    "avgPrice": partial(_statistics, _average_price),
}
STREAMS = frozenset((
    *_PLAIN,
    *(f"kline_{interval}" for interval in INTERVALS),
    *(f"kline_{interval}" for interval in EASTERN),
    *(f"depth{levels}{speed}" for levels in ("", 5, 10, 20) for speed in ("", "@100ms")),
))  # fmt: skip
"""The names of the streams of a pair, without the pair."""
_OF_ALL: dict[str, Render] = {
    "!miniTicker@arr": wire.mini_ticker,
    **{f"!ticker_{window}@arr": _rolling(window) for window in WINDOWS},
}
