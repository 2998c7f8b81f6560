"""The connector: runs one Session on one connection, and reconnects for ever.

It does what the Session orders, hands events to the publisher once a socket read, and tells its feed of every
change. What the venue or the network does ends an attempt with a VenueError: it is counted, logged in one line,
and waited out. Any other exception is a bug and leaves `run`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Protocol

import trio

from feedbus.errors import BadData, LoginRefused, VenueError
from feedbus.runtime.backoff import Backoff
from feedbus.schema.events import OLD_PICTURE, Event, FeedState, MarketData, has_price
from feedbus.transport import Connection, Dial, DialOptions
from feedbus.venues.protocol import (
    Account,
    AccountDue,
    Close,
    Confirmed,
    Effect,
    Fatal,
    Fetch,
    FetchResponse,
    Notice,
    Ready,
    Refused,
    Resync,
    Send,
    Session,
    Skipped,
    Subscription,
    WakeAt,
)

LOG_SKIPPED_EVERY = 60.0  # seconds between two log lines about unusable frames of one connection
GOODBYE = 0.5  # seconds for the last words on a connection that we close


class ConnectorOwner(Protocol):
    """What a connector needs of its feed."""

    def publish(self, events: Sequence[MarketData]) -> None:
        """Put events on the bus."""

    def fetch(self, fetch: Fetch, answered: Callable[[FetchResponse | VenueError], None]) -> None:
        """Ask the venue over HTTP; `answered` is called once, later, with the answer or what came in its place."""

    def account_due(self) -> None:
        """The Account has something to do."""

    def changed(self, connector: Connector) -> None:
        """The connector's state, or its reason, is another one now."""

    def notice(self, text: str) -> None:
        """Something that an operator should read once."""

    async def login_turn(self, connector: Connector) -> None:
        """Wait until this connector may try to log in."""

    def login_accepted(self) -> None:
        """The venue took the credentials."""

    def login_refused(self, reason: str) -> None:
        """The venue refused the credentials."""

    def login_unknown(self, connector: Connector) -> None:
        """The attempt ended before the venue said anything of the credentials."""

    def draw(self) -> float:
        """A random number in [0, 1)."""


