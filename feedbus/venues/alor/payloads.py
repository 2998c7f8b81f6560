"""What ALOR writes in a frame of data, in the formats Simple and Slim, and which events it becomes. Pure.

    {"data":{"b":[{"p":257.7,"v":157}],"a":[{"p":257.71,"v":288}],"t":1702631123780,"h":false},"guid":"o1"}
    {"data":{"id":9237394357,"sym":"SBER","bd":"TQBR","q":79,"px":267.92,"t":1702969208987,"h":false,"s":"sell"},"guid":"a2"}

The same key means different things on different channels (`h` is "history" in a trade and the day's high in a quote),
and no frame says which channel it is of: the guid does. Times are milliseconds since the epoch, UTC, but for those of
the last price and of bars, which are in seconds. Trades, quotes and instruments say their `symbol`, which may be
"[N/A]"; books and bars don't. What bars and instruments become depends on what came before: bars.py, instruments.py.
Source: ALOR's AsyncAPI 3.1 specification (alor.dev), and frames as the exchange sent them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from feedbus.schema.events import BookSnapshot, MarketData, Quote, Side, Ticker, Trade
from feedbus.venues.fields import Amount, Milliseconds, Price, PriceBelowZero, Size, Whole

VENUE = "alor"
MAX_LEVELS = 1000  # a side; the venue gives 50

Body = TypeVar("Body")
L = TypeVar("L")  # a level
P = TypeVar("P")  # a price
S = TypeVar("S")  # a size
_Seconds = Annotated[int, Meta(ge=0, lt=2**63 // 1_000_000_000)]  # so that its nanoseconds fit 64 bits

_Word = Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]

_FRACTION = re.compile(r"\.(\d{3})(\d{1,6})Z?\Z", re.ASCII)  # of a second: milliseconds, then the digits beyond


class AlorFrame(msgspec.Struct, Generic[Body], gc=False):
    """A frame of data of a known channel and format."""

    data: Body
    guid: str


UNNAMED = "[N/A]"
"""What the venue writes where it doesn't say the symbol."""
NO_DATA = msgspec.Raw()


class Envelope(msgspec.Struct, gc=False):
    """Any frame: data, whose `guid` tells the subscription, or the answer to the request with the guid `about`."""

    data: msgspec.Raw = NO_DATA
    guid: str | int | None = None
    about: str | int | None = field(name="requestGuid", default=None)
    code: Annotated[int, Meta(ge=0, lt=10_000)] | None = field(name="httpCode", default=None)
    message: msgspec.Raw = NO_DATA


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_text = msgspec.json.Decoder(str).decode


class _SimpleLevel(msgspec.Struct, Generic[P, S], gc=False):
    price: P
    size: S = field(name="volume")


class _SlimLevel(msgspec.Struct, Generic[P, S], gc=False):
    price: P = field(name="p")
    size: S = field(name="v")


class SimpleBook(msgspec.Struct, Generic[L], gc=False):
    """A whole book."""

    bids: Annotated[list[L], Meta(max_length=MAX_LEVELS)]
    asks: Annotated[list[L], Meta(max_length=MAX_LEVELS)]
    ms: Milliseconds = field(name="ms_timestamp", default=0)


class SlimBook(msgspec.Struct, Generic[L], gc=False):
    """A whole book; levels of bonds have a yield `y` besides."""

    bids: Annotated[list[L], Meta(max_length=MAX_LEVELS)] = field(name="b")
    asks: Annotated[list[L], Meta(max_length=MAX_LEVELS)] = field(name="a")
    ms: Milliseconds = field(name="t", default=0)


class SimpleTrade(msgspec.Struct, Generic[P], gc=False):
    """One trade. `time` has seven digits of a second, with Z or without."""

    id: Whole
    price: P
    size: Amount = field(name="qty")
    side: Side | None = None
    ms: Milliseconds = field(name="timestamp", default=0)
    time: str = ""
    existing: bool = False
    symbol: str | None = None


class SlimTrade(msgspec.Struct, Generic[P], gc=False):
    """One trade."""

    id: Whole
    price: P = field(name="px")
    size: Amount = field(name="q")
    side: Side | None = field(name="s", default=None)
    ms: Milliseconds = field(name="t", default=0)
    existing: bool = field(name="h", default=False)
    symbol: str | None = field(name="sym", default=None)


