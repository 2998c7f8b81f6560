"""The messages of Binance's WebSocket streams in both directions, around the payloads. Pure.

    {"stream":"btcusdt@trade","data":{...}}                       data, on the address /stream
    {"e":"trade","E":1723161255343,"s":"BTCUSDT",...}             data, on the address /ws
    {"result":null,"id":1}                                        an answer
    {"code":2,"msg":"Invalid request: too many parameters"}       an error; with the id of its request or without, and
    {"error":{"code":2,"msg":"Invalid request: ..."},"id":1}      in a wrapping of its own or without

All of them come on one socket, and only their keys tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from feedbus.errors import BadData
from feedbus.text import one_line
from feedbus.venues.fields import DECODE_ERRORS, AnyArray, Scalar

NO_MESSAGE = "no message"

_Code = Annotated[int, Meta(ge=-(10**9), le=10**9)]


class BinanceFailure(msgspec.Struct):
    """What an error says."""

    code: _Code
    msg: str = ""

    def __str__(self) -> str:
        return f"{one_line(self.msg, empty=NO_MESSAGE)} (code {self.code})"


class _KlineInterval(msgspec.Struct, rename={"interval": "i"}):
    interval: str = ""


class BinanceMessage(msgspec.Struct, rename={"event": "e", "symbol": "s", "kline": "k"}):
    """Any message. Keys that it doesn't have are UNSET."""

    stream: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    event: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    kline: _KlineInterval | UnsetType = UNSET
    id: int | str | None = None
    result: Raw | UnsetType = UNSET
    error: BinanceFailure | UnsetType = UNSET
    code: _Code | UnsetType = UNSET
    msg: str = ""

    @property
    def failure(self) -> BinanceFailure | None:
        """The error that this message is, if it is one."""
        if self.error is not UNSET:
            return self.error
        return None if self.code is UNSET else BinanceFailure(self.code, self.msg)

    @property
    def own_stream(self) -> str | None:
        """The stream of a payload that came without a wrapping, worked out from its event type, symbol and interval.
        The payloads of depth don't say how fast they come."""
        if self.symbol is UNSET or self.event is UNSET or self.event not in _CHANNEL_OF:
            return None
        interval = "" if self.kline is UNSET else self.kline.interval
        return f"{self.symbol.lower()}@{_CHANNEL_OF[self.event]}{interval}"


_CHANNEL_OF = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "depthUpdate": "depth",
    "kline": "kline_",
    "24hrMiniTicker": "miniTicker",
    "24hrTicker": "ticker",
    "1hTicker": "ticker_1h",
    "4hTicker": "ticker_4h",
    "1dTicker": "ticker_1d",
    "avgPrice": "avgPrice",
}
_decode = msgspec.json.Decoder(BinanceMessage).decode
decode_list = msgspec.json.Decoder(list[Scalar | AnyArray]).decode
decode_nothing = msgspec.json.Decoder(None).decode
_encode = msgspec.json.encode


def parse(data: bytes) -> BinanceMessage:
    """Any message. Raises BadData."""
    try:
        return _decode(data)
    except DECODE_ERRORS as error:
        raise BadData("message", one_line(str(error))) from None


def request(method: str, names: Sequence[str], number: int) -> str:
    """A request as it is sent; LIST_SUBSCRIPTIONS has no params."""
    params = {"params": names} if names else {}
    return _encode({"method": method, **params, "id": number}).decode()


def key_of(name: str) -> bytes:
    """Returns the bytes with which the venue begins each message of this stream, up to `,"data":`."""
    return b'{"stream":' + _encode(name)
