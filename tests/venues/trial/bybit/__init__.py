"""Bybit v5 public streams, spot and linear: JSON over WebSocket at wss://stream.bybit.com/v5/public/linear. Pure.

| channel      | kinds published | what the venue sends                                              |
|--------------|-----------------|-------------------------------------------------------------------|
| publicTrade  | trade           | every trade, up to 1024 in a message; `side` is the taker's       |
| tickers      | ticker          | a snapshot, then the changed fields (linear), or snapshots (spot) |
| orderbook.50 | book, delta     | 50 + 50 levels: a snapshot, then deltas numbered without a hole   |

Units: sizes are base units, times are milliseconds. Source: https://github.com/bybit-exchange/docs (v5/websocket).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from feedbus.errors import BadData
from feedbus.schema.events import BookDelta, BookSnapshot, MarketData, Side, Ticker, Trade
from feedbus.text import one_line
from feedbus.venues.fields import DECODE_ERRORS, Amount, Milliseconds, Price, Whole
from feedbus.venues.protocol import Effect, OpenAccount, Send, Skipped, Subscription, check_credentials, chosen_channels
from feedbus.venues.sessions import OutOfStep, SubscribingSession
from feedbus.venues.subscriptions import Request, RequestPace, Subscriptions, TrackedSubscription

CHANNELS = ("publicTrade", "tickers", "orderbook.50")
PACE = RequestPace(requests=1, every=0.1, subscriptions=10)  # spot takes 10 topics in a request
PING_EVERY = 20.0
ROW = ("last", "high", "low", "previous_close", "volume", "turnover")
WIRE_ROW = ("lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h", "volume24h", "turnover24h")
SIDES: dict[str, Side] = {"Buy": "buy", "Sell": "sell"}
SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{0,39}")

Levels = Annotated[list[tuple[Price, Amount]], Meta(max_length=1000)]


class BybitTrade(msgspec.Struct, rename={"ms": "T", "side": "S", "size": "v", "price": "p", "id": "i"}):
    ms: Milliseconds
    side: Literal["Buy", "Sell"]
    size: Amount
    price: Price
    id: str


class BybitBook(msgspec.Struct, rename={"bids": "b", "asks": "a", "number": "u"}):
    bids: Levels
    asks: Levels
    number: Whole


class BybitTicker(msgspec.Struct, rename=dict(zip(ROW, WIRE_ROW, strict=True))):
    last: Price | None = None
    high: Price | None = None
    low: Price | None = None
    previous_close: Price | None = None
    volume: Amount | None = None
    turnover: Amount | None = None


class BybitEnvelope(msgspec.Struct):
    topic: str = ""
    type: str = ""
    ts: Milliseconds = 0
    data: msgspec.Raw = msgspec.Raw()
    op: str = ""
    success: bool = False
    ret_msg: str = ""
    req_id: str = ""


decode_envelope = msgspec.json.Decoder(BybitEnvelope).decode
decode_trades = msgspec.json.Decoder(Annotated[list[BybitTrade], Meta(max_length=1024)], strict=False).decode
decode_book = msgspec.json.Decoder(BybitBook, strict=False).decode
decode_ticker = msgspec.json.Decoder(BybitTicker, strict=False).decode


class BybitSubscription(TrackedSubscription):
    __slots__ = ("number", "row")
    number: int | None  # of the newest book or delta
    row: BybitTicker | None

    def read(self, message: BybitEnvelope, ts_recv: int) -> Sequence[MarketData]:
        whole = message.type == "snapshot"
        at = ("bybit", self.subscription.symbol, message.ts * 1_000_000, ts_recv)
        match self.subscription.channel:
            case "publicTrade":
                return [
                    Trade(*at[:2], it.ms * 1_000_000, ts_recv, it.price, it.size, SIDES[it.side], it.id)
                    for it in decode_trades(message.data)
                ]
            case "tickers":
                row = self.row = self._merged(decode_ticker(message.data), whole)
                return (Ticker(*at, window_s=86_400, **asdict(row)),)
            case _:
                return (self._book(decode_book(message.data), whole, at),)

    def _book(self, book: BybitBook, whole: bool, at: tuple[str, str, int, int]) -> BookSnapshot | BookDelta:
        book.bids.sort(reverse=True)
        book.asks.sort()
        before, self.number = self.number, book.number
        if whole or book.number == 1:  # number 1 is a restart of the venue's service: a whole book again
            bids, asks = ([level for level in side if level[1]] for side in (book.bids, book.asks))
            return BookSnapshot(*at, bids, asks, book.number)
        if before is None or book.number != before + 1:
            raise OutOfStep(str(self.subscription), f"delta {book.number} after {before}")
        return BookDelta(*at, book.bids, book.asks, book.number, book.number)

    def _merged(self, row: BybitTicker, whole: bool) -> BybitTicker:
        if whole:
            return row
        if self.row is None:
            raise OutOfStep(str(self.subscription), "a change before a snapshot")
        return replace(self.row, **{name: new for name, new in asdict(row).items() if new is not None})


def topic(subscription: Subscription) -> str:
    return f"{subscription.channel}.{subscription.symbol}"


def build(request: Request[BybitSubscription]) -> str:
    topics = [topic(each) for each in request.subscriptions]
    return msgspec.json.encode({"req_id": str(request.number), "op": request.kind, "args": topics}).decode()


class Session(SubscribingSession[BybitSubscription]):
    def __init__(self, channels: Sequence[str], symbols: Sequence[str]) -> None:
        super().__init__(Subscriptions(channels, PACE, track=BybitSubscription, build=build, sent=self._begin), symbols)
        self._by_topic: dict[str, BybitSubscription] = {}
        self._next_ping = inf

    def _begin(self, request: Request[BybitSubscription]) -> None:
        for tracked in request.wanted:  # data may come before the answer
            tracked.number = tracked.row = None
            self._by_topic[topic(tracked.subscription)] = tracked

    def opened(self, now: float) -> Iterator[Effect]:
        self._next_ping = now + PING_EVERY
        return super().opened(now)

    def tick(self, now: float) -> Iterator[Effect]:
        if now >= self._next_ping:
            self._next_ping = now + PING_EVERY
            yield Send('{"op":"ping"}')
        yield from super().tick(now)

    def deadlines(self) -> Sequence[float]:
        return (self._next_ping,)

    def dropped(self, tracked: BybitSubscription) -> None:
        self._by_topic.pop(topic(tracked.subscription), None)

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        try:
            message = decode_envelope(data)
            return list(self._data(message, ts_recv, now) if message.topic else self._answer(message, now))
        except DECODE_ERRORS as error:
            return (Skipped(BadData("frame", one_line(str(error)))),)

    def _data(self, message: BybitEnvelope, ts_recv: int, now: float) -> Iterator[Effect]:
        tracked = self._by_topic.get(message.topic)
        if tracked is None or tracked.state == "wanted":
            self.counts["late_frames"] += 1
            return
        try:
            yield from self.received(tracked, tracked.read(message, ts_recv), now)
        except OutOfStep as error:
            yield from self.out_of_step(tracked, error, now)

    def _answer(self, message: BybitEnvelope, now: float) -> Iterator[Effect]:
        number = int(message.req_id) if message.req_id.isascii() and message.req_id.isdigit() else None
        request = self.subscriptions.answered(self.subscriptions.sole_number() if number is None else number, now)
        if request is not None and message.op != "ping":
            there = message.success or "already subscribed" in message.ret_msg
            yield from self.settle(request, "" if there else one_line(message.ret_msg, empty="no reason"), now)
        yield from self.send_due(now)


class Account(OpenAccount):
    venue = "bybit"
    services: Mapping[str, str] = {}
    units: Mapping[str, str] = {"trades": "base units", "ticker": "base units"}

    def __init__(self, credentials: Mapping[str, str], channels: Sequence[str], options: object = None) -> None:
        del options  # there are none
        check_credentials(credentials, [])
        self.channels = chosen_channels(channels, CHANNELS, CHANNELS)

    def check_symbol(self, symbol: str) -> str | None:
        return None if SYMBOL.fullmatch(symbol) else "not written in A-Z, 0-9 and -, like BTCUSDT"

    def session(self, symbols: Sequence[str]) -> Session:
        return Session(self.channels, symbols)