class SimpleQuotes(msgspec.Struct, Generic[P, S], gc=False):
    """The best prices and the day's statistics; any of them may be null."""

    symbol: str | None
    bid: P | None = None
    ask: P | None = None
    bid_size: S | None = field(name="bid_vol", default=None)
    ask_size: S | None = field(name="ask_vol", default=None)
    last: P | None = field(name="last_price", default=None)
    open: P | None = field(name="open_price", default=None)
    high: P | None = field(name="high_price", default=None)
    low: P | None = field(name="low_price", default=None)
    previous_close: P | None = field(name="prev_close_price", default=None)
    volume: S | None = None
    last_s: _Seconds | None = field(name="last_price_timestamp", default=None)
    book_ms: Milliseconds | None = field(name="ob_ms_timestamp", default=None)


class SlimQuotes(msgspec.Struct, Generic[P, S], gc=False):
    """The best prices and the day's statistics, without the previous close."""

    symbol: str | None = field(name="sym")
    bid: P | None = None
    ask: P | None = None
    bid_size: S | None = field(name="bv", default=None)
    ask_size: S | None = field(name="av", default=None)
    last: P | None = field(name="c", default=None)
    open: P | None = field(name="o", default=None)
    high: P | None = field(name="h", default=None)
    low: P | None = field(name="l", default=None)
    volume: S | None = field(name="v", default=None)
    last_s: _Seconds | None = field(name="tst", default=None)
    book_ms: Milliseconds | None = field(name="tso", default=None)

    @property
    def previous_close(self) -> None:
        """The format Slim doesn't have it."""


class SimpleBar(msgspec.Struct, Generic[P, S], gc=False):
    """One bar: its start, prices and volume. Nothing says whether it is over."""

    time: _Seconds
    open: P | None = None
    high: P | None = None
    low: P | None = None
    close: P | None = None
    volume: S | None = None


class SlimBar(msgspec.Struct, Generic[P, S], gc=False):
    """One bar: its start, prices and volume."""

    time: _Seconds = field(name="t")
    open: P | None = field(name="o", default=None)
    high: P | None = field(name="h", default=None)
    low: P | None = field(name="l", default=None)
    close: P | None = field(name="c", default=None)
    volume: S | None = field(name="v", default=None)


class SimpleInstrument(msgspec.Struct, gc=False):
    """What is said of an instrument: all of it at first, and later what has changed. Its price limits, margins and
    theoretical prices aren't read."""

    symbol: str | None = None
    board: _Word | UnsetType | None = UNSET
    status: _Word | Whole | UnsetType | None = field(name="tradingStatus", default=UNSET)


class SlimInstrument(msgspec.Struct, gc=False):
    """What is said of an instrument."""

    symbol: str | None = field(name="sym", default=None)
    board: _Word | UnsetType | None = field(name="bd", default=UNSET)
    status: _Word | Whole | UnsetType | None = field(name="st", default=UNSET)


Format = Literal["Simple", "Slim"]
DecodeFrame = Callable[[bytes | bytearray], AlorFrame[Any]]
MakeEvents = Callable[[Any, str, int], Sequence[MarketData]]

DECODERS: dict[tuple[str, Format], DecodeFrame] = {
    ("orderbook", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleBook[_SimpleLevel[Price, Size]]]).decode,
    ("orderbook", "Slim"): msgspec.json.Decoder(AlorFrame[SlimBook[_SlimLevel[Price, Size]]]).decode,
    ("alltrades", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleTrade[Price]]).decode,
    ("alltrades", "Slim"): msgspec.json.Decoder(AlorFrame[SlimTrade[Price]]).decode,
    ("quotes", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleQuotes[Price, Amount]]).decode,
    ("quotes", "Slim"): msgspec.json.Decoder(AlorFrame[SlimQuotes[Price, Amount]]).decode,
    ("bars", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleBar[Price, Amount]]).decode,
    ("bars", "Slim"): msgspec.json.Decoder(AlorFrame[SlimBar[Price, Amount]]).decode,
    ("instruments", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleInstrument]).decode,
    ("instruments", "Slim"): msgspec.json.Decoder(AlorFrame[SlimInstrument]).decode,
}
"""By what is subscribed, and format. They refuse a frame with any number out of bounds, and with a price below 0, which
is rare."""

