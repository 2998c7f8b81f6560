"""MOEX ISS+ ("infocx"): STOMP over WebSocket at wss://iss.moex.com/infocx/v3/websocket. Pure.

| channel     | kinds published | what the venue sends                                                             |
|-------------|-----------------|----------------------------------------------------------------------------------|
| orderbooks  | book            | the full book (10 + 10 levels), conflated by the venue to about 4 a second       |
| securities  | ticker          | a snapshot, then the changed cells; `status` is TRADINGSTATUS (T trading, N not) |
| candles.M1  | bar, 60 s       | 256 candles, then about every 5 s the current one; see moex_candles.py for what  |
| candles.M10 | bar, 600 s      | becomes of them. `volume` is VOLUME, in securities (not lots), `turnover` is     |
| candles.H1  | bar, 3600 s     | VALUE, in the settlement currency                                                |
| candles.D1  | bar, 86400 s    |                                                                                  |

Units: sizes in books are lots; a ticker's `volume` is VOLTODAY, in securities (not lots), its `turnover` VALTODAY, in
the settlement currency. Symbols: see moex_symbols.py. Without `channels` it is orderbooks and securities.

The conversation: CONNECT, CONNECTED (with a catalogue of ~104 KB), then a SUBSCRIBE per channel and symbol, each
answered by RECEIPT or ERROR, and MESSAGEs that are routed by their `subscription` header alone. Source of the rules:
https://moexalgo.github.io (docs/websocket) and the official client `moexalgo`.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import ClassVar

import msgspec

from feedbus.errors import BadData, ConfigError, TimedOut, VenueError
from feedbus.schema.events import Event, MarketData
from feedbus.text import masked, one_line
from feedbus.venues.moex import stomp
from feedbus.venues.moex.body import VENUE, OutOfStep
from feedbus.venues.moex.candles import Kept
from feedbus.venues.moex.catalogue import stream_names
from feedbus.venues.moex.errors import error_text, is_transient
from feedbus.venues.moex.listing import MoexListing, why_no_board
from feedbus.venues.moex.streams import CHANNELS, STATES, USUAL, AllKept, MoexSubscription, decoder
from feedbus.venues.moex.symbols import destination, selector, why_not
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Effect,
    Fatal,
    Limits,
    NoFetches,
    NoOptions,
    Notice,
    OpenAccount,
    Ready,
    Refused,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)

GUEST = {"domain": "DEMO", "login": "guest", "passcode": "guest"}

CONFIRM_WITHIN = 10.0  # seconds for CONNECTED, and for each RECEIPT
SUBSCRIBE_BATCH = 10  # subscriptions sent at once, every SUBSCRIBE_EVERY seconds: the venue asks for small pauses
SUBSCRIBE_EVERY = 0.1
RETRY_FIRST = 5.0  # seconds until a refused or ended subscription is asked for again; doubles
RETRY_CAP = 900.0  # the longest pause; a subscription that was live for longer begins anew


class Account(OpenAccount):
    """Credentials, channels, and the rules for symbols, shared by all connections. The venue publishes no limits."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    venue = VENUE
    subprotocols: Sequence[str] = ("STOMP",)
    services: Mapping[str, str] = {"rest": "https://iss.moex.com"}
    limits = Limits()

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        options: msgspec.Struct | None = None,  # noqa: ARG002 - there are none
    ) -> None:
        for name in credentials:
            if name not in GUEST:
                raise ConfigError(f"credentials: unknown key {name!r}; there are: {', '.join(GUEST)}")
        for channel in channels:
            if channel not in CHANNELS:
                raise ConfigError(f"channels: unknown channel {channel!r}; there are: {', '.join(CHANNELS)}")
        self._credentials = {**GUEST, **credentials}
        for name, value in self._credentials.items():
            if not value or not value.isprintable():
                raise ConfigError(f"credentials: {name} is empty or holds a control character")
        self.channels = tuple(dict.fromkeys(channels)) or USUAL
        self._kept: dict[Subscription, Kept] = {}

    def clean(self, text: str) -> str:
        """The text without the passcode, unless that is the guest's, which everybody knows."""
        return without_passcode(text, self._credentials)

    def check_symbol(self, symbol: str) -> str | None:
        """Why this symbol can't be subscribed, or None."""
        return why_not(symbol)

    @staticmethod
    def check_board(board: str) -> str | None:
        """Why the papers of this board can't be listed, or None."""
        return why_no_board(board)

    def listing(self, boards: Sequence[str]) -> MoexListing:
        """A new conversation about what these boards list."""
        return MoexListing(boards)

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self._credentials, self.channels, symbols, self._kept)


