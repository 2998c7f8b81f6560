"""What Binance spot writes in a payload, and how it becomes an event. Pure.

    @trade       {"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
                 "T":1723161255342,"m":true,"M":true}
    @aggTrade    the same with "a" in place of "t", and the first and last trade, "f" and "l"
    @bookTicker  {"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000",
                 "A":"1.54698000"}
    @depth5      {"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}
    @kline_1m    {"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"i":"1m",
                 "o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000","v":"25877.00000000","n":30,
                 "x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}
    @miniTicker  {"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025",
                 "l":"0.0010","v":"10000","q":"18"}
    @ticker      the same and "x" (the last price before the window), "b", "a", "n" (trades) and more

Numbers are texts. A number is what JSON takes for one, in quotes or without: no sign +, no blanks, no `1_0`, no `0x10`;
nan and infinity, values below 0 and absurd ones are refused. The venue writes a price of 0 where there is none (no bid,
no trade in the window): it becomes None. Times are milliseconds since the epoch, or microseconds when the address of
the connection had timeUnit=MICROSECOND: 13 and 16 digits, so that their size tells the unit.

A reader takes one payload and returns its event, or raises one of DECODE_ERRORS and has changed nothing. Which symbol a
payload is about is known from its stream. Where the payload names another one, as `s`, OtherInstrument is raised:
whichever of the two is right, a price may not be published under the wrong symbol.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from feedbus.schema.events import Bar, BookSnapshot, MarketData, Quote, Side, Ticker, Trade
from feedbus.venues.binance.channels import DEPTHS, PERIODS
from feedbus.venues.fields import Amount, OtherInstrument, Price, Whole
from feedbus.venues.protocol import Subscription

VENUE = "binance"
WINDOW_S = 86_400  # seconds; the tickers tell of the last 24 hours
MAX_LEVELS = 20  # the most levels of one side of a book
MILLISECONDS_BELOW = 2**63 // 1_000_000  # the year 2262 in milliseconds, or April 1970 in microseconds

Read = Callable[[bytes | Raw, int], MarketData]
"""(payload, ts_recv) -> event."""

_Time = Annotated[int, Meta(ge=0, lt=2**63 // 1000)]  # so that its nanoseconds fit 64 bits
_Side = Annotated[list[tuple[Price, Amount]], Meta(max_length=MAX_LEVELS)]


# The fields of each are in the order of the wire: msgspec looks for a key from where it found the last one. A payload
# need not say its symbol.


_FILL_KEYS = {"symbol": "s", "price": "p", "size": "q", "time": "T", "sold": "m"}
_BEST_KEYS = {"update": "u", "symbol": "s", "bid": "b", "bid_size": "B", "ask": "a", "ask_size": "A"}


class _Trade(msgspec.Struct, gc=False, kw_only=True, rename={"number": "t", **_FILL_KEYS}):
    symbol: str = ""
    number: Whole
    price: Price
    size: Amount
    time: _Time
    sold: bool  # the buyer was the maker


class _AggTrade(msgspec.Struct, gc=False, kw_only=True, rename={"number": "a", **_FILL_KEYS}):
    symbol: str = ""
    number: Whole
    price: Price
    size: Amount
    time: _Time
    sold: bool


_Fill = _Trade | _AggTrade


class _BookTicker(msgspec.Struct, gc=False, kw_only=True, rename=_BEST_KEYS):
    update: Whole
    symbol: str = ""
    bid: Amount
    bid_size: Amount
    ask: Amount
    ask_size: Amount


class _Named(msgspec.Struct, gc=False, rename={"symbol": "s"}):
    symbol: str = ""


class _Depth(msgspec.Struct, gc=False, rename={"update": "lastUpdateId"}):
    update: Whole
    bids: _Side
    asks: _Side


_KLINE_KEYS = {
    "start": "t", "open": "o", "close": "c", "high": "h", "low": "l", "volume": "v", "trades": "n", "final": "x",
    "turnover": "q", "bought": "V",
}  # fmt: skip
_MINI_KEYS = {
    "time": "E", "symbol": "s", "last": "c", "open": "o", "high": "h", "low": "l", "volume": "v", "turnover": "q",
}  # fmt: skip
_TICKER_KEYS = {**_MINI_KEYS, "previous": "x", "bid": "b", "ask": "a", "trades": "n"}


class _Kline(msgspec.Struct, gc=False, rename=_KLINE_KEYS):
    start: _Time
    open: Amount
    close: Amount
    high: Amount
    low: Amount
    volume: Amount
    trades: Whole
    final: bool
    turnover: Amount
    bought: Amount  # by takers


class _KlineEvent(msgspec.Struct, gc=False, kw_only=True, rename={"time": "E", "symbol": "s", "kline": "k"}):
    time: _Time
    symbol: str = ""
    kline: _Kline


class _MiniTicker(msgspec.Struct, gc=False, kw_only=True, rename=_MINI_KEYS):
    time: _Time
    symbol: str = ""
    last: Amount
    open: Amount
    high: Amount
    low: Amount
    volume: Amount
    turnover: Amount


class _Ticker(msgspec.Struct, gc=False, kw_only=True, rename=_TICKER_KEYS):
    time: _Time
    symbol: str = ""
    previous: Amount
    last: Amount
    bid: Amount
    ask: Amount
    open: Amount
    high: Amount
    low: Amount
    volume: Amount
    turnover: Amount
    trades: Whole


# With strict=False msgspec reads numbers out of texts itself, which takes half the time of calling float() here.
_decode_book_ticker = msgspec.json.Decoder(_BookTicker, strict=False).decode
_decode_symbol = msgspec.json.Decoder(_Named).decode
_decode_depth = msgspec.json.Decoder(_Depth, strict=False).decode
_decode_kline = msgspec.json.Decoder(_KlineEvent, strict=False).decode
_decode_mini_ticker = msgspec.json.Decoder(_MiniTicker, strict=False).decode
_decode_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode


class Revisions:
    """Counts how often each of the last two bars of one symbol and period was published.

    It outlives the connection, so that the count goes on after a reconnect, and so that a bar whose end fell into the
    reconnect is ended by what comes then: the venue doesn't repeat it."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._newest: Bar | None = None
        self._cut_off: Bar | None = None

    def note(self, bar: Bar) -> None:
        """Notes that this bar is published now."""
        before = self._newest
        if before is not None and not before.final and before.start < bar.start:
            self._cut_off = before
        if before is None or before.start <= bar.start:
            self._newest = bar

    def take_cut_off(self) -> Bar | None:
        """Returns the final version of the bar before, of which the venue hasn't sent one, and forgets it. It isn't
        complete, because what was traded after its last version isn't known."""
        bar, self._cut_off = self._cut_off, None
        if bar is None:
            return None
        revision = self._counts.get(bar.start, bar.revision) + 1
        if bar.start in self._counts:
            self._counts[bar.start] = revision
        return msgspec.structs.replace(bar, final=True, complete=False, revision=revision)

    def next(self, start: int) -> int:
        """The revision of the version of a bar that is published now."""
        revision = self._counts.pop(start, -1) + 1
        self._counts[start] = revision
        if len(self._counts) > 2:
            del self._counts[next(iter(self._counts))]
        return revision


