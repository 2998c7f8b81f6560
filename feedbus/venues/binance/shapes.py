"""The fields of Binance's payloads, as far as they are read; payloads.py shows whole ones. Types alone. Pure.

The fields of each are in the order of the wire: msgspec looks for a key from where it found the last one. A payload
need not say its symbol.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from feedbus.venues.fields import Amount, Price, Whole

MAX_LEVELS = 20  # the most levels of one side of a book

EpochTime = Annotated[int, Meta(ge=0, lt=2**63 // 1000)]
"""Milliseconds or microseconds, whose nanoseconds fit 64 bits."""
TradeNumber = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
P = TypeVar("P")  # a price, or 0 for none
S = TypeVar("S")  # a size
L = TypeVar("L")  # a level


_FILL_KEYS = {"symbol": "s", "price": "p", "size": "q", "time": "T", "sold": "m"}
_AGGREGATE_KEYS = {"number": "a", **_FILL_KEYS, "first": "f", "last": "l"}
_BEST_KEYS = {"update": "u", "symbol": "s", "bid": "b", "bid_size": "B", "ask": "a", "ask_size": "A"}


class TradePayload(msgspec.Struct, gc=False, kw_only=True, rename={"number": "t", **_FILL_KEYS}):
    """`@trade`."""

    symbol: str = ""
    number: Whole
    price: Price
    size: Amount
    time: EpochTime
    sold: bool  # the buyer was the maker


class AggTradePayload(msgspec.Struct, gc=False, kw_only=True, rename=_AGGREGATE_KEYS):
    """`@aggTrade`. `first` and `last` are the ids of trades, -1 where they aren't said."""

    symbol: str = ""
    number: Whole
    price: Price
    size: Amount
    first: TradeNumber = -1
    last: TradeNumber = -1
    time: EpochTime
    sold: bool


class BookTickerPayload(msgspec.Struct, Generic[P, S], gc=False, kw_only=True, rename=_BEST_KEYS):
    """`@bookTicker`."""

    update: Whole
    symbol: str = ""
    bid: P
    bid_size: S
    ask: P
    ask_size: S


class DepthPayload(msgspec.Struct, Generic[L], gc=False, rename={"update": "lastUpdateId"}):
    """`@depth5` and its like."""

    update: Whole
    bids: Annotated[list[L], Meta(max_length=MAX_LEVELS)]
    asks: Annotated[list[L], Meta(max_length=MAX_LEVELS)]


_KLINE_KEYS = {
    "start": "t", "open": "o", "close": "c", "high": "h", "low": "l", "volume": "v", "trades": "n", "final": "x",
    "turnover": "q", "buy_volume": "V",
}  # fmt: skip
_MINI_KEYS = {
    "time": "E", "symbol": "s", "last": "c", "open": "o", "high": "h", "low": "l", "volume": "v", "turnover": "q",
}  # fmt: skip
_ROLLING_KEYS = {**_MINI_KEYS, "trades": "n"}
_AVERAGE_KEYS = {"time": "E", "symbol": "s", "interval": "i", "average": "w"}
_TICKER_KEYS = {**_MINI_KEYS, "previous_close": "x", "bid": "b", "ask": "a", "trades": "n"}


class KlinePayload(msgspec.Struct, Generic[P, S], gc=False, rename=_KLINE_KEYS):
    """The bar in a KlineEventPayload."""

    start: EpochTime
    open: P
    close: P
    high: P
    low: P
    volume: S
    trades: Whole
    final: bool
    turnover: S
    buy_volume: S  # by takers


class KlineEventPayload(
    msgspec.Struct, Generic[P, S], gc=False, kw_only=True, rename={"time": "E", "symbol": "s", "kline": "k"}
):
    """`@kline_1m` and its like."""

    time: EpochTime
    symbol: str = ""
    kline: KlinePayload[P, S]


class RollingTickerPayload(msgspec.Struct, Generic[P, S], gc=False, kw_only=True, rename=_ROLLING_KEYS):
    """`@ticker_1h` and its like."""

    time: EpochTime
    symbol: str = ""
    open: P
    high: P
    low: P
    last: P
    volume: S
    turnover: S
    trades: Whole


class AveragePricePayload(msgspec.Struct, gc=False, kw_only=True, rename=_AVERAGE_KEYS):
    """`@avgPrice`."""

    time: EpochTime
    symbol: str = ""
    interval: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}[smhd]\Z")]
    average: Amount


class MiniTickerPayload(msgspec.Struct, Generic[P, S], gc=False, kw_only=True, rename=_MINI_KEYS):
    """`@miniTicker`."""

    time: EpochTime
    symbol: str = ""
    last: P
    open: P
    high: P
    low: P
    volume: S
    turnover: S


class TickerPayload(msgspec.Struct, Generic[P, S], gc=False, kw_only=True, rename=_TICKER_KEYS):
    """`@ticker`."""

    time: EpochTime
    symbol: str = ""
    previous_close: P
    last: P
    bid: P
    ask: P
    open: P
    high: P
    low: P
    volume: S
    turnover: S
    trades: Whole
