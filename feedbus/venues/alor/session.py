"""The conversation with ALOR on one connection: subscriptions by guid, each message with the account's token. Pure.

Every request has a guid of ours, and everything that the venue sends because of it has the same guid. Data and the
answer to a request come in either order, and both confirm the subscription. A 401 means that the venue doesn't accept
the token: the Account is told, and the request is made again with the next token. A second 401 in a row refuses the
subscription. When a token expires, the subscriptions that were made with it go on, so a token is only needed to make
requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw

from feedbus.errors import BadData, TimedOut
from feedbus.schema.events import BookSnapshot, Event
from feedbus.venues.alor import requests
from feedbus.venues.alor.payloads import NO_DATA, UNNAMED, decode_envelope, decode_text
from feedbus.venues.alor.ping import SILENCE, Pings
from feedbus.venues.alor.requests import AlorSubscription, EndingSubscription, Known, Options
from feedbus.venues.alor.tokens import AccessTokens, Token
from feedbus.venues.fields import DECODE_ERRORS, LARGE, OtherInstrument, too_dear
from feedbus.venues.problems import Problems, not_whole
from feedbus.venues.protocol import AccountDue, Close, Effect, Fatal, Notice, Ready, Send, Skipped, Subscription
from feedbus.venues.sessions import SubscribingSession
from feedbus.venues.subscriptions import Leaving, Request, RequestPace, Subscriptions

CONFIRM_WITHIN = 10.0  # seconds for the first answer to a subscription, or its first data
# The venue says nothing about a pace: its users' programs keep this one, and what it answers sooner is asked sooner. So
# answers and first pictures never fill its buffer of 5000 messages. A lost answer to an unsubscribe does no harm.
PACE = RequestPace(
    requests=10, every=0.25, answer_within=CONFIRM_WITHIN, answered=frozenset({"subscribe"}), as_answered=True
)
MAX_ENDING = 5000  # subscriptions given up whose acks have not come; the venue allows so many in all
MAX_NOTICES = 8

TAIL = 64  # a frame of data ends with its guid, within so many bytes
GUID = b'"guid":"'


class Session(SubscribingSession[AlorSubscription]):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(
        self,
        tokens: AccessTokens,
        options: Options,
        channels: Sequence[str],
        symbols: Sequence[str],
        known: Known | None = None,
    ) -> None:
        self._known = known = Known() if known is None else known

        def track(subscription: Subscription) -> AlorSubscription:
            return AlorSubscription(subscription, options, known)

        super().__init__(Subscriptions(channels, PACE, track=track, build=self._build, sent=self._note_sent), symbols)
        self._tokens = tokens
        self._token = Token("", 0)  # the token of the requests that are sent during the present call
        self._by_guid: dict[str, AlorSubscription] = {}
        self._live: dict[bytes, AlorSubscription] = {}  # the live ones, whose frames only have to be decoded
        self._ending: dict[str, EndingSubscription] = {}  # given up, and not acknowledged yet
        self._pings = Pings()
        self._open = False
        self._ready = False
        self._noticed: set[str] = set()

    # What the shell reports

    def opened(self, now: float) -> Iterator[Effect]:
        """Send the first requests if there is a token. Otherwise `tick` will, which is called once the Account has
        one."""
        self._open = True
        yield from self.send_due(now)

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always data of a subscription that is live."""
        self._pings.frame_received(now)
        if len(data) > LARGE and (reason := too_dear(data)):
            return (self._skip("frame", reason),)
        at = data.rfind(GUID, -TAIL)
        if at < 0:
            return list(self._any_frame(data, ts_recv, now))
        at += len(GUID)
        tracked = self._live.get(bytes(data[at : data.find(b'"', at)]))
        if tracked is None:
            return list(self._any_frame(data, ts_recv, now))
        try:
            frame = tracked.decode(data)
        except DECODE_ERRORS:
            return list(self._any_frame(data, ts_recv, now))
        if frame.guid != tracked.guid:  # what looked like the end of the envelope was inside of its data
            return list(self._any_frame(data, ts_recv, now))
        return self._events(tracked, frame.data, ts_recv)

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, pings and the next batch of requests."""
        if self._pings.due(now):
            if self._pings.dead(now):
                yield Close(TimedOut(f"nothing came for {SILENCE:g} s, not even answers to pings"))
                return
            yield from self._ping(now)
        yield from super().tick(now)

    def dropped(self, tracked: AlorSubscription) -> None:
        """Forget what is known of a subscription that was given up, and expect its end."""
        self._known.bars.pop(tracked.subscription, None)
        self._expect_end(tracked)

    def asked_in_vain(self, tracked: AlorSubscription) -> None:
        """End the subscription of the guid that the venue hasn't answered: the next request has another one."""
        self.subscriptions.ask_to_end(Leaving(tracked.subscription, tracked.request))
        self._expect_end(tracked)

    def deadlines(self) -> Sequence[float]:
        """When the next ping is due."""
        return (self._pings.next_at,)

    def may_send(self, now: float) -> bool:
        """False without a token, since every request needs one. `tick` is called once the Account has one."""
        token = self._tokens.current(now)
        self.subscriptions.is_open = self._open and token is not None
        self._token = token or self._token
        return token is not None

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals since the session began:

        late_frames       frames of subscriptions that were given up
        unknown_guids     frames that name no subscription of ours
        other_instruments data that names another symbol than the one subscribed, which is not published
        existing_trades   trades of before the subscription, which are not published
        repeated_bars     bars that are known as they are, or are older than the two newest; they are not published
        unchanged_instruments  messages about an instrument that change nothing that is published of it
        unauthorized      answers with code 401
        unanswered        requests that weren't answered in time
        refused_requests  requests to end a subscription that the venue refused
        unnamed_answers   answers that don't say which request they belong to
        forgotten         ended subscriptions that the venue never acknowledged
        pings, pongs      sent and received
        pings_unanswered  pings to which no pong came in time
        """
        return {**self.counts, "pings": self._pings.sent, "pings_unanswered": self._pings.unanswered}

    # Frames

    def _any_frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        if bytes(data[:8]).strip() == b"pong":  # other clients have seen this older form of an answer to a ping
            self.counts["pongs"] += 1
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
        tracked = self._by_guid.get(guid) if isinstance(guid, str) else None
        if tracked is None:
            self._count_stray(guid)
            return
        yield from self._confirm(tracked, now)
        problems = Problems(tracked.place, below_zero=True)
        try:
            body = self._decoded(tracked, data, problems)
        except DECODE_ERRORS as error:
            yield self._skip(tracked.place, str(error), tracked.subscription)
            return
        yield from (self._skip(error.place, error.reason) for error in problems.errors())
        self.counts.update(problems.left_out())
        events = self._events(tracked, body, ts_recv)
        if problems.thinned:
            events = [not_whole(it, problems.thinned) if isinstance(it, BookSnapshot) else it for it in events]
        works = isinstance(events[0], Event) if events else tracked.idles
        if works and tracked.state == "confirmed":
            self.subscriptions.data(tracked, now)
            self._live[tracked.guid.encode()] = tracked
        yield from events

    def _decoded(self, tracked: AlorSubscription, data: bytes | bytearray, problems: Problems) -> Any:
        """The body of a frame, without what is out of bounds in it. Raises one of DECODE_ERRORS."""
        try:
            return tracked.decode(data).data
        except DECODE_ERRORS as error:
            refusal = (
                error  # it says what is wrong, where the error of the loose decoder only says that it is no better
            )
        try:
            body = tracked.decode_loosely(data).data
        except DECODE_ERRORS:
            raise refusal from None
        problems.clean(body)
        return body

    def _events(self, tracked: AlorSubscription, body: Any, ts_recv: int) -> Sequence[Effect]:
        if tracked.code and body.symbol != tracked.code and body.symbol and body.symbol != UNNAMED:
            self.counts["other_instruments"] += 1
            return (self._skip(tracked.place, str(OtherInstrument(body.symbol)), tracked.subscription),)
        events = tracked.events(body, tracked.symbol, ts_recv)
        if not events:
            self.counts[tracked.passed_over] += 1
        return events

    def _answer(self, guid: str | int, code: int, text: str, now: float) -> Iterator[Effect]:
        """The answer to a request of ours, which its guid tells."""
        if isinstance(guid, str):
            if (tracked := self._by_guid.get(guid)) is not None:
                yield from self._subscribe_answer(tracked, code, text, now)
                return
            if (ending := self._ending.get(guid)) is not None:
                yield from self._ending_answer(ending, code, now)
                return
            if guid[:1] == "p" and self._was_ours(guid):
                yield from self._ping_answer(code, text)
                return
        self._count_stray(guid)

    def _subscribe_answer(self, tracked: AlorSubscription, code: int, text: str, now: float) -> Iterator[Effect]:
        match code:
            case 200:
                tracked.acked = True
                yield from self._confirm(tracked, now)
            case 401:
                yield from self._unauthorized(tracked, text, now)
            case _:  # the venue checks the token first, so this is about the instrument, or a failure of the venue
                yield from self._token_accepted(now) if code in (400, 404) else self._report_ready()
                yield from self._refuse(tracked, f"{code} {text}", now)

    def _ending_answer(self, ending: EndingSubscription, code: int, now: float) -> Iterator[Effect]:
        ending.acks_due -= 1
        if code == 401:
            yield from self._token_refused(ending.serial)
        if ending.acks_due > 0:
            return
        if code == 401 and not ending.retried:
            ending.retried = True
            self.subscriptions.ask_to_end(ending.leaving)
            yield from self.send_due(now)
            return
        del self._ending[ending.guid]
        self.counts["refused_requests"] += code != 200

    def _ping_answer(self, code: int, text: str) -> Iterator[Effect]:
        self._pings.answered(understood=code in (200, 401))
        if code == 401:
            yield from self._token_refused(self._pings.serial)
        elif code != 200:
            yield from self._notice(f"pings are refused, and not sent any more: {code} {text}")

    def _unnamed_answer(self, code: int, text: str) -> Iterator[Effect]:
        self.counts["unnamed_answers"] += 1
        yield from self._notice(f"an answer to no request: {code} {text}")

    def _skip(self, place: str, reason: str, subscription: Subscription | None = None) -> Skipped:
        return Skipped(BadData(place, self._tokens.clean(reason)), subscription)

    def _text(self, message: Raw) -> str:
        """The text of an answer; a message that isn't text says nothing."""
        try:
            return self._tokens.clean(decode_text(message) if message else "")
        except DECODE_ERRORS:
            return self._tokens.clean("")

    def _notice(self, text: str) -> Iterator[Effect]:
        """Report a text once, and at most MAX_NOTICES different ones."""
        if text not in self._noticed and len(self._noticed) < MAX_NOTICES:
            self._noticed.add(text)
            yield Notice(text)

    def _count_stray(self, guid: str | int) -> None:
        self.counts["late_frames" if self._was_ours(guid) else "unknown_guids"] += 1

    def _was_ours(self, guid: str | int) -> bool:
        """True for a guid of this connection: they are numbered, so none has to be remembered."""
        number = guid[1:] if isinstance(guid, str) and len(guid) < 16 else ""
        return number.isascii() and number.isdigit() and 0 < int(number) <= self.subscriptions.last_number

    # Subscriptions

    def _build(self, request: Request[AlorSubscription]) -> str:
        """The message of one request, which is about one subscription."""
        if request.leaving:
            return requests.unsubscribe(guid_of(request.leaving[0]), self._token.text)
        [tracked] = request.wanted
        guid = guid_of(Leaving(tracked.subscription, request.number))
        return requests.subscribe(tracked, guid, self._token.text, self._tokens.time_ns(request.sent_at))

    def _note_sent(self, request: Request[AlorSubscription]) -> None:
        """A request goes out: from now on frames with its guid belong to its subscription."""
        for leaving in request.leaving:
            ending = self._ending.get(guid_of(leaving))
            if ending is not None:
                ending.serial = self._token.serial
        for tracked in request.wanted:
            tracked.guid = guid_of(Leaving(tracked.subscription, request.number))
            tracked.serial = self._token.serial
            tracked.acked = False
            self._by_guid[tracked.guid] = tracked

    def _expect_end(self, tracked: AlorSubscription) -> None:
        """Remember a subscription that is being ended until the venue has acknowledged its end, so that the
        acknowledgements that are still to come aren't counted as unknown."""
        if self._forget_guid(tracked):
            if len(self._ending) >= MAX_ENDING:
                del self._ending[next(iter(self._ending))]
                self.counts["forgotten"] += 1
            leaving = Leaving(tracked.subscription, tracked.request)
            self._ending[tracked.guid] = EndingSubscription(tracked.guid, leaving, 1 if tracked.acked else 2)

    def _ping(self, now: float) -> Iterator[Effect]:
        token = self._tokens.current(now)
        if token is not None:
            self._pings.ping_sent(token.serial)
            yield Send(requests.ping(f"p{self.subscriptions.new_number()}", token.text))

    def _token_accepted(self, now: float) -> Iterator[Effect]:
        """The venue accepted our token, so the conversation is open, and pings can begin."""
        yield from self._report_ready()
        if not self._pings.begun:
            self._pings.begin(now)
            yield from self.schedule()

    def _report_ready(self) -> Iterator[Effect]:
        """Report Ready at the first answer that doesn't reject the token."""
        if not self._ready:
            self._ready = True
            yield Ready()

    def _confirm(self, tracked: AlorSubscription, now: float) -> Iterator[Effect]:
        self.subscriptions.answered(tracked.request, now)
        confirmed = self.subscriptions.confirm(tracked, now)
        if confirmed:
            tracked.unauthorized = False
            self._tokens.granted = True
            yield from self._token_accepted(now)
            yield from confirmed
        yield from self.send_early(now)

    def _unauthorized(self, tracked: AlorSubscription, text: str, now: float) -> Iterator[Effect]:
        """After the first 401 the token is to blame, and the request is repeated with the next one. After a second 401
        it isn't the token."""
        self.subscriptions.answered(tracked.request, now)
        again = tracked.unauthorized
        tracked.unauthorized = not again
        if not again:
            self._forget_guid(tracked)
            self.subscriptions.repeat(tracked)
            yield from self._token_refused(tracked.serial)
            yield from self.send_due(now)
            return
        self.counts["unauthorized"] += 1
        if self._tokens.granted:
            yield from self._refuse(tracked, f"401 {text}", now)
        else:
            yield Fatal(f"the venue takes no access token of this account: 401 {text}")

    def _token_refused(self, serial: int) -> Iterator[Effect]:
        self.counts["unauthorized"] += 1
        if self._tokens.refused(serial):
            yield AccountDue()

    def _refuse(self, tracked: AlorSubscription, reason: str, now: float) -> Iterator[Effect]:
        self.subscriptions.answered(tracked.request, now)
        self._forget_guid(tracked)
        yield from self.subscriptions.refuse(tracked, reason, now)
        yield from self.send_due(now)

    def _forget_guid(self, tracked: AlorSubscription) -> bool:
        """Stop routing frames by this guid: what still comes for it counts as late. False when it wasn't known."""
        self.subscriptions.forget(tracked.request)
        self._live.pop(tracked.guid.encode(), None)
        return self._by_guid.pop(tracked.guid, None) is not None


def guid_of(asked: Leaving) -> str:
    """The guid of a request on this connection, never used before: its number, after a letter for what it is about."""
    return f"{asked.subscription.channel[0]}{asked.request}"
