"""The conversation with MOEX ISS+ on one connection: STOMP frames in, effects out. Pure.

CONNECT is answered by CONNECTED, which carries a catalogue of about 104 KB. Then a SUBSCRIBE goes out for each channel
and symbol, with an id of its own; a RECEIPT or an ERROR answers it, and its MESSAGEs are routed by that id alone. Data
may come before the RECEIPT, and confirms as well. Source: https://moexalgo.github.io (docs/websocket) and the official
client `moexalgo`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.mask import Mask
from feedbus.schema.events import Event, MarketData
from feedbus.text import one_line
from feedbus.venues.fields import LARGE, too_dear
from feedbus.venues.moex import stomp
from feedbus.venues.moex.channels import AllNewestBars, MoexSubscription, decoder
from feedbus.venues.moex.message_order import StaleMessage
from feedbus.venues.moex.replies import error_text, is_transient, stream_names
from feedbus.venues.moex.securities import OtherTicker
from feedbus.venues.moex.symbols import destination, selector
from feedbus.venues.moex.trade_times import TradeTimes
from feedbus.venues.protocol import Close, Effect, Fatal, Notice, Ready, Send, Skipped, Subscription
from feedbus.venues.sessions import OutOfStep, SubscribingSession
from feedbus.venues.subscriptions import Leaving, Request, RequestPace, Subscriptions

GUEST = {"domain": "DEMO", "login": "guest", "passcode": "guest"}
PUBLIC = frozenset(GUEST.values())

CONFIRM_WITHIN = 10.0  # seconds for CONNECTED, and for each RECEIPT
# The venue publishes no limit and asks for small pauses between SUBSCRIBEs: ten of them and as many more as it answers,
# which takes a round trip. It doesn't answer an UNSUBSCRIBE.
PACE = RequestPace(
    requests=10, every=0.1, answer_within=CONFIRM_WITHIN, answered=frozenset({"subscribe"}), as_answered=True
)
MAX_NOTICED_COMMANDS = 8
SECURITIES = "securities"
HEAD = 400  # bytes in which the headers of a MESSAGE lie
DECODER_TOTALS = ("seqnum_regressions", "values_left_out", "levels_left_out")


def mask_of(credentials: Mapping[str, str]) -> Mask:
    """What hides our credentials. Those of the guest are public, so they stay readable."""
    return Mask(value for value in credentials.values() if value not in PUBLIC)


class Session(SubscribingSession[MoexSubscription]):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        symbols: Sequence[str],
        newest_bars: AllNewestBars,
    ) -> None:
        def track(subscription: Subscription) -> MoexSubscription:
            return MoexSubscription(subscription, newest_bars, self._trade_times)

        self._trade_times = TradeTimes()

        super().__init__(Subscriptions(channels, PACE, track=track, build=_build, sent=self._note_sent), symbols)
        self._credentials = credentials
        self._mask = mask_of(credentials)
        self._newest_bars = newest_bars
        self._by_id: dict[bytes, MoexSubscription] = {}
        self._login_deadline = inf
        self._ready = False
        self._named: frozenset[str] | None = (
            None  # streams that need no Notice (any more); None while there is no catalogue
        )
        self._seen_commands: set[str] = set()

    # What the shell reports

    def opened(self, now: float) -> Iterator[Effect]:
        """Log in. The CONNECT has exactly three headers, because the real gateway answered further ones with errors."""
        self._login_deadline = now + CONFIRM_WITHIN
        yield Send(stomp.build("CONNECT", self._credentials))
        yield from self.schedule()

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always one MESSAGE of a subscription that is live."""
        if len(data) > LARGE and (reason := too_dear(data)):
            return (Skipped(BadData("frame", reason)),)
        usual = stomp.split_message(data)
        if usual is not None:
            tracked = self._by_id.get(usual[0])
            if tracked is not None and tracked.state == "live":
                return self._data(tracked, usual[1], ts_recv, now)
        return list(self._any_frames(data, ts_recv, now))

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, and the next batch of SUBSCRIBEs."""
        if self._login_deadline <= now:
            yield Close(TimedOut(f"no CONNECTED within {CONFIRM_WITHIN:g} s"))
            return
        yield from super().tick(now)

    def asked_in_vain(self, tracked: MoexSubscription) -> None:
        """End the subscription of the id that the venue hasn't answered: the next SUBSCRIBE has another one."""
        self.subscriptions.ask_to_end(Leaving(tracked.subscription, tracked.request))
        self._forget_id(tracked)

    def made_anew(self, tracked: MoexSubscription, now: float) -> Iterable[Effect]:
        """Nobody waits for the RECEIPT of the id that is ended."""
        self.subscriptions.forget(tracked.request)
        return super().made_anew(tracked, now)

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Take these symbols too."""
        self.subscriptions.want(symbols)
        yield from self._report_unnamed()
        yield from self.send_due(now)

    def dropped(self, tracked: MoexSubscription) -> None:
        """Forget everything about a subscription that was given up, except its totals."""
        self._forget_id(tracked)
        self._retire_decoder(tracked)
        self._newest_bars.pop(tracked.subscription, None)

    def closing(self) -> Iterator[Effect]:
        """Send DISCONNECT if we were logged in."""
        if self._ready:
            yield Send(stomp.build("DISCONNECT", {}))

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals: heartbeats, unknown_ids, unknown_commands, replies, errors, unanswered, seqnum_regressions,
        other_instruments (messages about another TICKER than the one subscribed, after which it is subscribed anew),
        stale_messages (of securities and candles, which came before and aren't applied again);
        values_left_out (prices of 0, and what is out of bounds), levels_left_out (rows of a book without a price or a
        size).
        """
        decoders = [tracked.decoder for tracked in self.subscriptions.tracked.values()]
        totals = {name: sum(getattr(decoder, name) for decoder in decoders) for name in DECODER_TOTALS}
        return {**self.counts, **{name: self.counts[name] + total for name, total in totals.items()}}

    def lateness(self) -> int | None:
        """By the times of the trades that `securities` tells of: messages may bear the time at which they are sent."""
        return self._trade_times.take()

    def deadlines(self) -> Sequence[float]:
        """The time by which CONNECTED has to come; infinity once it has."""
        return (self._login_deadline,)

    # Frames

    def _any_frames(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        frame = None
        try:
            for frame in stomp.frames(data):
                yield from self._frame(frame, ts_recv, now)
        except BadData as error:
            yield from self._damaged(self._about(data), error, now)
            return
        if frame is None:
            self.counts["heartbeats"] += 1

    def _frame(self, frame: stomp.StompFrame, ts_recv: int, now: float) -> Iterator[Effect]:
        match frame.command:
            case "MESSAGE":
                yield from self._message(frame, ts_recv, now)
            case "RECEIPT":
                tracked = self._find(frame)
                if tracked is not None:
                    yield from self._confirm(tracked, now)
            case "ERROR":
                yield from self._error(frame, now)
            case "CLOSED":
                tracked = self._find(frame)
                if tracked is not None:
                    yield from self._refuse(tracked, "CLOSED by the venue", now)
            case "CONNECTED":
                yield from self._connected(frame, now)
            case "REPLY":
                self.counts["replies"] += 1
            case command:
                self.counts["unknown_commands"] += 1
                if command not in self._seen_commands and len(self._seen_commands) < MAX_NOTICED_COMMANDS:
                    self._seen_commands.add(command)
                    yield Notice(f"an unknown STOMP command: {command[:40]}")

    def _find(self, frame: stomp.StompFrame) -> MoexSubscription | None:
        """Returns the subscription that a frame is about. The id alone decides; an unknown one is counted."""
        name = frame.headers.get("subscription") or frame.headers.get("receipt-id") or ""
        tracked = self._by_id.get(name.encode())
        if tracked is None:
            self.counts["unknown_ids"] += 1
        return tracked

    def _connected(self, frame: stomp.StompFrame, now: float) -> Iterator[Effect]:
        if self._ready:
            yield Notice("a second CONNECTED")
            return
        self._ready = self.subscriptions.is_open = True
        self._login_deadline = inf
        yield Ready()
        try:
            self._named = stream_names(frame.body)
        except BadData as error:
            yield Skipped(error)
        yield from self._report_unnamed()
        yield from self.send_due(now)

    def _report_unnamed(self) -> Iterator[Effect]:
        """Report streams that the catalogue doesn't name. They are subscribed nevertheless: the catalogue may be
        old."""
        if self._named is None:
            return
        unnamed = {destination(subscription) for subscription in self.subscriptions.tracked} - self._named
        self._named |= unnamed
        for wanted in sorted(unnamed):
            yield Notice(f"CONNECTED does not name the stream {wanted}; trying it all the same")

    def _error(self, frame: stomp.StompFrame, now: float) -> Iterator[Effect]:
        self.counts["errors"] += 1
        said = error_text(frame)
        text = one_line(self._mask.hide(said), empty="no message")  # the venue might echo it
        if not self._ready:
            if is_transient(said):
                yield Close(VenueError(f"login failed: {text}"))
            else:
                yield Fatal(text)
        elif "subscription" in frame.headers or "receipt-id" in frame.headers:
            tracked = self._find(frame)
            if tracked is not None:
                yield from self._refuse(tracked, text, now)
        elif "gateway.not-connected" in said:
            yield Close(VenueError(f"logged out: {text}"))
        else:
            yield Notice(f"ERROR: {text}")

    def _message(self, frame: stomp.StompFrame, ts_recv: int, now: float) -> Iterator[Effect]:
        tracked = self._find(frame)
        if tracked is None:
            return
        asked_as = tracked.request
        effects = self._data(tracked, frame.body, ts_recv, now)
        if tracked is self._by_id.get(_id(asked_as)):  # otherwise the message was out of step, and it confirms nothing
            yield from self._confirm(tracked, now)
            if effects and isinstance(effects[-1], Event):
                self.subscriptions.data(tracked, now)
        yield from effects

    def _data(self, tracked: MoexSubscription, body: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        try:
            found = tracked.decoder.decode(body, ts_recv)
        except OutOfStep as error:
            self.counts["other_instruments"] += isinstance(error, OtherTicker)
            self.subscriptions.answered(tracked.request, now)
            self._forget_id(tracked)
            return tuple(self.out_of_step(tracked, error, now))
        except BadData as error:
            self.counts["stale_messages"] += isinstance(error, StaleMessage)
            return (Skipped(error),)
        events: Sequence[MarketData] = found if isinstance(found, list) else () if found is None else (found,)
        if tracked.decoder.problems:
            return (*map(Skipped, tracked.decoder.problems), *events)
        return events

    def _about(self, data: bytes | bytearray) -> MoexSubscription | None:
        """The subscription that the beginning of a message names which can't be read as a whole."""
        _, found, rest = bytes(data[:HEAD]).partition(b"\nsubscription:")
        return self._by_id.get(rest.partition(b"\n")[0].strip()) if found else None

    def _damaged(self, tracked: MoexSubscription | None, error: BadData, now: float) -> Iterator[Effect]:
        """A message can't be read. The next picture makes up for it, but where only changes come, they are got anew."""
        if tracked is None or tracked.subscription.channel != SECURITIES or tracked.state != "live":
            yield Skipped(error, None if tracked is None else tracked.subscription)
            return
        self.subscriptions.answered(tracked.request, now)
        self._forget_id(tracked)
        yield from self.out_of_step(tracked, OutOfStep(error.place, error.reason), now)

    # Subscriptions

    def _note_sent(self, request: Request[MoexSubscription]) -> None:
        """A SUBSCRIBE goes out. Its messages will have its id, and a new decoder begins with the next snapshot."""
        for tracked in request.wanted:
            self._retire_decoder(tracked)
            tracked.decoder = decoder(tracked.subscription, self._newest_bars, self._trade_times)
            self._by_id[_id(request.number)] = tracked

    def _confirm(self, tracked: MoexSubscription, now: float) -> Sequence[Effect]:
        self.subscriptions.answered(tracked.request, now)
        return (*self.subscriptions.confirm(tracked, now), *self.send_early(now))

    def _refuse(self, tracked: MoexSubscription, reason: str, now: float) -> Sequence[Effect]:
        self.subscriptions.answered(tracked.request, now)
        self._forget_id(tracked)
        return (*self.subscriptions.refuse(tracked, reason, now), *self.send_due(now))

    def _forget_id(self, tracked: MoexSubscription) -> None:
        self._by_id.pop(_id(tracked.request), None)

    def _retire_decoder(self, tracked: MoexSubscription) -> None:
        """Add a decoder's totals to those of the session, before the decoder is replaced."""
        for name in DECODER_TOTALS:
            self.counts[name] += getattr(tracked.decoder, name)
            setattr(tracked.decoder, name, 0)


def _id(number: int) -> bytes:
    return b"%d" % number


def _build(request: Request[MoexSubscription]) -> bytes:
    """The frame of one request, which is about one subscription."""
    if request.leaving:
        return stomp.build("UNSUBSCRIBE", {"id": str(request.leaving[0].request)})
    [tracked] = request.wanted
    name = str(request.number)
    headers = {"destination": destination(tracked.subscription), "id": name, "receipt": name}
    return stomp.build("SUBSCRIBE", {**headers, "selector": selector(tracked.subscription)})