def without_passcode(text: str, credentials: Mapping[str, str]) -> str:
    """Foreign text in which our passcode isn't readable; the guest's needn't be hidden."""
    passcode = credentials["passcode"]
    return text if passcode == GUEST["passcode"] else masked(text, [passcode])


class Session(NoFetches):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        symbols: Sequence[str],
        kept: AllKept,
    ) -> None:
        self._credentials = credentials
        self._kept = kept
        self._channels = channels
        self._streams: dict[Subscription, MoexSubscription] = {}
        self._by_id: dict[bytes, MoexSubscription] = {}
        self._to_send: deque[MoexSubscription] = deque()
        self._deadlines: dict[bytes, float] = {}  # of what was sent and not confirmed; the earliest first
        self._retries: list[tuple[float, Subscription]] = []
        self._next_batch = 0.0
        self._wake = inf
        self._last_id = 0
        self._ready = False
        self._named: frozenset[str] | None = None  # streams that need no notice; None: no catalogue
        self._seen_commands: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._add(symbols)

    # What the shell reports

    def opened(self, now: float) -> Iterator[Effect]:
        """Log in. Exactly these three headers: more of them gave errors at the real gateway."""
        self._deadlines[b"CONNECTED"] = now + CONFIRM_WITHIN
        yield Send(stomp.build("CONNECT", self._credentials))
        yield from self._schedule()

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always one MESSAGE of a subscription that is live."""
        usual = stomp.split_message(data)
        if usual is not None:
            stream = self._by_id.get(usual[0])
            if stream is not None and stream.state == "live":
                return self._data(stream, usual[1], ts_recv, now)
        return list(self._any_frames(data, ts_recv, now))

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, and the next batch of SUBSCRIBEs."""
        self._wake = inf
        late = next(iter(self._deadlines.items()), None)
        if late is not None and late[1] <= now:
            what = "CONNECTED" if late[0] == b"CONNECTED" else f"RECEIPT for {self._by_id[late[0]].subscription}"
            yield Close(TimedOut(f"no {what} within {CONFIRM_WITHIN:g} s"))
            return
        while self._retries and self._retries[0][0] <= now:
            stream = self._streams.get(heapq.heappop(self._retries)[1])
            if stream is not None and stream.state == "refused" and stream.retry_at <= now:
                stream.state = "wanted"
                self._to_send.append(stream)
        yield from self._send_batch(now)
        yield from self._schedule()

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Take these symbols too."""
        self._add(symbols)
        yield from self._report_unnamed()
        yield from self._send_batch(now)
        yield from self._schedule()

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up; what still comes for them is counted and passed over."""
        for symbol in symbols:
            for channel in self._channels:
                stream = self._streams.pop(Subscription(channel, symbol), None)
                if stream is not None:
                    yield from self._drop_id(stream)
                    self._retire_decoder(stream)
                    self._kept.pop(stream.subscription, None)
                    stream.state = "dropped"
        yield from self._send_batch(now)
        yield from self._schedule()

    def closing(self) -> Iterator[Effect]:
        """Say goodbye, when we were let in."""
        if self._ready:
            yield Send(stomp.build("DISCONNECT", {}))

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals: heartbeats, unknown_ids, unknown_commands, replies, errors, seqnum_regressions."""
        regressions = sum(stream.decoder.seqnum_regressions for stream in self._streams.values())
        return {**self._counts, "seqnum_regressions": self._counts["seqnum_regressions"] + regressions}

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state; a symbol counts as its least advanced channel."""
        states: dict[str, str] = {}
        for stream in self._streams.values():
            symbol = stream.subscription.symbol
            states[symbol] = min(states.get(symbol, stream.state), stream.state, key=STATES.index)
        return dict(Counter(states.values()))

    # Frames

    def _any_frames(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterator[Effect]:
        frame = None
        try:
            for frame in stomp.frames(data):
                yield from self._frame(frame, ts_recv, now)
        except BadData as error:
            yield Skipped(error)
            return
        if frame is None:
            self._counts["heartbeats"] += 1

    def _frame(self, frame: stomp.StompFrame, ts_recv: int, now: float) -> Iterator[Effect]:
        match frame.command:
            case "MESSAGE":
                yield from self._message(frame, ts_recv, now)
            case "RECEIPT":
                stream = self._find(frame)
                if stream is not None:
                    yield from self._confirm(stream)
            case "ERROR":
                yield from self._error(frame, now)
            case "CLOSED":
                stream = self._find(frame)
                if stream is not None:
                    yield from self._refuse(stream, "CLOSED by the venue", now)
            case "CONNECTED":
                yield from self._connected(frame, now)
            case "REPLY":
                self._counts["replies"] += 1
            case command:
                self._counts["unknown_commands"] += 1
                if command not in self._seen_commands and len(self._seen_commands) < 8:
                    self._seen_commands.add(command)
                    yield Notice(f"an unknown STOMP command: {command[:40]}")

    def _find(self, frame: stomp.StompFrame) -> MoexSubscription | None:
        """The subscription that a frame is about, by its id alone."""
        name = frame.headers.get("subscription") or frame.headers.get("receipt-id") or ""
        stream = self._by_id.get(name.encode())
        if stream is None:
            self._counts["unknown_ids"] += 1
        return stream

    def _connected(self, frame: stomp.StompFrame, now: float) -> Iterator[Effect]:
        if self._ready:
            yield Notice("a second CONNECTED")
            return
        self._ready = True
        self._deadlines.pop(b"CONNECTED", None)
        yield Ready()
        try:
            self._named = stream_names(frame.body)
        except BadData as error:
            yield Skipped(error)
        yield from self._report_unnamed()
        yield from self._send_batch(now)
        yield from self._schedule()

    def _report_unnamed(self) -> Iterator[Effect]:
        """Report what the catalogue doesn't name; it is subscribed all the same, since it may be out of date."""
        if self._named is None:
            return
        unnamed = {destination(subscription) for subscription in self._streams} - self._named
        self._named |= unnamed
        for wanted in sorted(unnamed):
            yield Notice(f"CONNECTED does not name the stream {wanted}; trying it all the same")

    def _error(self, frame: stomp.StompFrame, now: float) -> Iterator[Effect]:
        self._counts["errors"] += 1
        said = error_text(frame)
        text = one_line(without_passcode(said, self._credentials), empty="no message")  # the venue might echo it
        if not self._ready:
            if is_transient(said):
                yield Close(VenueError(f"login failed: {text}"))
            else:
                yield Fatal(text)
        elif "subscription" in frame.headers or "receipt-id" in frame.headers:
            stream = self._find(frame)
            if stream is not None:
                yield from self._refuse(stream, text, now)
        elif "gateway.not-connected" in said:
            yield Close(VenueError(f"logged out: {text}"))
        else:
            yield Notice(f"ERROR: {text}")

    def _message(self, frame: stomp.StompFrame, ts_recv: int, now: float) -> Iterator[Effect]:
        stream = self._find(frame)
        if stream is None:
            return
        effects = self._data(stream, frame.body, ts_recv, now)
        yield from self._confirm(stream)
        if stream.state == "confirmed" and effects and isinstance(effects[-1], Event):
            stream.state = "live"
            stream.live_since = now
        yield from effects

    def _data(self, stream: MoexSubscription, body: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        try:
            found = stream.decoder.decode(body, ts_recv)
        except OutOfStep as error:
            return (Skipped(error), *self._drop_id(stream), *self._refuse(stream, error.reason, now))
        except BadData as error:
            return (Skipped(error),)
        events: Sequence[MarketData] = found if isinstance(found, list) else () if found is None else (found,)
        if stream.decoder.problems:
            return (*map(Skipped, stream.decoder.problems), *events)
        return events

    # Subscriptions

    def _add(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            for channel in self._channels:
                subscription = Subscription(channel, symbol)
                if subscription not in self._streams:
                    self._streams[subscription] = stream = MoexSubscription(subscription, self._kept)
                    self._to_send.append(stream)

    def _send_batch(self, now: float) -> Iterator[Effect]:
        if not self._ready or now < self._next_batch:
            return
        room = SUBSCRIBE_BATCH
        while self._to_send and room:
            stream = self._to_send.popleft()
            if stream.state == "wanted":
                room -= 1
                self._next_batch = now + SUBSCRIBE_EVERY
                yield self._subscribe(stream, now)

    def _subscribe(self, stream: MoexSubscription, now: float) -> Send:
        self._last_id += 1
        stream.id = str(self._last_id).encode()
        stream.state = "sent"
        self._retire_decoder(stream)
        stream.decoder = decoder(stream.subscription, self._kept)
        self._by_id[stream.id] = stream
        self._deadlines[stream.id] = now + CONFIRM_WITHIN
        name = stream.id.decode()
        headers = {"destination": destination(stream.subscription), "id": name, "receipt": name}
        return Send(stomp.build("SUBSCRIBE", {**headers, "selector": selector(stream.subscription)}))

    def _confirm(self, stream: MoexSubscription) -> Iterator[Effect]:
        self._deadlines.pop(stream.id, None)
        if stream.state == "sent":
            stream.state = "confirmed"
            yield Confirmed(stream.subscription)

    def _refuse(self, stream: MoexSubscription, reason: str, now: float) -> Iterator[Effect]:
        self._by_id.pop(stream.id, None)
        self._deadlines.pop(stream.id, None)
        stream.state = "refused"
        if now - stream.live_since > RETRY_CAP:
            stream.attempts = 0
        stream.live_since = inf
        delay = min(RETRY_FIRST * 2 ** min(stream.attempts, 16), RETRY_CAP)
        stream.attempts += 1
        stream.retry_at = now + delay
        heapq.heappush(self._retries, (stream.retry_at, stream.subscription))
        yield Refused(stream.subscription, reason)
        yield from self._schedule()

    def _drop_id(self, stream: MoexSubscription) -> Iterator[Effect]:
        if self._by_id.pop(stream.id, None) is not None:
            self._deadlines.pop(stream.id, None)
            yield Send(stomp.build("UNSUBSCRIBE", {"id": stream.id.decode()}))

    def _retire_decoder(self, stream: MoexSubscription) -> None:
        """Its totals outlive it."""
        self._counts["seqnum_regressions"] += stream.decoder.seqnum_regressions
        stream.decoder.seqnum_regressions = 0

    def _schedule(self) -> Iterator[Effect]:
        """One WakeAt for whatever comes first, when that has changed."""
        first_deadline = next(iter(self._deadlines.values()), inf)
        first_retry = self._retries[0][0] if self._retries else inf
        next_batch = self._next_batch if self._to_send and self._ready else inf
        wake = min(first_deadline, first_retry, next_batch)
        if wake != self._wake and wake != inf:
            self._wake = wake
            yield WakeAt(wake)
