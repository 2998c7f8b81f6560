"""The requests to ALOR, and the state of each subscription. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from feedbus.venues.alor.payloads import (
    DECODERS,
    LOOSE_DECODERS,
    Format,
    MakeEvents,
    book_events,
    quote_events,
    trade_events,
)
from feedbus.venues.alor.symbols import parse_symbol
from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import Leaving, TrackedSubscription

KINDS = {"orderbook": ("book",), "alltrades": ("trade",), "quotes": ("quote", "ticker")}
"""The topic words of what a channel's frames become."""

CHANNELS = tuple(KINDS)

LEAST_FREQUENCY: dict[Format, int] = {"Simple": 25, "Slim": 10}

_OPCODES = {
    "orderbook": "OrderBookGetAndSubscribe",
    "alltrades": "AllTradesGetAndSubscribe",
    "quotes": "QuotesSubscribe",
}
_EVENTS: dict[str, MakeEvents] = {"orderbook": book_events, "alltrades": trade_events, "quotes": quote_events}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may stand under `options` of a feed of ALOR.

    format     how the venue writes frames: Slim has short keys
    depth      levels of a side of a book
    frequency  the least milliseconds between two books or quotes of an instrument; the venue drops those between
    exchange   the exchange of symbols that don't name one
    """

    format: Format = "Slim"
    depth: Annotated[int, Meta(ge=1, le=50)] = 20
    frequency: Annotated[int, Meta(ge=10, le=60_000)] = 100
    exchange: Literal["MOEX", "SPBX"] = "MOEX"


class AlorSubscription(TrackedSubscription):
    """A subscription with what reads its data. `guid` and `serial` (the token's) are those of the last request."""

    __slots__ = (
        "acked",
        "code",
        "decode",
        "decode_loosely",
        "events",
        "guid",
        "place",
        "serial",
        "symbol",
        "unauthorized",
        "wire",
    )

    def __init__(self, subscription: Subscription, options: Options) -> None:
        super().__init__(subscription)
        self.symbol = subscription.symbol
        self.place = str(subscription)
        self.wire = _request(subscription, options)
        self.decode = DECODERS[subscription.channel, options.format]
        self.decode_loosely = LOOSE_DECODERS[subscription.channel, options.format]
        self.events = _EVENTS[subscription.channel]
        # What the data has to name; "" on the channel whose data names nothing.
        self.code: str = "" if subscription.channel == "orderbook" else self.wire["code"]
        self.guid = ""
        self.serial = 0
        self.acked = False  # the request was answered, if only after its data
        self.unauthorized = False  # the last answer was that the token is no good


class EndingSubscription:
    """A subscription that is being given up.

    The request that began it and the one that ends it have the same guid, and each is acknowledged. So when two
    acknowledgements are due, the first one is that of the beginning.
    """

    __slots__ = ("acks_due", "guid", "leaving", "retried", "serial")

    def __init__(self, guid: str, leaving: Leaving, acks_due: int) -> None:
        self.guid = guid
        self.leaving = leaving
        self.acks_due = acks_due
        self.serial = 0
        self.retried = False


def _request(subscription: Subscription, options: Options) -> dict[str, Any]:
    """Returns a request without its guid and token. For trades it has no `depth`, so that the venue sends no
    history."""
    wanted = parse_symbol(subscription.symbol, options.exchange)
    request: dict[str, Any] = {
        "opcode": _OPCODES[subscription.channel],
        "exchange": wanted.exchange,
        "code": wanted.code,
    }
    if wanted.board is not None:
        request["instrumentGroup"] = wanted.board
    match subscription.channel:
        case "orderbook":
            request |= {"depth": options.depth, "frequency": options.frequency}
        case "quotes":
            request["frequency"] = options.frequency
        case _:
            request["includeVirtualTrades"] = False
    return request | {"format": options.format}


def subscribe(tracked: AlorSubscription, guid: str, token: str) -> str:
    """The request for a subscription."""
    return _json({**tracked.wire, "guid": guid, "token": token})


def unsubscribe(guid: str, token: str) -> str:
    """The request to end one."""
    return _json({"opcode": "unsubscribe", "guid": guid, "token": token})


def ping(guid: str, token: str) -> str:
    """Returns the ping of ALOR's own terminal, which isn't documented."""
    return _json({"opcode": "ping", "guid": guid, "confirm": True, "token": token})


def _json(request: dict[str, Any]) -> str:
    return msgspec.json.encode(request).decode()
