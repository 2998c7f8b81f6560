"""The simulated ALOR's side of one connection, to /ws or to /cws. Pure: time is an argument.

On /ws a client subscribes to market data (AlorConversation):

    ...Subscribe   -> an acknowledgement and the first data, in either order; then more data (`due`)
    unsubscribe    -> an acknowledgement; then a few late messages when the options say so
    ping           -> an acknowledgement if the request has `confirm`

Each request has an access token, which is checked when the request arrives and never again: a subscription outlives its
token. On /cws a client would send orders (AlorCommandConversation); only its login is simulated:

    authorize      -> "The connection has been initialized.", which holds until the token expires
    ping           -> an acknowledgement if the request has `confirm`
    anything else  -> an error

Unknown keys are ignored. A request that is refused is answered with a code and a message, and the connection goes on.

It is not documented what ALOR does in these cases, so this is a guess: a request without a guid is answered with an
empty guid; a new subscription of a guid replaces its old one; a `frequency` below the least one means the least one,
and a depth out of range means the nearest one. Of the errors' texts only "Invalid JWT token!" is ALOR's.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.candles import DAY_S, WEEK_S, can_be
from feedbus.sim.alor.market import AlorListing
from feedbus.sim.alor.spoiling import changed
from feedbus.sim.alor.streams import (
    AlorBarStream,
    AlorBookStream,
    AlorInstrumentStream,
    AlorQuoteStream,
    AlorStream,
    AlorTradeStream,
    interval_steps,
)
from feedbus.sim.alor.venue import AlorVenue
from feedbus.sim.limits import LimitedConversation
from feedbus.sim.message_faults import SentMessages
from feedbus.sim.seam import Ending, Frame

MAX_GUID = 256
FREQUENCY_MS = 175
"""Milliseconds between two books, quotes or candles of a subscription whose request has no `frequency`."""
DEPTH, MAX_DEPTH = 20, 50
MAX_TRADES = 5000
INITIALIZED = "The connection has been initialized."

_FEEDS = {
    "OrderBookGetAndSubscribe": "orderbook",
    "AllTradesGetAndSubscribe": "alltrades",
    "AllTradesSubscribe": "alltrades",
    "QuotesSubscribe": "quotes",
    "BarsGetAndSubscribe": "bars",
    "InstrumentsGetAndSubscribeV2": "instruments",
}
"""What is subscribed, by opcode, as faults name it."""
FORMS: dict[str, wire.WireFormat] = {"simple": "simple", "slim": "slim", "heavy": "heavy"}

_NAMED = {"D": DAY_S, "W": WEEK_S}

AlorRequest = dict[str, Any]


class AlorRefusal(Exception):
    """A request that is refused, with the code of the answer."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.code = code


class _AlorSubscription:
    __slots__ = ("code", "guid", "left", "name", "sent", "stream")

    def __init__(self, guid: str, name: str, code: str, stream: AlorStream) -> None:
        self.guid = guid
        self.name = name
        self.code = code
        self.stream = stream
        self.sent = SentMessages()
        self.left: int | None = None
        """How many messages are still sent after the unsubscribe; None while subscribed."""