AllRevisions = MutableMapping[Subscription, Revisions]


def reader(subscription: Subscription, revisions: AllRevisions) -> Read:
    """Returns the function that turns the payloads of this subscription into events."""
    channel, symbol = subscription.channel, subscription.symbol
    if channel in PERIODS:
        bars = revisions.setdefault(subscription, Revisions())
        return partial(_noted, bars, partial(_bar, symbol, PERIODS[channel], bars))
    if channel in DEPTHS:
        return partial(_book, symbol)
    return partial(_BY_CHANNEL[channel], symbol)


def _noted(bars: Revisions, read: Callable[[bytes | Raw, int], Bar], payload: bytes | Raw, ts_recv: int) -> Bar:
    bar = read(payload, ts_recv)
    bars.note(bar)
    return bar


def mark(subscription: Subscription) -> bytes:
    """Returns what each payload of this subscription holds, as the venue writes it; b"" where it doesn't say its
    symbol."""
    return b"" if subscription.channel in DEPTHS else b'"s":"%b"' % subscription.symbol.encode()


def check_symbol(payload: bytes | Raw, symbol: str) -> None:
    """Raises OtherInstrument for a payload that names another symbol: whichever of the two is right, a price may not be
    published under the wrong one."""
    if (named := _decode_symbol(payload).symbol) not in ("", symbol):
        raise OtherInstrument(named)


