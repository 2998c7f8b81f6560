"""A throw-away venue for `feedbus bench trades`: one small JSON trade a frame, of nobody's protocol. Pure.

We send {"subscribe": [symbol, …]}, are told {"subscribed": [symbol, …]}, and from then on get trades:
{"s": symbol, "t": ms, "p": price, "q": size, "b": taker bought, "i": number}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.errors import BadData
from feedbus.schema.events import Side, Trade
from feedbus.venues.protocol import (
    Confirmed,
    Effect,
    Limits,
    NoOptions,
    OpenAccount,
    PlainSession,
    Ready,
    Send,
    Skipped,
    Subscription,
)


class _Trade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: float
    q: float
    b: bool
    i: int


class _Subscribed(msgspec.Struct):
    subscribed: list[str]


_decode = msgspec.json.Decoder(_Trade).decode
_decode_subscribed = msgspec.json.Decoder(_Subscribed).decode


class Account(OpenAccount):
    """Takes anything."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    venue = "bench_trades"
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {}
    limits = Limits()
    units: Mapping[str, str] = {"trades": "lots"}
    channels: Sequence[str] = ("trades",)

    def __init__(
        self, credentials: Mapping[str, str], channels: Sequence[str], options: msgspec.Struct | None = None
    ) -> None:
        pass

    def check_symbol(self, symbol: str) -> str | None:
        """Every symbol will do."""
        return None

    def session(self, symbols: Sequence[str]) -> Session:
        """A conversation about these symbols."""
        return Session(symbols)


class Session(PlainSession):
    """Subscribes, and decodes."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = list(symbols)
        self._state = "wanted"

    def opened(self, now: float) -> Iterable[Effect]:
        """Nobody asks who we are."""
        return [Ready(), *self.subscribe((), now)]

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """A trade, or the confirmation."""
        try:
            trade = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._confirmed(data, error)
        side: Side = "buy" if trade.b else "sell"
        return (Trade("bench_trades", trade.s, trade.t * 1_000_000, ts_recv, trade.p, trade.q, side, trade.i),)

    def _confirmed(self, data: bytes | bytearray, error: Exception) -> Sequence[Effect]:
        try:
            symbols = _decode_subscribed(data).subscribed
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Skipped(BadData("trades", str(error))),)
        self._state = "live"
        return [Confirmed(Subscription("trades", symbol)) for symbol in symbols]

    def tick(self, now: float) -> Iterable[Effect]:
        """There are no deadlines."""
        return ()

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """Ask for all of them in one message."""
        self._symbols += symbols
        return [Send(msgspec.json.encode({"subscribe": self._symbols}).decode())]

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """The venue knows no such thing."""
        return ()

    def closing(self) -> Iterable[Effect]:
        """No last words."""
        return ()

    def counters(self) -> Mapping[str, int]:
        """None."""
        return {}

    def instruments(self) -> dict[str, int]:
        """All in one state."""
        return {self._state: len(self._symbols)}
