"""The payloads of the simulated Binance, with the venue's keys, their order and its number formats. Pure.

`unit` is how many ns a time on the wire counts: 1_000_000 (the default) or 1000. Prices and quantities are written as
strings with eight decimals. Source: binance-spot-api-docs, web-socket-streams.md and rest-api.md, and captured frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from feedbus.sim.binance.candles import BinanceCandle, BinanceTrade
from feedbus.sim.binance.catalogue import SCALE
from feedbus.sim.binance.market import BinanceBookSide, BinanceFill, BinanceInstrument, Top

MILLISECOND, MICROSECOND = 1_000_000, 1_000
DAY_NS = 86_400_000_000_000
_BOOL = ("false", "true")


def number(scaled: int) -> str:
    """A whole number of 10^-8 with eight decimals."""
    whole, fraction = divmod(scaled, SCALE)
    return f"{whole}.{fraction:08d}"


def signed(scaled: int) -> str:
    """The same, of a number that may be below 0."""
    return number(scaled) if scaled >= 0 else f"-{number(-scaled)}"


def money(scaled: int) -> str:
    """A whole number of 10^-16, truncated to eight decimals."""
    return number(scaled // SCALE)


def percent(before: int, after: int) -> str:
    """By how much of itself a price has changed."""
    return f"{(after - before) * 100 / before:.3f}"


def trade(symbol: str, what: BinanceTrade, now_ns: int, unit: int) -> str:
    """The payload of `@trade`."""
    return (
        f'{{"e":"trade","E":{now_ns // unit},"s":"{symbol}","t":{what.id},"p":"{number(what.price)}",'
        f'"q":"{number(what.quantity)}","T":{what.time_ns // unit},"m":{_BOOL[what.maker]},"M":true}}'
    )


def aggregate(symbol: str, fill: BinanceFill, now_ns: int, unit: int) -> str:
    """The payload of `@aggTrade`."""
    first, last = fill.trades[0], fill.trades[-1]
    quantity = sum(each.quantity for each in fill.trades)
    return (
        f'{{"e":"aggTrade","E":{now_ns // unit},"s":"{symbol}","a":{fill.id},"p":"{number(first.price)}",'
        f'"q":"{number(quantity)}","f":{first.id},"l":{last.id},"T":{first.time_ns // unit},'
        f'"m":{_BOOL[first.maker]},"M":true}}'
    )


def book_ticker(symbol: str, top: Top) -> str:
    """The payload of `@bookTicker`, which has no time."""
    return (
        f'{{"u":{top.update},"s":"{symbol}","b":"{number(top.bid)}","B":"{number(top.bid_size)}",'
        f'"a":"{number(top.ask)}","A":"{number(top.ask_size)}"}}'
    )


class Book(Protocol):
    """A book with the update id of its last change."""

    @property
    def update(self) -> int: ...

    @property
    def bids(self) -> BinanceBookSide: ...

    @property
    def asks(self) -> BinanceBookSide: ...


def depth(book: Book, levels: int) -> str:
    """The payload of `@depth5`, `@depth10` and `@depth20`, and the snapshot over REST. It has no symbol and no time."""
    bids, asks = _side(book.bids, levels), _side(book.asks, levels)
    return f'{{"lastUpdateId":{book.update},"bids":{bids},"asks":{asks}}}'


def depth_update(instrument: BinanceInstrument, first: int, changed: Iterable[tuple[bool, int]], when: int) -> str:
    """The payload of `@depth`: the present size of each level that changed since the update `first`. `when` is in the
    wire's unit."""
    bids: list[int] = []
    asks: list[int] = []
    for is_bid, price in changed:
        (bids if is_bid else asks).append(price)
    bids.sort(reverse=True)
    asks.sort()
    return (
        f'{{"e":"depthUpdate","E":{when},"s":"{instrument.pair.symbol}","U":{first},"u":{instrument.update},'
        f'"b":{_levels(bids, [instrument.bids.size_at(price) for price in bids])},'
        f'"a":{_levels(asks, [instrument.asks.size_at(price) for price in asks])}}}'
    )