class Connector:
    """One connection of a feed. Its counters are plain totals since the start."""

    def __init__(
        self,
        name: str,
        owner: ConnectorOwner,
        *,
        account: Account,
        symbols: Sequence[str],
        dial: Dial,
        url: str,
        options: DialOptions,
        backoff: Backoff,
    ) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        self.state: FeedState = "connecting"
        self.reason = ""
        self.last_failure = ""  # why the last attempt ended, until one succeeds
        self.generation = 0
        self.connects = 0  # logins that the venue took
        self.frames = 0
        self.events = 0
        self.skipped = 0  # unusable frames, or parts of frames
        self.refusals = 0  # of subscriptions, in all
        self.resyncs = 0  # subscriptions made anew because what we had of them was not right
        self.refused: set[Subscription] = set()  # and not confirmed since
        self.failures: Counter[str] = Counter()  # by cause
        self.unpriced = set(self.symbols)  # symbols that no price has come of yet
        self.least_delay: int | None = None  # ns from ts_event to ts_recv, the least since it was last taken
        self.delay: float | None = None  # seconds: the least delay, when it was last taken
        self.session: Session | None = None
        self._past_counts: Counter[str] = Counter()  # of the sessions before
        self._past_bytes = 0
        self._connection: Connection | None = None
        self._owner = owner
        self._account = account
        self._dial = dial
        self._url = url
        self._options = options
        self._backoff = backoff
        self._wake_at = inf
        self._receiving = trio.CancelScope()  # its deadline is when the Session is to be called, whatever comes
        self._answers: deque[tuple[Fetch, FetchResponse | VenueError]] = (
            deque()
        )  # that the Session hasn't been given yet
        self._woken = False  # the Account has changed
        self._not_before = -inf  # no attempt before: we crashed a moment ago
        self._due = inf  # by when we must have done something, our own patience with the peer apart
        self._patience = options.connect_timeout + options.ping_interval + options.ping_timeout
        self._skipped_logged = -inf
        self._log = logging.getLogger(f"feedbus.{name}")

    async def run(self) -> None:
        """Connect, converse, wait, again; until cancelled. Run again after a crash, it waits out a back-off first."""
        try:
            await trio.sleep_until(self._not_before)
            while True:
                await self._owner.login_turn(self)
                await self._attempt()
        except Exception as error:
            self._crashed(error)
            raise
        except BaseException:
            self.set_state("stopped", "")
            raise
        finally:
            self._due = inf
            self._owner.login_unknown(self)

    def overdue(self, now: float) -> str | None:
        """What it should have done by `now` (trio's clock) and has not; None while it is on time. To wait for the peer
        misses nothing: the transport sees to that."""
        return f"{self.name} makes no progress" if now > self._due + self._patience else None

    def received_bytes(self) -> int:
        """Bytes that came over all connections, after their handshakes."""
        return self._past_bytes + (self._connection.bytes_received if self._connection else 0)

    def session_counts(self) -> Counter[str]:
        """What all sessions counted, by name."""
        counts = Counter(self._past_counts)
        if self.session is not None:
            counts.update(self.session.counters())
        return counts

    def wake(self) -> None:
        """Call the Session's `tick` soon: the Account has changed."""
        self._woken = True
        self._receiving.deadline = -inf

    def set_state(self, state: FeedState, reason: str) -> None:
        """Note the state, and tell the feed when it is another."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self._owner.changed(self)

    def _answered(self, session: Session | None, fetch: Fetch, answer: FetchResponse | VenueError) -> None:
        """A Fetch has come back; one of a session that is over is nobody's."""
        if session is self.session:
            self._answers.append((fetch, answer))
            self._receiving.deadline = -inf

    def _crashed(self, error: Exception) -> None:
        """A bug, ours or the venue module's: whoever supervises us logs it and runs us again."""
        now = trio.current_time()
        self._not_before = now + self._backoff.failed(now, self._owner.draw())
        self.last_failure = f"crashed: {type(error).__name__}"
        self.set_state("waiting", self.last_failure)

    async def _attempt(self) -> None:
        self.generation += 1
        self._due = trio.current_time()
        self.set_state("connecting", self.last_failure)
        try:
            async with self._dial(self._url, self._options) as connection:
                await self._converse(connection)
        except LoginRefused as error:
            self.failures[error.cause] += 1
            self._owner.login_refused(self._account.clean(str(error)))
        except VenueError as error:
            self.failures[error.cause] += 1
            self._owner.login_unknown(self)
            delay = self._backoff.failed(trio.current_time(), self._owner.draw())
            self.last_failure = f"{error.cause}: {self._account.clean(str(error))}"
            self.set_state("waiting", self.last_failure)
            self._log.warning("%s; next attempt in %.1f s", self.last_failure, delay)
            self._due = trio.current_time() + delay
            await trio.sleep(delay)
        self._due = inf

    async def _converse(self, connection: Connection) -> None:
        """One connection's life; ends with a VenueError or by cancellation."""
        self._wake_at = inf
        self._woken = False
        self._answers.clear()
        self._backoff.opened()
        self.session = session = self._account.session(self.symbols)
        self._connection = connection
        try:
            await self._apply_effects(session.opened(trio.current_time()), connection)
            while True:
                orders = await self._receive_until_wake(session, connection)
                await self._apply_effects(orders, connection)
        except trio.Cancelled:
            await self._say_goodbye(session, connection)
            raise
        finally:
            self.session = self._connection = None
            self._past_counts.update(session.counters())
            self._past_bytes += connection.bytes_received

    async def _receive_until_wake(self, session: Session, connection: Connection) -> Iterable[Effect]:
        """Take what comes until the Session orders something, or is to be woken: returns the orders.

        One scope around many reads, because a timer a read would cost a tenth of a quiet connection's work.
        """
        self._due = self._wake_at
        called = self._answers or self._woken
        with trio.CancelScope(deadline=-inf if called else self._wake_at) as self._receiving:
            while True:
                orders = self._take(session, *await connection.receive())
                if orders:
                    return orders
        now = trio.current_time()
        if self._answers:
            return session.fetched(*self._answers.popleft(), now)
        self._woken = False
        if now >= self._wake_at:
            self._wake_at = inf
        return session.tick(now)

    def _take(self, session: Session, messages: list[bytes | bytearray], ts_recv: int) -> list[Effect]:
        """All messages of one read: their events go out together; the orders are returned."""
        now = trio.current_time()
        events: list[MarketData] = []
        orders: list[Effect] = []
        for data in messages:
            for effect in session.frame(data, ts_recv, now):
                if isinstance(effect, Event):
                    events.append(effect)
                else:
                    orders.append(effect)
        self.frames += len(messages)
        if events:
            self._publish(events, now)
        return orders

    def _publish(self, events: list[MarketData], now: float) -> None:
        self._owner.publish(events)
        self.events += len(events)
        self._backoff.data(now)
        if self.unpriced:
            self.unpriced -= {event.symbol for event in events if has_price(event)}
        last = events[-1]
        if last.ts_event:
            delay = last.ts_recv - last.ts_event
            if delay < OLD_PICTURE and (self.least_delay is None or delay < self.least_delay):
                self.least_delay = delay

    async def _apply_effects(self, effects: Iterable[Effect], connection: Connection) -> None:
        """Do what the Session orders; all that is to be sent goes in one write."""
        to_send: list[bytes | str] = []
        ended: VenueError | None = None
        for effect in effects:
            match effect:
                case Send(data):
                    to_send.append(data)
                case WakeAt(when):
                    self._wake_at = when
                case Close(error):
                    ended = error
                case Fatal(reason):
                    ended = LoginRefused(reason)
                case Event():
                    self._publish([effect], trio.current_time())
                case _:
                    self._note(effect)
        if to_send:
            await connection.send(to_send)
        if ended is not None:
            raise ended

    def _note(self, effect: Fetch | AccountDue | Ready | Confirmed | Refused | Resync | Skipped | Notice) -> None:
        match effect:
            case Fetch():
                self._owner.fetch(effect, partial(self._answered, self.session, effect))
            case AccountDue():
                self._owner.account_due()
            case Ready():
                self._ready()
            case Refused(subscription, reason):
                self.refusals += 1
                self.refused.add(subscription)
                self._log.warning("%s refused: %s", subscription, self._account.clean(reason))
            case Resync():
                self.resyncs += 1
            case Skipped(error):
                self._note_skipped(error)
            case Notice(text):
                self._owner.notice(self._account.clean(text))
            case Confirmed(subscription):
                self.refused.discard(subscription)

    def _ready(self) -> None:
        self.connects += 1
        self.last_failure = ""
        self._owner.login_accepted()
        self.set_state("online", "")
        self._log.info("online")

    def _note_skipped(self, error: BadData) -> None:
        self.skipped += 1
        now = trio.current_time()
        if now - self._skipped_logged >= LOG_SKIPPED_EVERY:
            self._skipped_logged = now
            self._log.warning("skipped bad data: %s (%d so far)", self._account.clean(str(error)), self.skipped)

    async def _say_goodbye(self, session: Session, connection: Connection) -> None:
        last_words = [effect.data for effect in session.closing() if isinstance(effect, Send)]
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE), suppress(VenueError):
            await connection.send(last_words)
