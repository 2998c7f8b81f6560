"""Binance spot: market data streams at wss://stream.binance.com:9443/stream. No account is needed. Pure.

| channel       | kinds published | what the venue sends                                                               |
|---------------|-----------------|------------------------------------------------------------------------------------|
| trade         | trade           | every trade, at once                                                               |
| aggTrade      | trade           | at once; what one taker order traded at one price is one trade, with an id of its  |
|               |                 | own kind                                                                           |
| bookTicker    | quote           | the best bid and ask, at each change; no time                                      |
| depth5, 10,   | book            | the best levels, conflated to one book a second, or with @100ms (depth5@100ms) to  |
| 20            |                 | ten; no time                                                                       |
| kline_1s … 1w | bar, 1 s … 7 d  | the current bar, conflated to one a second (kline_1s) or one in two                |
| miniTicker    | ticker          | the last 24 hours, a rolling window, conflated to one a second                     |
| ticker        | ticker          | the same, with bid, ask, trades and the last price before the window               |

Units: sizes and `volume` are base units (BTC of BTCUSDT), `turnover` is in the quote currency. A bar's `buy_volume` is
that of taker buys, `sell_volume` the rest. A symbol is written as the venue writes it: BTCUSDT. `venue_sequence` is the
venue's update id, the same count in quotes and books. Without `channels` it is trade, bookTicker and miniTicker.

The conversation: SUBSCRIBE with many streams at once, answered by {"result":null,"id":…}; data comes as
{"stream":"btcusdt@trade","data":{…}}, mixed with the answers. The venue documents no error for a stream that doesn't
exist: it is confirmed and stays silent, so that only `live` says that a symbol is one. An error may come without the
id of its request. On the address /ws data has no wrapping: what says its event and symbol itself is taken there too,
which depth and bookTicker don't. Source of the rules: https://github.com/binance/binance-spot-api-docs
(web-socket-streams.md).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import inf
from types import NoneType
from typing import ClassVar

import msgspec
from msgspec import UNSET, Raw

from feedbus.errors import BadData, ConfigError, TimedOut, VenueError
from feedbus.text import one_line
from feedbus.venues.binance.channels import chosen, stream_name, why_not
from feedbus.venues.binance.messages import Failure, Message, parse
from feedbus.venues.binance.payloads import UNREADABLE, VENUE, AllRevisions, Read, Revisions
from feedbus.venues.binance.requests import ANSWER_WITHIN, STATES, BinanceSubscription, PendingRequest, Requests
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Effect,
    Limits,
    NoFetches,
    NoOptions,
    Notice,
    OpenAccount,
    Ready,
    Refused,
    Skipped,
    Subscription,
    WakeAt,
)

RETRY_FIRST = 5.0  # seconds until a refused subscription is asked for again; doubles
RETRY_CAP = 900.0
MAX_STREAMS = 1024  # of a connection
MAX_GIVEN_UP = 2 * MAX_STREAMS  # names remembered until the venue has confirmed that they are over
MAX_NOTICES = 8  # of a connection, about what the venue says

_DATA = b',"data":'
_END = ord("}")


class Account(OpenAccount):
    """Channels, and the rules for symbols, shared by all connections. There are no credentials."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    venue = VENUE
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {"rest": "https://api.binance.com"}
    limits = Limits(subscriptions=MAX_STREAMS)

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        options: msgspec.Struct | None = None,  # noqa: ARG002 - there are none
    ) -> None:
        for name in credentials:
            raise ConfigError(f"credentials: unknown key {name!r}; there are: none")
        self.channels = chosen(channels)
        self._revisions: dict[Subscription, Revisions] = {}

    def check_symbol(self, symbol: str) -> str | None:
        """Why this symbol can't be subscribed, or None."""
        return why_not(symbol)

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self.channels, symbols, self._revisions)


