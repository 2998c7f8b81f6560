"""The simulated exchange's side of one connection, in STOMP. Pure: time is an argument.

    CONNECT      -> CONNECTED with the description of all streams, or ERROR "Access denied"
    SUBSCRIBE    -> RECEIPT if the client asks for it, a snapshot at once, then MESSAGEs as the market moves (`due`)
    UNSUBSCRIBE  -> no more MESSAGEs; an answer if the options say so
    REQUEST      -> REPLY                       (SEARCH.ticker)
    DISCONNECT   -> RECEIPT if the client asks for it, and the connection is closed

Anything else is answered with an ERROR whose `message` begins with the gateway's code, and the connection goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from feedbus.errors import BadData
from feedbus.sim.limits import LimitedConversation
from feedbus.sim.message_faults import SentMessages
from feedbus.sim.moex import catalogue, structure, wire
from feedbus.sim.moex.candles import MINUTES
from feedbus.sim.moex.spoiling import changed
from feedbus.sim.moex.streams import MoexBookStream, MoexCandleStream, MoexSecuritiesStream, MoexStream
from feedbus.sim.moex.venue import MoexVenue
from feedbus.venues.moex import stomp

MAX_ID = 256
MAX_FOUND = 50
_STREAMS = {
    "MXSE.orderbooks": {"TICKER", "LANGUAGE"},
    "MXSE.securities": {"TICKER", "LANGUAGE"},
    "MXSE.candles": {"TICKER", "INTERVAL", "QUANTITY", "TILL"},
}
"""The parameters that a selector may hold, by destination."""

CONNECT_HEADERS = frozenset({"domain", "login", "passcode", "language"})

_PARAMETER = re.compile(r'\s*(\w+)\s*=\s*"([^"]*)"\s*')
_AND = re.compile(r"\band\b", re.IGNORECASE)


class MoexRefusal(Exception):
    """A request that is refused, with the text of the ERROR frame."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"gateway.{code}: {reason}")


class _MoexSubscription:
    __slots__ = ("destination", "id", "left", "name", "sent", "step", "stream", "ticker")

    def __init__(self, subscription_id: str, destination: str, ticker: str, stream: MoexStream, step: int) -> None:
        self.id = subscription_id
        self.destination = destination
        self.name = destination.partition(".")[2]
        self.ticker = ticker
        self.sent = SentMessages()
        self.stream = stream
        self.step = step
        """The step of the last message."""
        self.left: int | None = None
        """How many MESSAGEs are still sent after the UNSUBSCRIBE; None while subscribed."""


