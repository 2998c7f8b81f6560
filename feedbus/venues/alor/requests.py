"""The requests to ALOR, and the state of each subscription. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from feedbus.errors import ConfigError
from feedbus.schema.events import Instrument
from feedbus.trust.evidence import Evidence
from feedbus.venues.alor.bars import LONGEST_WAY_BACK, PERIODS, KnownBars
from feedbus.venues.alor.instruments import InstrumentReader
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
from feedbus.venues.protocol import Subscription, chosen_channels
from feedbus.venues.subscriptions import Leaving, TrackedSubscription

KINDS: dict[str, tuple[str, ...]] = {
    "orderbook": ("book",),
    "alltrades": ("trade",),
    "quotes": ("quote", "ticker"),
    **dict.fromkeys(PERIODS, ("bar",)),
    "instruments": ("instrument",),
}
"""The topic words of what a channel's frames become."""

EVIDENCE = {
    "orderbook": Evidence(timed=True, full_pictures=True),
    "alltrades": Evidence(trade_ids="grow"),
    "quotes": Evidence(timed=True),
}
"""What they show of what is missing. Nothing shows that ids of trades leave none out. What a frame of bars repeats
isn't published again (bars.py)."""

CHANNELS = tuple(KINDS)
USUAL = ("orderbook", "alltrades", "quotes")
"""The channels of a feed that names none."""

LEAST_FREQUENCY: dict[Format, int] = {"Simple": 25, "Slim": 10}

_OPCODES = {
    "orderbook": "OrderBookGetAndSubscribe",
    "alltrades": "AllTradesGetAndSubscribe",
    "quotes": "QuotesSubscribe",
    "bars": "BarsGetAndSubscribe",
    "instruments": "InstrumentsGetAndSubscribeV2",
}
_EVENTS: dict[str, MakeEvents] = {"alltrades": trade_events, "quotes": quote_events}
_PASSED_OVER = {"alltrades": "existing_trades", "bars": "repeated_bars", "instruments": "unchanged_instruments"}
_NAMELESS = ("orderbook", "bars")  # what names no instrument in its data


def chosen(channels: Sequence[str]) -> tuple[str, ...]:
    """Returns the channels to subscribe to: those that the configuration names, or the usual ones. Raises
    ConfigError."""
    for length, name in (("month", "bars_M"), ("year", "bars_Y")):
        if name in channels:
            raise ConfigError(f"channels: {name}: a {length} has no fixed number of seconds, which a bar has")
    return chosen_channels(channels, CHANNELS, USUAL)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may stand under `options` of a feed of ALOR.

    format     how the venue writes frames: Slim has short keys
    depth      levels of a side of a book
    frequency  the least milliseconds between two books, quotes or versions of a bar of an instrument; the venue drops
               those between
    exchange   the exchange of symbols that don't name one
    history    how many bars back are asked for at the start
    """

    format: Format = "Slim"
    depth: Annotated[int, Meta(ge=1, le=50)] = 20
    frequency: Annotated[int, Meta(ge=10, le=60_000)] = 100
    exchange: Literal["MOEX", "SPBX"] = "MOEX"
    history: Annotated[int, Meta(ge=0, le=LONGEST_WAY_BACK)] = 100


class Known:
    """What is known of bars, and of the instruments that the venue has listed, by symbol. It is one for all connections
    of an account, and outlives them."""

    def __init__(self) -> None:
        self.bars: dict[Subscription, KnownBars] = {}
        self.listed: dict[str, Instrument] = {}


class AlorSubscription(TrackedSubscription):
    """A subscription with what reads its data. `guid` and `serial` (the token's) are those of the last request.

    `begin` is called when a request goes out, and returns what that adds to it. `passed_over` is the counter of frames
    that become no event, and `idles` says whether these show all the same that the subscription works.
    """

    __slots__ = (
        "_bars",
        "_instrument",
        "acked",
        "code",
        "decode",
        "decode_loosely",
        "events",
        "guid",
        "idles",
        "passed_over",
        "place",
        "serial",
        "symbol",
        "unauthorized",
        "wire",
    )

    def __init__(self, subscription: Subscription, options: Options, known: Known) -> None:
        super().__init__(subscription)
        feed = _feed(subscription.channel)
        self.symbol = subscription.symbol
        self.place = str(subscription)
        self.wire = _request(subscription, options)
        self.decode = DECODERS[feed, options.format]
        self.decode_loosely = LOOSE_DECODERS[feed, options.format]
        self._bars: KnownBars | None = None
        self._instrument: InstrumentReader | None = None
        if feed == "bars":
            self._bars = known.bars.get(subscription) or KnownBars(subscription.channel, options.history)
            known.bars[subscription] = self._bars
            self.events: MakeEvents = self._bars.events
        elif feed == "instruments":
            self._instrument = InstrumentReader(known.listed)
            self.events = self._instrument.events
        elif feed == "orderbook":
            self.events = partial(book_events, options.depth)
        else:
            self.events = _EVENTS[feed]
        self.passed_over = _PASSED_OVER.get(feed, "")
        self.idles = feed == "bars"
        # What the data has to name; "" where the data names nothing.
        self.code: str = "" if feed in _NAMELESS else self.wire["code"]
        self.guid = ""
        self.serial = 0
        self.acked = False  # the request was answered, if only after its data
        self.unauthorized = False  # the last answer was that the token is no good

    def begin(self, now_ns: int) -> dict[str, Any]:
        """What a request at this time says of history."""
        if self._instrument is not None:
            self._instrument.begin()
        return {} if self._bars is None else self._bars.asked(now_ns)


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


def _feed(channel: str) -> str:
    """What a channel subscribes: bars of whatever length are one thing."""
    return "bars" if channel in PERIODS else channel


def _request(subscription: Subscription, options: Options) -> dict[str, Any]:
    """Returns a request without its guid and token, and without what it says of history. For trades it has no `depth`,
    so that the venue sends none."""
    wanted = parse_symbol(subscription.symbol, options.exchange)
    feed = _feed(subscription.channel)
    request: dict[str, Any] = {"opcode": _OPCODES[feed], "exchange": wanted.exchange, "code": wanted.code}
    if wanted.board is not None:
        request["instrumentGroup"] = wanted.board
    match feed:
        case "orderbook":
            request |= {"depth": options.depth, "frequency": options.frequency}
        case "quotes":
            request["frequency"] = options.frequency
        case "alltrades":
            request["includeVirtualTrades"] = False
        case "bars":
            time_frame = subscription.channel.removeprefix("bars_")
            request |= {"tf": time_frame, "splitAdjust": False, "frequency": options.frequency}
    return request | {"format": options.format}


def subscribe(tracked: AlorSubscription, guid: str, token: str, now_ns: int) -> str:
    """The request for a subscription, at this time."""
    return _json({**tracked.wire, **tracked.begin(now_ns), "guid": guid, "token": token})


def unsubscribe(guid: str, token: str) -> str:
    """The request to end one."""
    return _json({"opcode": "unsubscribe", "guid": guid, "token": token})


def ping(guid: str, token: str) -> str:
    """Returns the ping of ALOR's own terminal, which isn't documented."""
    return _json({"opcode": "ping", "guid": guid, "confirm": True, "token": token})


def _json(request: dict[str, Any]) -> str:
    return msgspec.json.encode(request).decode()
