"""The conversation with ALOR on one connection: subscriptions by guid, each message with the account's token. Pure.

Every request bears a guid of ours, and all that the venue says to it bears the same. Data and the answer to a request
come in either order: both confirm. A 401 says that the token is no good: the Account is told, and the request is made
again with the next token; the second 401 in a row refuses the subscription. A token that ends leaves the subscriptions
made with it alone, so it is only needed to ask.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from feedbus.errors import BadData, TimedOut
from feedbus.venues.alor import requests as streams
from feedbus.venues.alor.payloads import DECODE_ERRORS, NO_DATA, decode_envelope
from feedbus.venues.alor.ping import SILENCE, Pings
from feedbus.venues.alor.requests import STATES, AlorSubscription, Leaving, Options
from feedbus.venues.alor.tokens import AccessTokens, Token
from feedbus.venues.protocol import (
    AccountDue,
    Close,
    Confirmed,
    Effect,
    Fatal,
    NoFetches,
    Notice,
    Ready,
    Refused,
    Skipped,
    Subscription,
    WakeAt,
)

CONFIRM_WITHIN = 10.0  # seconds for the first answer to a subscription, or its first data
BATCH = 10  # requests sent at once, every BATCH_EVERY seconds: the venue says nothing, its users' programs pace so
BATCH_EVERY = 0.25
RETRY_FIRST = 5.0  # seconds until a refused subscription is asked for again; doubles
RETRY_CAP = 900.0  # the longest pause; a subscription that was live for longer begins anew
MAX_LEAVING = 5000  # subscriptions given up whose acks have not come; the venue allows so many in all
MAX_NOTICES = 8

TAIL = 64  # a frame of data ends with its guid, within so many bytes
GUID = b'"guid":"'


class Session(NoFetches):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(self, tokens: AccessTokens, options: Options, channels: Sequence[str], symbols: Sequence[str]) -> None:
        self._tokens = tokens
        self._options = options
        self._channels = channels
        self._streams: dict[Subscription, AlorSubscription] = {}
        self._by_guid: dict[str, AlorSubscription] = {}
        self._live: dict[bytes, AlorSubscription] = {}  # those of them that need no more than their events made
        self._leaving: dict[str, Leaving] = {}
        self._to_leave: deque[Leaving] = deque()
        self._to_send: deque[AlorSubscription] = deque()
        self._deadlines: dict[str, float] = {}  # of what was asked and not answered; the earliest first
        self._retries: list[tuple[float, Subscription]] = []
        self._pings = Pings()
        self._next_batch = 0.0
        self._wake = inf
        self._last_guid = 0
        self._open = False
        self._ready = False
        self._noticed: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._add(symbols)

    # What the shell reports

    def opened(self, now: float) -> Iterator[Effect]:
        """Ask for what is wanted, when there is a token; else the Account's next change will wake us."""
        self._open = True
        yield from self._send_batch(now)
        yield from self._schedule(now)

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always data of a subscription that is live."""
        self._pings.heard(now)
        at = data.rfind(GUID, -TAIL)
        if at < 0:
            return list(self._any_frame(data, ts_recv, now))
        at += len(GUID)
        stream = self._live.get(bytes(data[at : data.find(b'"', at)]))
        if stream is None:
            return list(self._any_frame(data, ts_recv, now))
        try:
            frame = stream.decode(data)
        except DECODE_ERRORS:
            return list(self._any_frame(data, ts_recv, now))
        if frame.guid != stream.guid:  # what looks like the envelope's end is within its data
            return list(self._any_frame(data, ts_recv, now))
        return self._events(stream, frame.data, ts_recv)

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, pings and the next batch of requests."""
        self._wake = inf
        late = next(iter(self._deadlines.items()), None)
        if late is not None and late[1] <= now:
            yield Close(TimedOut(f"no answer to {self._by_guid[late[0]].subscription} within {CONFIRM_WITHIN:g} s"))
            return
        while self._retries and self._retries[0][0] <= now:
            stream = self._streams.get(heapq.heappop(self._retries)[1])
            if stream is not None and stream.state == "refused" and stream.retry_at <= now:
                stream.state = "wanted"
                self._to_send.append(stream)
        if self._pings.due(now):
            if self._pings.dead(now):
                yield Close(TimedOut(f"nothing came for {SILENCE:g} s, not even answers to pings"))
                return
            yield from self._ping(now)
        yield from self._send_batch(now)
        yield from self._schedule(now)

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Take these symbols too."""
        self._add(symbols)
        yield from self._send_batch(now)
        yield from self._schedule(now)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up; what still comes for them is counted and passed over."""
        for symbol in symbols:
            for channel in self._channels:
                stream = self._streams.pop(Subscription(channel, symbol), None)
                if stream is not None:
                    self._leave(stream)
        self._to_send = deque(stream for stream in self._to_send if stream.state == "wanted")
        yield from self._send_batch(now)
        yield from self._schedule(now)

    def closing(self) -> Sequence[Effect]:
        """The venue keeps nothing of a connection that ends: there is nothing to say."""
        return ()

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals: late_frames (of what was given up), unknown_guids, existing_trades (of the past, not published),
        unauthorized (401), refused_requests (to give something up), unnamed_answers, forgotten (given up, and never
        acknowledged), pongs; pings, pings_unanswered."""
        return {**self._counts, "pings": self._pings.sent, "pings_unanswered": self._pings.unanswered}

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state; a symbol counts as its least advanced channel."""
        states: dict[str, str] = {}
        for stream in self._streams.values():
            states[stream.symbol] = min(states.get(stream.symbol, stream.state), stream.state, key=STATES.index)
        return dict(Counter(states.values()))

    # Frames

    def _any_frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        if bytes(data[:8]).strip() == b"pong":  # an old answer to pings, seen by others
            self._counts["pongs"] += 1
            return
        try:
            envelope = decode_envelope(data)
        except DECODE_ERRORS as error:
            yield self._skip("frame", str(error))
            return
        if envelope.data is not NO_DATA and envelope.guid is not None:
            yield from self._data(envelope.guid, data, ts_recv, now)
        elif envelope.code is None:
            yield self._skip("frame", "neither data with a guid nor an answer with a code")
        elif envelope.about is None:
            yield from self._unnamed_answer(envelope.code, self._text(envelope.message))
        else:
            yield from self._answer(envelope.about, envelope.code, self._text(envelope.message), now)

    def _data(self, guid: str | int, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        stream = self._by_guid.get(guid) if isinstance(guid, str) else None
        if stream is None:
            self._count_stray(guid)
            return
        yield from self._confirm(stream, now)
        try:
            body = stream.decode(data).data
        except DECODE_ERRORS as error:
            yield self._skip(stream.place, str(error))
            return
        events = self._events(stream, body, ts_recv)
        if events and stream.state == "confirmed":
            stream.state = "live"
            stream.live_since = now
            self._live[stream.guid.encode()] = stream
        yield from events

    def _events(self, stream: AlorSubscription, body: Any, ts_recv: int) -> Sequence[Effect]:
        events = stream.events(body, stream.symbol, ts_recv)
        if not events:
            self._counts["existing_trades"] += 1
        return events

    def _answer(self, guid: str | int, code: int, text: str, now: float) -> Iterator[Effect]:
        """The answer to a request of ours, which its guid tells."""
        if isinstance(guid, str):
            if (stream := self._by_guid.get(guid)) is not None:
                yield from self._subscribe_answer(stream, code, text, now)
                return
            if (leaving := self._leaving.get(guid)) is not None:
                yield from self._leaving_answer(leaving, code, now)
                return
            if guid[:1] == "p" and self._was_ours(guid):
                yield from self._ping_answer(code, text)
                return
        self._count_stray(guid)

    def _subscribe_answer(self, stream: AlorSubscription, code: int, text: str, now: float) -> Iterator[Effect]:
        match code:
            case 200:
                stream.acked = True
                yield from self._confirm(stream, now)
            case 401:
                yield from self._unauthorized(stream, text, now)
            case _:  # of the instrument, since the token was looked at before; or the venue's own trouble
                yield from self._let_in(now) if code in (400, 404) else self._heard_out()
                yield from self._refuse(stream, f"{code} {text}", now)

    def _leaving_answer(self, leaving: Leaving, code: int, now: float) -> Iterator[Effect]:
        leaving.acks_due -= 1
        if code == 401:
            yield from self._token_refused(leaving.serial)
        if leaving.acks_due > 0:
            return
        if code == 401 and not leaving.retried:
            leaving.retried = True
            self._to_leave.append(leaving)
            yield from self._send_batch(now)
            yield from self._schedule(now)
            return
        del self._leaving[leaving.guid]
        self._counts["refused_requests"] += code != 200

    def _ping_answer(self, code: int, text: str) -> Iterator[Effect]:
        self._pings.answered(understood=code in (200, 401))
        if code == 401:
            yield from self._token_refused(self._pings.serial)
        elif code != 200:
            yield from self._notice(f"pings are refused, and not sent any more: {code} {text}")

    def _unnamed_answer(self, code: int, text: str) -> Iterator[Effect]:
        self._counts["unnamed_answers"] += 1
        yield from self._notice(f"an answer to no request: {code} {text}")

    def _skip(self, place: str, reason: str) -> Skipped:
        return Skipped(BadData(place, self._tokens.clean(reason)))

    def _text(self, message: Any) -> str:
        return self._tokens.clean(message if isinstance(message, str) else "")

    def _notice(self, text: str) -> Iterator[Effect]:
        """Each text once, and not very many."""
        if text not in self._noticed and len(self._noticed) < MAX_NOTICES:
            self._noticed.add(text)
            yield Notice(text)

    def _count_stray(self, guid: str | int) -> None:
        self._counts["late_frames" if self._was_ours(guid) else "unknown_guids"] += 1

    def _was_ours(self, guid: str | int) -> bool:
        """True for a guid of this connection: they are numbered, so none has to be remembered."""
        number = guid[1:] if isinstance(guid, str) and len(guid) < 16 else ""
        return number.isascii() and number.isdigit() and 0 < int(number) <= self._last_guid

    # Subscriptions

    def _add(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            for channel in self._channels:
                subscription = Subscription(channel, symbol)
                if subscription not in self._streams:
                    self._streams[subscription] = stream = AlorSubscription(subscription, self._options)
                    self._to_send.append(stream)

    def _send_batch(self, now: float) -> Iterator[Effect]:
        """What is to be asked, as much of it as may be sent at once; without a token nothing can be."""
        token = self._tokens.current(now)
        if token is None or not self._open or now < self._next_batch:
            return
        for _ in range(BATCH):
            if self._to_leave:
                leaving = self._to_leave.popleft()
                leaving.serial = token.serial
                yield streams.unsubscribe(leaving.guid, token.text)
            elif self._to_send:
                yield self._ask(self._to_send.popleft(), token, now)
            else:
                return
            self._next_batch = now + BATCH_EVERY

    def _ask(self, stream: AlorSubscription, token: Token, now: float) -> Effect:
        stream.guid = self._new_guid(stream.subscription.channel)
        stream.serial = token.serial
        stream.state = "sent"
        stream.acked = False
        self._by_guid[stream.guid] = stream
        self._deadlines[stream.guid] = now + CONFIRM_WITHIN
        return streams.subscribe(stream, token.text)

    def _ping(self, now: float) -> Iterator[Effect]:
        token = self._tokens.current(now)
        if token is not None:
            self._pings.went(token.serial)
            yield streams.ping(self._new_guid("ping"), token.text)

    def _new_guid(self, what: str) -> str:
        """Never used on this connection: a number, and a letter that says what it is about."""
        self._last_guid += 1
        return f"{what[0]}{self._last_guid}"

    def _let_in(self, now: float) -> Iterator[Effect]:
        """The venue took our token."""
        yield from self._heard_out()
        if not self._pings.begun:
            self._pings.begin(now)
            yield from self._schedule(now)

    def _heard_out(self) -> Iterator[Effect]:
        """The venue answered a request, and not that the token is no good."""
        if not self._ready:
            self._ready = True
            yield Ready()

    def _confirm(self, stream: AlorSubscription, now: float) -> Iterator[Effect]:
        self._deadlines.pop(stream.guid, None)
        if stream.state == "sent":
            stream.state = "confirmed"
            stream.unauthorized = False
            self._tokens.granted = True
            yield from self._let_in(now)
            yield Confirmed(stream.subscription)

    def _unauthorized(self, stream: AlorSubscription, text: str, now: float) -> Iterator[Effect]:
        """The first 401 is the token's fault, the second with another token is not."""
        again = stream.unauthorized
        stream.unauthorized = not again
        if not again:
            self._forget_guid(stream)
            stream.state = "wanted"
            self._to_send.append(stream)
            yield from self._token_refused(stream.serial)
            yield from self._send_batch(now)
            yield from self._schedule(now)
            return
        self._counts["unauthorized"] += 1
        if self._tokens.granted:
            yield from self._refuse(stream, f"401 {text}", now)
        else:
            yield Fatal(f"the venue takes no access token of this account: 401 {text}")

    def _token_refused(self, serial: int) -> Iterator[Effect]:
        self._counts["unauthorized"] += 1
        if self._tokens.refused(serial):
            yield AccountDue()

    def _refuse(self, stream: AlorSubscription, reason: str, now: float) -> Iterator[Effect]:
        self._forget_guid(stream)
        stream.state = "refused"
        if now - stream.live_since > RETRY_CAP:
            stream.attempts = 0
        stream.live_since = inf
        delay = min(RETRY_FIRST * 2 ** min(stream.attempts, 16), RETRY_CAP)
        stream.attempts += 1
        stream.retry_at = now + delay
        heapq.heappush(self._retries, (stream.retry_at, stream.subscription))
        yield Refused(stream.subscription, reason)
        yield from self._schedule(now)

    def _leave(self, stream: AlorSubscription) -> None:
        stream.state = "dropped"
        if self._forget_guid(stream):
            if len(self._leaving) >= MAX_LEAVING:
                del self._leaving[next(iter(self._leaving))]
                self._counts["forgotten"] += 1
            self._leaving[stream.guid] = leaving = Leaving(stream.guid, 1 if stream.acked else 2)
            self._to_leave.append(leaving)

    def _forget_guid(self, stream: AlorSubscription) -> bool:
        """What still comes for its guid is late; False when it had none that is known."""
        self._deadlines.pop(stream.guid, None)
        self._live.pop(stream.guid.encode(), None)
        return self._by_guid.pop(stream.guid, None) is not None

    def _schedule(self, now: float) -> Iterator[Effect]:
        """One WakeAt for whatever comes first, when that has changed."""
        first_deadline = next(iter(self._deadlines.values()), inf)
        first_retry = self._retries[0][0] if self._retries else inf
        may_send = self._open and self._tokens.current(now) is not None
        next_batch = self._next_batch if may_send and (self._to_leave or self._to_send) else inf
        wake = min(first_deadline, first_retry, next_batch, self._pings.next_at)
        if wake != self._wake and wake != inf:
            self._wake = wake
            yield WakeAt(wake)