def kline(symbol: str, interval: str, candle: BinanceCandle, now_ns: int, unit: int) -> str:
    """The payload of `@kline_<interval>`. The candle is closed (`x`) from its end on."""
    return (
        f'{{"e":"kline","E":{now_ns // unit},"s":"{symbol}","k":{{"t":{candle.start // unit},'
        f'"T":{candle.end // unit - 1},"s":"{symbol}","i":"{interval}","f":{candle.first},"L":{candle.last},'
        f'"o":"{number(candle.open)}","c":"{number(candle.close)}","h":"{number(candle.high)}",'
        f'"l":"{number(candle.low)}","v":"{number(candle.volume)}","n":{candle.trades},'
        f'"x":{_BOOL[now_ns >= candle.end]},"q":"{money(candle.turnover)}","V":"{number(candle.bought)}",'
        f'"Q":"{money(candle.bought_turnover)}","B":"0"}}}}'
    )


def mini_ticker(instrument: BinanceInstrument, now_ns: int, unit: int) -> str:
    """The payload of `@miniTicker`."""
    day = instrument.day
    return (
        f'{{"e":"24hrMiniTicker","E":{now_ns // unit},"s":"{instrument.pair.symbol}","c":"{number(day.close)}",'
        f'"o":"{number(day.open)}","h":"{number(day.high)}","l":"{number(day.low)}","v":"{number(day.volume)}",'
        f'"q":"{money(day.turnover)}"}}'
    )


def ticker(instrument: BinanceInstrument, now_ns: int, unit: int) -> str:
    """The payload of `@ticker`."""
    day, top = instrument.day, instrument.top()
    return (
        f'{{"e":"24hrTicker","E":{now_ns // unit},"s":"{instrument.pair.symbol}","p":"{signed(day.close - day.open)}",'
        f'"P":"{percent(day.open, day.close)}","w":"{number(day.turnover // day.volume)}",'
        f'"x":"{number(day.previous)}","c":"{number(day.close)}","Q":"{number(day.quantity)}",'
        f'"b":"{number(top.bid)}","B":"{number(top.bid_size)}","a":"{number(top.ask)}","A":"{number(top.ask_size)}",'
        f'"o":"{number(day.open)}","h":"{number(day.high)}","l":"{number(day.low)}","v":"{number(day.volume)}",'
        f'"q":"{money(day.turnover)}","O":{(now_ns - DAY_NS) // unit},"C":{now_ns // unit},"F":{day.first},'
        f'"L":{day.last},"n":{day.last - day.first + 1}}}'
    )


def rolling_ticker(symbol: str, window: str, what: BinanceCandle, unit: int) -> str:
    """The payload of `@ticker_1h`, `@ticker_4h` and `@ticker_1d`, of a window with trades."""
    return (
        f'{{"e":"{window}Ticker","E":{what.end // unit},"s":"{symbol}","p":"{signed(what.close - what.open)}",'
        f'"P":"{percent(what.open, what.close)}","o":"{number(what.open)}","h":"{number(what.high)}",'
        f'"l":"{number(what.low)}","c":"{number(what.close)}","w":"{number(what.turnover // what.volume)}",'
        f'"v":"{number(what.volume)}","q":"{money(what.turnover)}","O":{what.start // unit},"C":{what.end // unit},'
        f'"F":{what.first},"L":{what.last},"n":{what.trades}}}'
    )


def average_price(symbol: str, what: BinanceCandle, traded_ns: int, unit: int) -> str:
    """The payload of `@avgPrice`, of a window with trades. `traded_ns` is the time of the last one."""
    return (
        f'{{"e":"avgPrice","E":{what.end // unit},"s":"{symbol}","i":"5m",'
        f'"w":"{number(what.turnover // what.volume)}","T":{traded_ns // unit}}}'
    )


def shutdown(now_ns: int, unit: int) -> str:
    """The payload of `serverShutdown`: the connection will be closed, at a time that the venue doesn't promise."""
    return f'{{"e":"serverShutdown","E":{now_ns // unit}}}'


def _side(side: BinanceBookSide, levels: int) -> str:
    return _levels(side.prices[:levels], side.sizes[:levels])


def _levels(prices: Sequence[int], sizes: Sequence[int]) -> str:
    rows = (f'["{number(price)}","{number(size)}"]' for price, size in zip(prices, sizes, strict=True))
    return f"[{','.join(rows)}]"