class AlorConversation(LimitedConversation):
    """One connection to /ws."""

    def __init__(self, venue: AlorVenue, ending: Ending = "") -> None:
        super().__init__(venue.limits, ending)
        self._venue = venue
        self._counters = venue.counters
        self._subscriptions: dict[str, _AlorSubscription] = {}

    def receive(self, data: Frame, now_ns: int) -> list[Frame]:
        """The answers to a message of the client."""
        self._counters.frames_received += 1
        if self._is_over(now_ns):
            return []
        guid = '""'
        try:
            request = decoded(data)
            guid = guid_of(request)
            if not self._venue.tokens.valid(request.get("token"), now_ns):
                self._counters.tokens_refused += 1
                raise AlorRefusal(wire.BAD_TOKEN, 401)
            return self._answer(request, guid, now_ns)
        except AlorRefusal as refusal:
            self._counters.errors_sent += 1
            return [wire.acknowledgement(guid, refusal.code, str(refusal))]

    def due(self) -> list[Frame]:
        """The data of all subscriptions that the market's newest step brings."""
        if self._is_banned():
            return []
        frames: list[Frame] = []
        ended = []
        for key, subscription in self._subscriptions.items():
            objects = subscription.stream.due()
            if subscription.left is not None:
                objects = objects[: subscription.left]
                subscription.left -= len(objects)
                if not subscription.left:
                    ended.append(key)
            frames += self._enveloped(subscription, self._spoiled(subscription, objects))
        for key in ended:
            del self._subscriptions[key]
        return frames

    def _spoiled(self, subscription: _AlorSubscription, objects: list[str]) -> list[str]:
        """The next objects of a subscription, or what faults make of them."""
        name, code, sent = subscription.name, subscription.code, subscription.sent
        change = partial(changed, name, code)
        return [text for each in objects for text in self._venue.faults.spoiled(name, code, sent, each, change)]

    def goodbye(self) -> list[Frame]:
        """Nothing, as ALOR closes without a last message."""
        return []

    def _answer(self, request: AlorRequest, guid: str, now_ns: int) -> list[Frame]:
        opcode = request.get("opcode")
        if opcode == "unsubscribe":
            return self._unsubscribe(guid) if self._may_subscribe(now_ns) else []
        if opcode == "ping":
            return [wire.acknowledgement(guid)] if request.get("confirm") is True else []
        if not isinstance(opcode, str) or opcode not in _FEEDS:
            raise AlorRefusal(f"Bad request: no such opcode as {str(opcode)[:40]}")
        if not self._may_subscribe(now_ns):
            return []
        return self._subscribe(opcode, request, guid, now_ns)

    def _subscribe(self, opcode: str, request: AlorRequest, guid: str, now_ns: int) -> list[Frame]:
        listing = self._venue.find(request.get("exchange"), request.get("code"), request.get("instrumentGroup"))
        if listing is None:
            raise AlorRefusal("Bad request: no such instrument")
        if guid not in self._subscriptions and len(self._subscriptions) >= self._venue.options.max_subscriptions:
            raise AlorRefusal("Bad request: too many subscriptions")
        stream = self._stream(opcode, request, listing)
        self._venue.market.open(now_ns)
        subscription = self._subscriptions[guid] = _AlorSubscription(
            guid, _FEEDS[opcode], listing.security.secid, stream
        )
        self._counters.subscriptions += 1
        first = stream.first()
        subscription.sent.last = first[-1] if first else None
        data = self._enveloped(subscription, first)
        return [wire.acknowledgement(guid), *data] if self._ack_first(guid) else [*data, wire.acknowledgement(guid)]

    def _stream(self, opcode: str, request: AlorRequest, listing: AlorListing) -> AlorStream:
        form = _form(request)
        if opcode in ("AllTradesGetAndSubscribe", "AllTradesSubscribe"):
            return AlorTradeStream(listing, form, _number(request, "depth", 0, MAX_TRADES))
        if opcode == "InstrumentsGetAndSubscribeV2":
            return AlorInstrumentStream(listing, form)
        frequency = _number(request, "frequency", FREQUENCY_MS, 86_400_000)
        interval = interval_steps(max(frequency, wire.LEAST_MS[form]), listing.market.step_ns)
        if opcode == "OrderBookGetAndSubscribe":
            return AlorBookStream(listing, form, max(1, _number(request, "depth", DEPTH, MAX_DEPTH)), interval)
        if opcode == "QuotesSubscribe":
            return AlorQuoteStream(listing, form, interval)
        history = request.get("skipHistory") is not True
        since_s = _number(request, "from", 0, 1 << 40)
        return AlorBarStream(listing, form, seconds_of(request.get("tf")), since_s, interval, history=history)

    def _ack_first(self, guid: str) -> bool:
        """Whether the acknowledgement comes before the first data, as the options say."""
        options = self._venue.options
        if options.ack == "seed":
            return Random(f"{options.seed}/ack/{guid}").random() < 0.5
        return options.ack == "first"

    def _unsubscribe(self, guid: str) -> list[Frame]:
        subscription = self._subscriptions.get(guid)
        options = self._venue.options
        if subscription is None or subscription.left is not None:
            if options.unknown_unsubscribe == 200:
                return [wire.acknowledgement(guid)]
            raise AlorRefusal("Bad request: no such subscription", options.unknown_unsubscribe)
        if options.late_frames > 0:
            subscription.left = options.late_frames
        else:
            del self._subscriptions[guid]
        return [wire.acknowledgement(guid)]

    def _enveloped(self, subscription: _AlorSubscription, objects: list[str]) -> list[Frame]:
        spacing = self._venue.options.spacing
        return [wire.enveloped(each, subscription.guid, spacing) for each in objects]