_Number = float | None
LOOSE_DECODERS: dict[tuple[str, Format], DecodeFrame] = {
    ("orderbook", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleBook[_SimpleLevel[_Number, _Number]]]).decode,
    ("orderbook", "Slim"): msgspec.json.Decoder(AlorFrame[SlimBook[_SlimLevel[_Number, _Number]]]).decode,
    ("alltrades", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleTrade[PriceBelowZero]]).decode,
    ("alltrades", "Slim"): msgspec.json.Decoder(AlorFrame[SlimTrade[PriceBelowZero]]).decode,
    ("quotes", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleQuotes[float, float]]).decode,
    ("quotes", "Slim"): msgspec.json.Decoder(AlorFrame[SlimQuotes[float, float]]).decode,
    ("bars", "Simple"): msgspec.json.Decoder(AlorFrame[SimpleBar[float, float]]).decode,
    ("bars", "Slim"): msgspec.json.Decoder(AlorFrame[SlimBar[float, float]]).decode,
    ("instruments", "Simple"): DECODERS["instruments", "Simple"],
    ("instruments", "Slim"): DECODERS["instruments", "Slim"],
}
"""For the frames that those above refuse. Problems.clean has to leave out of them what is out of bounds."""


def book_events(depth: int, body: SimpleBook[Any] | SlimBook[Any], symbol: str, ts_recv: int) -> Sequence[MarketData]:
    """Returns the book. The venue writes the best level first, but nothing promises that, so the sides are sorted. A
    side with fewer levels than the `depth` that was asked for is whole."""
    bids = [(level.price, level.size) for level in body.bids]
    asks = [(level.price, level.size) for level in body.asks]
    bids.sort(reverse=True)
    asks.sort()
    time = body.ms * 1_000_000
    return (BookSnapshot(VENUE, symbol, time, ts_recv, bids, asks, None, len(bids) < depth, len(asks) < depth),)


def trade_events(body: SimpleTrade[float] | SlimTrade[float], symbol: str, ts_recv: int) -> Sequence[MarketData]:
    """Returns the trade, unless it is one of the past (`existing`): subscribers would take that for a new one."""
    if body.existing:
        return ()
    ts_event = body.ms * 1_000_000
    if type(body) is SimpleTrade:
        ts_event += _beyond_ms(body.time, body.ms)
    return (Trade(VENUE, symbol, ts_event, ts_recv, body.price, body.size, body.side, body.id),)


def quote_events(
    body: SimpleQuotes[float, float] | SlimQuotes[float, float], symbol: str, ts_recv: int
) -> Sequence[MarketData]:
    """Returns the best prices with their sizes, and the statistics of the day.

    Where there is no bid, its size is no size of anything, and so for the ask. The quote has the time of the book that
    the frame gives. The ticker has this time or that of the last price,
    whichever is later. Without the time of the book both have none (0), since the last price may be hours old.
    """
    book_ts = (body.book_ms or 0) * 1_000_000
    last_ts = (body.last_s or 0) * 1_000_000_000
    bid_size = None if body.bid is None else body.bid_size
    ask_size = None if body.ask is None else body.ask_size
    quote = Quote(VENUE, symbol, book_ts, ts_recv, body.bid, bid_size, body.ask, ask_size, None)
    ticker = Ticker(
        VENUE,
        symbol,
        max(book_ts, last_ts) if book_ts else 0,
        ts_recv,
        bid=body.bid,
        ask=body.ask,
        last=body.last,
        open=body.open,
        high=body.high,
        low=body.low,
        previous_close=body.previous_close,
        volume=body.volume,
    )
    return (quote, ticker)


def _beyond_ms(time: str, ms: int) -> int:
    """Returns the nanoseconds in `time` below a millisecond. They are 0 when the milliseconds of `time` and `ms`
    differ."""
    found = _FRACTION.search(time[-12:])
    if found is None or int(found[1]) != ms % 1000:
        return 0
    return int(found[2].ljust(6, "0"))