def nanoseconds(time: int) -> int:
    """Since the epoch, of a time in milliseconds or microseconds."""
    return time * 1_000_000 if time < MILLISECONDS_BELOW else time * 1000


def _trade(decode: Callable[[bytes | Raw], _Fill], symbol: str, payload: bytes | Raw, ts_recv: int) -> Trade:
    raw = decode(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    time = raw.time
    ts_event = time * 1_000_000 if time < MILLISECONDS_BELOW else time * 1000  # `nanoseconds`, without a call
    side: Side = "sell" if raw.sold else "buy"
    return Trade(VENUE, symbol, ts_event, ts_recv, raw.price, raw.size, side, raw.number)


def _quote(symbol: str, payload: bytes | Raw, ts_recv: int) -> Quote:
    raw = _decode_book_ticker(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    bid, ask = raw.bid, raw.ask
    if bid and ask:
        return Quote(VENUE, symbol, 0, ts_recv, bid, raw.bid_size, ask, raw.ask_size, raw.update)
    bid_size, ask_size = raw.bid_size if bid else None, raw.ask_size if ask else None
    return Quote(VENUE, symbol, 0, ts_recv, bid or None, bid_size, ask or None, ask_size, raw.update)


def _book(symbol: str, payload: bytes | Raw, ts_recv: int) -> BookSnapshot:
    """The venue writes the best level first, but nothing promises that, so the sides are sorted."""
    raw = _decode_depth(payload)
    raw.bids.sort(reverse=True)
    raw.asks.sort()
    return BookSnapshot(VENUE, symbol, 0, ts_recv, raw.bids, raw.asks, raw.update)


def _bar(symbol: str, period: int, revisions: Revisions, payload: bytes | Raw, ts_recv: int) -> Bar:
    raw = _decode_kline(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    kline = raw.kline
    start = nanoseconds(kline.start)
    vwap = kline.turnover / kline.volume if kline.volume else None
    return Bar(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        "venue",
        period,
        start,
        kline.open or None,
        kline.high or None,
        kline.low or None,
        kline.close or None,
        kline.volume,
        kline.turnover,
        kline.trades,
        kline.bought,
        # The venue writes 8 decimals, and a difference of doubles has more of its own.
        sell_volume=max(0.0, round(kline.volume - kline.bought, 8)),
        vwap=vwap if vwap is not None and isfinite(vwap) else None,
        final=kline.final,
        revision=revisions.next(start),
        complete=True,
    )


def _mini_ticker(symbol: str, payload: bytes | Raw, ts_recv: int) -> Ticker:
    raw = _decode_mini_ticker(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    return Ticker(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        last=raw.last or None,
        open=raw.open or None,
        high=raw.high or None,
        low=raw.low or None,
        volume=raw.volume,
        turnover=raw.turnover,
        window_s=WINDOW_S,
    )


def _ticker(symbol: str, payload: bytes | Raw, ts_recv: int) -> Ticker:
    raw = _decode_ticker(payload)
    if raw.symbol != symbol and raw.symbol:
        raise OtherInstrument(raw.symbol)
    return Ticker(
        VENUE,
        symbol,
        nanoseconds(raw.time),
        ts_recv,
        bid=raw.bid or None,
        ask=raw.ask or None,
        last=raw.last or None,
        open=raw.open or None,
        high=raw.high or None,
        low=raw.low or None,
        previous_close=raw.previous or None,
        volume=raw.volume,
        turnover=raw.turnover,
        window_s=WINDOW_S,
        trades=raw.trades,
    )


_BY_CHANNEL: dict[str, Callable[[str, bytes | Raw, int], MarketData]] = {
    "trade": partial(_trade, msgspec.json.Decoder(_Trade, strict=False).decode),
    "aggTrade": partial(_trade, msgspec.json.Decoder(_AggTrade, strict=False).decode),
    "bookTicker": _quote,
    "miniTicker": _mini_ticker,
    "ticker": _ticker,
}