class AlorCommandConversation(LimitedConversation):
    """One connection to /cws."""

    def __init__(self, venue: AlorVenue, ending: Ending = "") -> None:
        super().__init__(venue.limits, ending)
        self._venue = venue
        self._counters = venue.counters
        self._token: object = None

    def receive(self, data: Frame, now_ns: int) -> list[Frame]:
        """The answers to a message of the client."""
        self._counters.frames_received += 1
        if self._is_over(now_ns):
            return []
        guid = '""'
        try:
            request = decoded(data)
            guid = guid_of(request)
            opcode = request.get("opcode")
            token = request.get("token") if opcode == "authorize" else self._token
            if not self._venue.tokens.valid(token, now_ns):
                self._counters.tokens_refused += 1
                raise AlorRefusal(wire.BAD_TOKEN, 401)
            if opcode == "authorize":
                self._token = token
                return [wire.acknowledgement(guid, 200, INITIALIZED)]
            if opcode == "ping":
                return [wire.acknowledgement(guid)] if request.get("confirm") is True else []
            raise AlorRefusal(f"Bad request: {str(opcode)[:40]} is not simulated")
        except AlorRefusal as refusal:
            self._counters.errors_sent += 1
            return [wire.acknowledgement(guid, refusal.code, str(refusal))]

    def due(self) -> list[Frame]:
        """Nothing, as there are no subscriptions on /cws."""
        self._is_banned()
        return []

    def goodbye(self) -> list[Frame]:
        """Nothing, as ALOR closes without a last message."""
        return []


def seconds_of(frame: object) -> int:
    """The seconds of a candle by its `tf`, which is their number, the same as a string, "D" or "W". Raises AlorRefusal
    for what isn't simulated: what divides neither a minute nor a day, months and years."""
    if isinstance(frame, str):
        seconds = _NAMED.get(frame) or (int(frame) if frame.isascii() and frame.isdigit() and len(frame) < 9 else 0)
    else:
        seconds = frame if isinstance(frame, int) and not isinstance(frame, bool) else 0
    if not can_be(seconds):
        raise AlorRefusal("Bad request: no such time frame")
    return seconds


def decoded(data: Frame) -> AlorRequest:
    """Decode a client's message. Raises AlorRefusal when it isn't a JSON object."""
    try:
        request = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise AlorRefusal("Bad request: not a JSON object")
    return request


def guid_of(request: AlorRequest) -> str:
    """The guid as JSON; a number counts as a string of its digits. Raises AlorRefusal when there is none."""
    guid = request.get("guid")
    if isinstance(guid, int) and not isinstance(guid, bool):
        guid = str(guid)
    if not isinstance(guid, str) or not 0 < len(guid) <= MAX_GUID:
        raise AlorRefusal("Bad request: no guid")
    return wire.text(guid)


def _form(request: AlorRequest) -> wire.WireFormat:
    form = request.get("format", "Simple")
    if not isinstance(form, str) or form.lower() not in FORMS:
        raise AlorRefusal("Bad request: no such format")
    return FORMS[form.lower()]


def _number(request: AlorRequest, name: str, default: int, most: int) -> int:
    """A count in a request, limited to 0 to `most`. Raises AlorRefusal when it isn't an integer."""
    value = request.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise AlorRefusal(f"Bad request: {name} is not a number")
    return min(max(value, 0), most)