class MoexConversation(LimitedConversation):
    """One connection, from CONNECT to DISCONNECT."""

    def __init__(self, venue: MoexVenue) -> None:
        super().__init__(venue.limits)
        self._venue = venue
        self._market = venue.market
        self._counters = venue.counters
        self._connected = False
        self._now_ns = 0
        self._subscriptions: dict[str, _MoexSubscription] = {}
        self._commands: dict[str, Callable[[Mapping[str, str]], list[bytes]]] = {
            "CONNECT": self._connect,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "REQUEST": self._request,
            "DISCONNECT": self._disconnect,
        }

    def receive(self, data: bytes | str, now_ns: int) -> list[bytes]:
        """The frames that answer a message of the client, which may hold several frames."""
        self._now_ns = now_ns
        if self._is_over(now_ns):
            return []
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        if self._venue.options.crlf == "disconnect" and b"\r\n" in raw:
            self.ending = "abort"
            return []
        try:
            frames = stomp.parse(raw)
        except BadData as error:
            return [self._error({}, MoexRefusal("invalidrequest", str(error)))]
        replies: list[bytes] = []
        for frame in frames:
            if not self.ending:
                replies += self._answer(frame)
        return replies

    def due(self) -> list[bytes]:
        """A MESSAGE for each subscription that changed since its last one. Steps that were left out are conflated."""
        if self._is_banned():
            return []
        frames = []
        ended = []
        for subscription in self._subscriptions.values():
            if subscription.stream.changed_at <= subscription.step:
                continue
            subscription.step = self._market.step
            frames += [self._message(subscription, body) for body in self._bodies(subscription)]
            if subscription.left is not None:
                subscription.left -= 1
                if subscription.left <= 0:
                    ended.append(subscription.id)
        for subscription_id in ended:
            del self._subscriptions[subscription_id]
        return frames

    def _bodies(self, subscription: _MoexSubscription) -> Sequence[bytes]:
        """The next body of a subscription, or what a fault makes of it."""
        change = partial(changed, subscription.name, subscription.ticker)
        symbol = self._venue.bodies[subscription.ticker].instrument.security.symbol
        body = subscription.stream.next()
        return self._venue.faults.spoiled(subscription.name, symbol, subscription.sent, body, change)

    def goodbye(self) -> list[bytes]:
        """Nothing, as the exchange closes without a last message."""
        return []

    def _answer(self, frame: stomp.StompFrame) -> list[bytes]:
        self._counters.frames_received += 1
        command = self._commands.get(frame.command)
        try:
            _check_headers(frame.headers)
            if command is None:
                raise MoexRefusal("notimplemented", f"unknown command {frame.command[:20]}")
            if not self._connected and frame.command not in ("CONNECT", "DISCONNECT"):
                raise MoexRefusal("not-connected", f"{frame.command} before CONNECT")
            if frame.command in ("SUBSCRIBE", "UNSUBSCRIBE") and not self._may_subscribe(self._now_ns):
                return []
            return command(frame.headers)
        except MoexRefusal as refusal:
            return [self._error(_addressee(frame), refusal)]

    def _connect(self, headers: Mapping[str, str]) -> list[bytes]:
        if self._connected:
            raise MoexRefusal("invalidrequest", "already connected")
        options = self._venue.options
        if options.connect_headers == "refuse" and not headers.keys() <= CONNECT_HEADERS:
            raise MoexRefusal("exception", "unexpected error")
        if (headers.get("domain"), headers.get("login"), headers.get("passcode")) not in options.accounts:
            self._counters.logins_refused += 1
            self._counters.errors_sent += 1
            return [stomp.build("ERROR", {"message": "Access denied"})]
        self._connected = True
        body = structure.connected_body()
        return [stomp.build("CONNECTED", {"content-length": str(len(body))}, body)]

    def _subscribe(self, headers: Mapping[str, str]) -> list[bytes]:
        subscription_id = _required(headers, "id")
        destination = _required(headers, "destination")
        if subscription_id in self._subscriptions:
            raise MoexRefusal("invalidrequest", "this id has a subscription already")
        if len(self._subscriptions) >= self._venue.options.max_subscriptions:
            raise MoexRefusal("exception", "too many subscriptions on this connection")
        if destination not in _STREAMS:
            known = destination in structure.resources()
            raise MoexRefusal("invalidrequest", f"{destination} is {'not simulated' if known else 'unknown'}")
        parameters = selector(_required(headers, "selector"), _STREAMS[destination])
        stream = self._stream(destination, parameters)
        self._market.open(self._now_ns)
        self._counters.subscriptions += 1
        ticker = parameters["TICKER"]
        subscription = _MoexSubscription(subscription_id, destination, ticker, stream, self._market.step)
        self._subscriptions[subscription_id] = subscription
        first = subscription.sent.last = stream.first()
        return [*self._receipt(headers), self._message(subscription, first)]

    def _stream(self, destination: str, parameters: Mapping[str, str]) -> MoexStream:
        ticker = parameters.get("TICKER", "")
        if (bodies := self._venue.bodies.get(ticker)) is None:
            raise MoexRefusal("invalidrequest", f"unknown ticker {ticker}")
        if destination == "MXSE.candles":
            return self._candles(ticker, parameters)
        language = parameters.get("LANGUAGE", "en")
        if language not in ("en", "ru"):
            raise MoexRefusal("invalidrequest", f"LANGUAGE is en or ru, not {language}")
        return MoexSecuritiesStream(bodies, language) if destination == "MXSE.securities" else MoexBookStream(bodies)

    def _candles(self, ticker: str, parameters: Mapping[str, str]) -> MoexStream:
        for name in ("QUANTITY", "TILL"):
            if name in parameters:
                raise MoexRefusal("notimplemented", f"{name.lower()} is not simulated")
        interval = parameters.get("INTERVAL", "")
        if interval not in MINUTES:
            raise MoexRefusal("invalidrequest", f"interval is one of {' '.join(MINUTES)}, not {interval or 'left out'}")
        return MoexCandleStream(self._venue.candle_bodies(ticker), interval, self._market)

    def _unsubscribe(self, headers: Mapping[str, str]) -> list[bytes]:
        subscription_id = _required(headers, "id")
        options = self._venue.options
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None or subscription.left is not None:
            raise MoexRefusal("invalidrequest", "no such subscription")
        if options.late_messages > 0:
            subscription.left = options.late_messages
        else:
            del self._subscriptions[subscription_id]
        if options.unsubscribe_reply == "closed":
            return [*self._receipt(headers), stomp.build("CLOSED", {"subscription": subscription_id})]
        if options.unsubscribe_reply == "receipt":
            return self._receipt({"receipt": subscription_id, **headers})
        return self._receipt(headers)

    def _request(self, headers: Mapping[str, str]) -> list[bytes]:
        request_id = _required(headers, "id")
        destination = _required(headers, "destination")
        if destination != "SEARCH.ticker":
            known = destination in structure.resources()
            raise MoexRefusal("invalidrequest", f"{destination} is {'not simulated' if known else 'unknown'}")
        parameters = selector(_required(headers, "selector"), {"PATTERN", "TICKER", "PRESET", "LANGUAGE"})
        wanted = parameters.get("PATTERN") or parameters.get("TICKER")
        if not wanted:
            raise MoexRefusal("invalidrequest", "SEARCH.ticker needs a pattern or a ticker")
        body = wire.search_body(catalogue.search(wanted, MAX_FOUND))
        reply = {"content-length": str(len(body)), "destination": destination, "request-id": request_id}
        return [stomp.build("REPLY", reply, body)]

    def _disconnect(self, headers: Mapping[str, str]) -> list[bytes]:
        self.ending = "close"
        self._subscriptions.clear()
        return self._receipt(headers)

    def _receipt(self, headers: Mapping[str, str]) -> list[bytes]:
        return [stomp.build("RECEIPT", {"receipt-id": headers["receipt"]})] if "receipt" in headers else []

    def _error(self, addressee: dict[str, str], refusal: MoexRefusal) -> bytes:
        self._counters.errors_sent += 1
        text = str(refusal)[:300].translate({ord("\n"): " ", ord("\r"): " ", 0: " "})
        return stomp.build("ERROR", {**addressee, "message": text})

    def _message(self, subscription: _MoexSubscription, body: bytes) -> bytes:
        return wire.message(subscription.destination, subscription.id, self._venue.sequencer.stamp_ms(), body)