class Session(NoFetches):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(self, channels: Sequence[str], symbols: Sequence[str], revisions: AllRevisions) -> None:
        self._channels = channels
        self._revisions = revisions
        self._streams: dict[str, BinanceSubscription] = {}  # all that are wanted, by name
        self._live: dict[bytes, Read] = {}  # by how their data begins
        self._given_up: dict[str, None] = {}  # names that the venue may still send data of
        self._requests = Requests()
        self._retries: list[tuple[float, str]] = []
        self._wake = inf
        self._open = False
        self._notices = 0
        self._counts: Counter[str] = Counter()
        self._add(symbols)

    # What the shell reports

    def opened(self, now: float) -> Iterator[Effect]:
        """There is no login."""
        self._open = True
        yield Ready()
        yield from self._send(now)

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always data of a stream that is live, written as the venue writes it."""
        text = data if type(data) is bytes else bytes(data)
        begin, _, rest = text.partition(_DATA)
        read = self._live.get(begin)
        if read is not None and rest and rest[-1] == _END:
            try:
                return (read(rest[:-1], ts_recv),)
            except UNREADABLE:
                pass  # another shape, or nothing that can be used: the long way says which
        return list(self._any_message(text, ts_recv, now))

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, and the next request."""
        self._wake = inf
        for request in self._requests.overdue(now):
            if request.method == "LIST_SUBSCRIPTIONS":
                yield Close(TimedOut(f"no answer to LIST_SUBSCRIPTIONS within {ANSWER_WITHIN:g} s"))
                return
            if request.method == "SUBSCRIBE" and not any(stream.state == "sent" for stream in request.streams):
                self._requests.answered(request.id)  # data confirmed them, or nobody wants them any more
                self._counts["unanswered"] += 1
            else:
                self._requests.ask_list()
        while self._retries and self._retries[0][0] <= now:
            stream = self._streams.get(heapq.heappop(self._retries)[1])
            if stream is not None and stream.state == "refused" and stream.retry_at <= now:
                self._want(stream)
        yield from self._send(now)

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Take these symbols too."""
        self._add(symbols)
        yield from self._send(now)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up; what still comes for them is counted and passed over."""
        for symbol in symbols:
            for channel in self._channels:
                subscription = Subscription(channel, symbol)
                stream = self._streams.pop(stream_name(subscription), None)
                if stream is not None:
                    self._revisions.pop(subscription, None)
                    self._give_up(stream)
        yield from self._send(now)

    def closing(self) -> Iterator[Effect]:
        """Nothing is to be said."""
        return iter(())

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals: answers, errors, unknown_ids, unanswered, given_up, unknown_streams, unknown_events."""
        return dict(self._counts)

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state; a symbol counts as its least advanced channel."""
        states: dict[str, str] = {}
        for stream in self._streams.values():
            symbol = stream.subscription.symbol
            states[symbol] = min(states.get(symbol, stream.state), stream.state, key=STATES.index)
        return dict(Counter(states.values()))

    # Messages

    def _any_message(self, text: bytes, ts_recv: int, now: float) -> Iterator[Effect]:
        try:
            message = parse(text)
            if message.stream is not UNSET and message.data is not UNSET:
                yield from self._data(message.stream, message.data, ts_recv)
            elif message.event is not UNSET:
                yield from self._event(message, text, ts_recv)
            elif (failure := message.failure) is not None:
                yield from self._error(failure, message.id, now)
            elif message.result is not UNSET:
                yield from self._answer(message, now)
            else:
                raise BadData("message", "neither data of a stream that it names, nor an answer")
        except BadData as error:
            yield Skipped(error)

    def _data(self, name: str, payload: bytes | Raw, ts_recv: int) -> Iterator[Effect]:
        stream = self._streams.get(name)
        if stream is None:
            if name == "!serverShutdown":
                yield from self._shutdown()
            else:
                self._counts["given_up" if name in self._given_up else "unknown_streams"] += 1
            return
        yield from self._confirm(stream)
        try:
            event = stream.read(payload, ts_recv)
        except UNREADABLE as error:
            raise BadData(str(stream.subscription), one_line(str(error))) from None
        if stream.state == "confirmed":
            stream.state = "live"
            self._live[stream.key] = stream.read
        yield event

    def _event(self, message: Message, text: bytes, ts_recv: int) -> Iterator[Effect]:
        """A payload without a wrapping, as the address /ws has them."""
        if message.event == "serverShutdown":
            yield from self._shutdown()
        elif (name := message.own_stream) is not None:
            yield from self._data(name, text, ts_recv)
        else:
            self._counts["unknown_events"] += 1
            raise BadData("message", "an event that doesn't say its stream")

    def _shutdown(self) -> Iterator[Effect]:
        """The venue gives no time for it: connect anew at once."""
        yield Notice("the venue shuts the server of a connection down")
        yield Close(VenueError("the venue shuts this server down"))

    def _answer(self, message: Message, now: float) -> Iterator[Effect]:
        self._counts["answers"] += 1
        request = self._requests.under_way(message.id)
        if request is None:
            self._counts["unknown_ids"] += 1
            return
        if not isinstance(message.result, list if request.method == "LIST_SUBSCRIPTIONS" else NoneType):
            raise BadData(request.method, "the result is of another shape")  # its deadline decides
        self._requests.answered(request.id)
        match request.method:
            case "SUBSCRIBE":
                for stream in request.streams:
                    yield from self._confirm(stream)
            case "UNSUBSCRIBE":
                for stream in request.streams:
                    self._unsubscribed(stream)
            case "LIST_SUBSCRIPTIONS":
                yield from self._listed({name for name in message.result or () if isinstance(name, str)}, now)
        yield from self._send(now)

    def _error(self, failure: Failure, number: int | str | None, now: float) -> Iterator[Effect]:
        """An error is about the request of its id; without one, about the only request under way, if it is one."""
        self._counts["errors"] += 1
        request = self._requests.answered(self._requests.only() if number is None else number)
        if request is None:
            yield from self._notice(f"an error about no request of ours: {failure}")
        elif request.method == "LIST_SUBSCRIPTIONS":
            yield Close(VenueError(f"LIST_SUBSCRIPTIONS refused: {failure}"))
            return
        elif request.method == "UNSUBSCRIBE":
            yield from self._notice(f"UNSUBSCRIBE refused: {failure}")
        else:
            for stream in request.streams:
                yield from self._refuse(stream, str(failure), now)
        yield from self._send(now)

    def _listed(self, names: Collection[str], now: float) -> Iterator[Effect]:
        """What the venue says is subscribed settles all requests that it left unanswered."""
        for request in self._requests.overdue(now):
            self._requests.answered(request.id)
            self._counts["unanswered"] += 1
            for stream in request.streams:
                if request.method == "UNSUBSCRIBE":
                    self._unsubscribed(stream, still=stream.name in names)
                elif stream.name in names:
                    yield from self._confirm(stream)
                elif stream.attempts:
                    yield from self._refuse(stream, "not answered, and LIST_SUBSCRIPTIONS doesn't name it", now)
                elif stream.state == "sent":
                    stream.attempts = 1
                    self._want(stream)

    def _notice(self, text: str) -> Iterator[Effect]:
        if self._notices < MAX_NOTICES:
            self._notices += 1
            yield Notice(text)

    # Subscriptions

    def _add(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            for channel in self._channels:
                subscription = Subscription(channel, symbol)
                name = stream_name(subscription)
                if name not in self._streams:
                    self._streams[name] = stream = BinanceSubscription(subscription, self._revisions)
                    self._want(stream)

    def _want(self, stream: BinanceSubscription) -> None:
        stream.state = "wanted"
        self._requests.put("SUBSCRIBE", stream)

    def _confirm(self, stream: BinanceSubscription) -> Iterator[Effect]:
        """By word or by data; also what was refused before, if data comes all the same."""
        if stream.state in ("sent", "refused"):
            stream.state = "confirmed"
            yield Confirmed(stream.subscription)

    def _refuse(self, stream: BinanceSubscription, reason: str, now: float) -> Iterator[Effect]:
        if stream.state == "sent":
            stream.state = "refused"
            delay = min(RETRY_FIRST * 2 ** min(stream.attempts, 16), RETRY_CAP)
            stream.attempts += 1
            stream.retry_at = now + delay
            heapq.heappush(self._retries, (stream.retry_at, stream.name))
            yield Refused(stream.subscription, reason)

    def _give_up(self, stream: BinanceSubscription) -> None:
        self._live.pop(stream.key, None)
        self._requests.withdraw(stream)
        if stream.state not in ("wanted", "refused"):
            self._requests.put("UNSUBSCRIBE", stream)
            if len(self._given_up) >= MAX_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
            self._given_up[stream.name] = None
        stream.state = "dropped"

    def _unsubscribed(self, stream: BinanceSubscription, *, still: bool = False) -> None:
        """It is over; or `still` there, and asked to end again unless it is wanted again."""
        if not still:
            self._given_up.pop(stream.name, None)
        elif stream.name not in self._streams:
            self._requests.put("UNSUBSCRIBE", stream)

    def _send(self, now: float) -> Iterator[Effect]:
        """The next request, if it may go out now; and one WakeAt for whatever comes first, when that has changed."""
        sent = self._requests.send(now) if self._open else None
        if sent is not None:
            self._mark_sent(sent[0])
            yield sent[1]
        first_retry = self._retries[0][0] if self._retries else inf
        wake = min(self._requests.wake(), first_retry) if self._open else inf
        if wake not in (self._wake, inf):
            self._wake = wake
            yield WakeAt(wake)

    def _mark_sent(self, request: PendingRequest) -> None:
        if request.method == "SUBSCRIBE":
            for stream in request.streams:
                stream.state = "sent"
