"""What a Session of ALOR knows of each of its subscriptions, and how one is asked for. Pure."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from feedbus.venues.alor.payloads import DECODERS, Format, MakeEvents, book_events, quote_events, trade_events
from feedbus.venues.alor.symbols import paper
from feedbus.venues.protocol import Send, Subscription

CHANNELS = ("orderbook", "alltrades", "quotes")

STATES = ("refused", "wanted", "sent", "confirmed", "live")
"""An instrument is as far as the least of its channels."""

LEAST_FREQUENCY: dict[Format, int] = {"Simple": 25, "Slim": 10}

_OPCODES = {
    "orderbook": "OrderBookGetAndSubscribe",
    "alltrades": "AllTradesGetAndSubscribe",
    "quotes": "QuotesSubscribe",
}
_EVENTS: dict[str, MakeEvents] = {"orderbook": book_events, "alltrades": trade_events, "quotes": quote_events}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be asked of the venue: how frames are written; how many levels a side of a book has; how many
    milliseconds the venue lets pass between two books or quotes of an instrument (the states between are dropped);
    the exchange of symbols that name none."""

    format: Format = "Slim"
    depth: Annotated[int, Meta(ge=1, le=50)] = 20
    frequency: Annotated[int, Meta(ge=10, le=60_000)] = 100
    exchange: Literal["MOEX", "SPBX"] = "MOEX"


class AlorSubscription:
    """One subscription: what was asked, and how far it has come. `guid` and `serial` (the token's) are those of the
    last request; each one has a guid of its own."""

    __slots__ = (
        "acked",
        "attempts",
        "decode",
        "events",
        "guid",
        "live_since",
        "place",
        "request",
        "retry_at",
        "serial",
        "state",
        "subscription",
        "symbol",
        "unauthorized",
    )

    def __init__(self, subscription: Subscription, options: Options) -> None:
        self.subscription = subscription
        self.symbol = subscription.symbol
        self.place = str(subscription)
        self.request = _request(subscription, options)
        self.decode = DECODERS[subscription.channel, options.format]
        self.events = _EVENTS[subscription.channel]
        self.state = "wanted"
        self.guid = ""
        self.serial = 0
        self.acked = False  # the request was answered, if only after its data
        self.unauthorized = False  # the last answer was that the token is no good
        self.attempts = 0
        self.live_since = inf
        self.retry_at = inf


class Leaving:
    """A subscription that is being given up. The acks of both requests bear one guid: the first due is the other's."""

    __slots__ = ("acks_due", "guid", "retried", "serial")

    def __init__(self, guid: str, acks_due: int) -> None:
        self.guid = guid
        self.acks_due = acks_due
        self.serial = 0
        self.retried = False


def _request(subscription: Subscription, options: Options) -> dict[str, Any]:
    """All of a request but its guid and token. The trades of the past are not asked for: without `depth` there are
    none."""
    wanted = paper(subscription.symbol, options.exchange)
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


def subscribe(stream: AlorSubscription, token: str) -> Send:
    """The request for a subscription."""
    return _send({**stream.request, "guid": stream.guid, "token": token})


def unsubscribe(guid: str, token: str) -> Send:
    """The request to end one."""
    return _send({"opcode": "unsubscribe", "guid": guid, "token": token})


def ping(guid: str, token: str) -> Send:
    """What ALOR's own terminal sends to see whether the connection lives; it isn't documented."""
    return _send({"opcode": "ping", "guid": guid, "confirm": True, "token": token})


def _send(request: dict[str, Any]) -> Send:
    return Send(msgspec.json.encode(request).decode())