def selector(text: str, allowed: set[str]) -> dict[str, str]:
    """The parameters of `NAME="value" and NAME="value"`, with the names in capitals. Raises MoexRefusal for anything
    else, and for names that are not allowed."""
    parameters: dict[str, str] = {}
    at = 0
    while True:
        found = _PARAMETER.match(text, at)
        if found is None or found[1].upper() not in allowed or found[1].upper() in parameters:
            raise MoexRefusal("invalidrequest", f"bad selector {text}")
        parameters[found[1].upper()] = found[2]
        if found.end() == len(text):
            return parameters
        joined = _AND.match(text, found.end())
        if joined is None:
            raise MoexRefusal("invalidrequest", f"bad selector {text}")
        at = joined.end()


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise MoexRefusal("invalidrequest", f"the header {name} is missing")
    if name == "id" and len(value) > MAX_ID:
        raise MoexRefusal("invalidrequest", "the id is too long")
    return value


def _check_headers(headers: Mapping[str, str]) -> None:
    """Raises MoexRefusal for a value that would break the frame in which it is sent back."""
    for value in headers.values():
        if "\n" in value or "\r" in value or "\0" in value:
            raise MoexRefusal("invalidrequest", "a header holds a line end")


def _addressee(frame: stomp.StompFrame) -> dict[str, str]:
    """The headers by which a client finds the request that an ERROR answers."""
    headers = {name: value for name, value in frame.headers.items() if name in ("id", "receipt") and _printable(value)}
    about: dict[str, str] = {}
    if frame.command == "REQUEST" and "id" in headers:
        about["request-id"] = headers["id"]
    if "receipt" in headers:
        about["receipt-id"] = headers["receipt"]
    elif frame.command == "UNSUBSCRIBE" and "id" in headers:
        about["receipt-id"] = headers["id"]
    if frame.command == "SUBSCRIBE" and "id" in headers:
        about["subscription"] = headers["id"]
    return about


def _printable(value: str) -> bool:
    return len(value) <= MAX_ID and not any(char in value for char in "\n\r\0")
