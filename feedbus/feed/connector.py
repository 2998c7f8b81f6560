"""The connector runs one Session on one connection at a time, and reconnects for ever.

It carries out the effects of the Session, publishes the events of one socket read together, and tells its feed of every
change of state. Failures of the venue and of the network come as a VenueError and end an attempt: each is counted and
logged by the feed, and the next attempt follows after a back-off. Any other exception is a bug and leaves `run`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Protocol, cast

import trio

from feedbus.errors import BadData, LoginRefused, RateLimited, VenueError
from feedbus.feed.connection_log import ConnectionLog
from feedbus.runtime.backoff import Backoff
from feedbus.schema.events import EVENT_TYPES, OLD_PICTURE, Event, FeedState, MarketData, has_price
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
GOODBYE = 0.5  # seconds for sending the last messages on a connection that we close

_EVENT_TYPES = frozenset(EVENT_TYPES)


class ConnectorOwner(Protocol):
    """What a connector needs of its feed."""

    @property
    def connection_log(self) -> ConnectionLog:
        """Where the ends and the logins of the feed's connections are logged."""

    def publish(self, events: Sequence[MarketData]) -> None:
        """Publish events on the bus."""

    def fetch(
        self, fetch: Fetch, answered: Callable[[FetchResponse | VenueError], None], is_wanted: Callable[[], bool]
    ) -> None:
        """Send a request to the venue over HTTP. `answered` is called once, later, with the response or the failure;
        not at all if `is_wanted` returns False when the request's turn comes."""

    def account_due(self) -> None:
        """The Account has to be called, because a Session gave it something to do."""

    def changed(self, connector: Connector) -> None:
        """The connector's state, or the reason for it, has changed."""

    def clean(self, text: str) -> str:
        """A text that came from outside, without our secrets."""

    def notice(self, text: str) -> None:
        """Show an operator this text, once."""

    async def connect_turn(self, connector: Connector) -> None:
        """Wait until this connector may connect and log in. Raises RateLimited when too many wait for that already."""

    async def pause(self, connector: Connector, seconds: float) -> None:
        """Wait before this connector's next attempt, for so many seconds at most."""

    def rate_limited(self, error: RateLimited) -> float:
        """The venue wants us to come later: nobody of this feed asks it anything for as many seconds as are
        returned."""

    def login_accepted(self) -> None:
        """The venue accepted the credentials."""

    def login_refused(self, reason: str) -> None:
        """The venue refused the credentials."""

    def login_unknown(self, connector: Connector) -> None:
        """The attempt ended before the venue accepted or refused the credentials."""

    def draw(self) -> float:
        """A random number in [0, 1)."""


class Connector:
    """One connection of a feed. Its counters are totals since it was made."""

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
        self.last_failure = ""  # why the last attempt ended; empty once a login has succeeded
        self.generation = 0  # attempts to connect
        self.connects = 0  # logins that the venue accepted
        self.frames = 0
        self.events = 0
        self.skipped = 0  # frames, or parts of frames, that could not be used
        self.refusals = 0  # subscriptions that the venue refused or ended, each time
        self.resyncs = 0  # subscriptions made anew because their data had become inconsistent
        self.refused: set[Subscription] = set()  # subscriptions that were refused and haven't been confirmed since
        self.failures: Counter[str] = Counter()  # attempts and connections that ended in a failure, by cause
        self.unpriced = set(self.symbols)  # symbols for which no price has come yet
        # The least time from ts_event to ts_recv since the feed last took it, in nanoseconds. The least is taken
        # because it holds no queueing, so it shows the distance of the clocks and the way.
        self.least_delay: int | None = None
        self.delay: float | None = None  # what `least_delay` was when the feed last took it, in seconds
        self.session: Session | None = None  # None while no connection is open
        self._past_counts: Counter[str] = Counter()  # the counters of all sessions that have ended
        self._past_bytes = 0  # the bytes received on all connections that have ended
        self._connection: Connection | None = None
        self._owner = owner
        self._account = account
        self._dial = dial
        self._url = url
        self._options = options
        self._backoff = backoff
        self._wake_at = inf
        self._receiving = trio.CancelScope()  # its deadline is when the Session has to be called, even if no data comes
        # HTTP responses that the Session hasn't been given yet.
        self._answers: deque[tuple[Fetch, FetchResponse | VenueError]] = deque()
        self._woken = False  # the Account has changed, and the Session hasn't been called since
        self._not_before = -inf  # after a crash: when the next attempt may begin
        # When the next step is due. It may be late by `_patience`, the time that the transport gives the peer.
        self._due = inf
        self._patience = options.connect_timeout + options.ping_interval + options.ping_timeout
        self._skipped_logged = -inf
        self._log = logging.getLogger(f"feedbus.{name}")

    async def run(self) -> None:
        """Connect, run a Session, wait, and connect again, until cancelled. After a crash it begins with a back-off."""
        try:
            await trio.sleep_until(self._not_before)
            while True:
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
        """Describe what is overdue at `now` (seconds of trio's clock); None when nothing is.

        Waiting for the peer is not overdue: the transport bounds it by its own time-outs.
        """
        return f"{self.name} makes no progress" if now > self._due + self._patience else None

    def received_bytes(self) -> int:
        """Return the bytes received over all connections, without their handshakes."""
        return self._past_bytes + (self._connection.bytes_received if self._connection else 0)

    def session_counts(self) -> Counter[str]:
        """Return the sums of the counters of all sessions, by name."""
        counts = Counter(self._past_counts)
        if self.session is not None:
            counts.update(self.session.counters())
        return counts

    def wake(self) -> None:
        """Have the Session's `tick` called soon, because the Account has changed."""
        self._woken = True
        self._receiving.deadline = -inf  # this ends the wait for data

    def set_state(self, state: FeedState, reason: str) -> None:
        """Set the state, and tell the feed if it has changed."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self._owner.changed(self)

    def _answered(self, session: Session | None, fetch: Fetch, answer: FetchResponse | VenueError) -> None:
        """Take the response to a Fetch. That of a Session which has ended is discarded."""
        if session is self.session:
            self._answers.append((fetch, answer))
            self._receiving.deadline = -inf

    def _crashed(self, error: Exception) -> None:
        """Note a crash, which is a bug of ours or of the venue's module. Our supervisor logs it and runs us again."""
        now = trio.current_time()
        self._not_before = now + self._backoff.failed(now, self._owner.draw())
        self.last_failure = f"crashed: {type(error).__name__}"
        self.set_state("waiting", self.last_failure)

    async def _attempt(self) -> None:
        """Wait for a turn, run one connection from its opening to its failure, and wait out the back-off."""
        try:
            await self._owner.connect_turn(self)
            self.generation += 1
            self._due = trio.current_time()
            self.set_state("connecting", self.last_failure)
            async with self._dial(self._url, self._options) as connection:
                await self._run_session(connection)
        except LoginRefused as error:
            self.failures[error.cause] += 1
            self._owner.login_refused(self._owner.clean(str(error)))
        except VenueError as error:
            self.failures[error.cause] += 1
            delay = self._backoff.failed(trio.current_time(), self._owner.draw())
            if isinstance(error, RateLimited):
                delay = max(delay, self._owner.rate_limited(error))
            self._owner.login_unknown(self)
            self.last_failure = f"{error.cause}: {self._owner.clean(str(error))}"
            self.set_state("waiting", self.last_failure)
            now = trio.current_time()
            self._owner.connection_log.failed(self._log, error.cause, self.last_failure, delay, now)
            self._due = trio.current_time() + delay
            await self._owner.pause(self, delay)
        self._due = inf

    async def _run_session(self, connection: Connection) -> None:
        """Run a Session on an open connection. It ends with a VenueError or by cancellation."""
        self._wake_at = inf
        self._woken = False
        self._answers.clear()
        self._backoff.opened()
        self.session = session = self._account.session(self.symbols)
        session.generation = self.generation
        self._connection = connection
        try:
            await self._apply_effects(session.opened(trio.current_time()), connection)
            while True:
                effects = await self._receive_until_wake(session, connection)
                await self._apply_effects(effects, connection)
        except trio.Cancelled:
            await self._say_goodbye(session, connection)
            raise
        finally:
            self.session = self._connection = None
            self._past_counts.update(session.counters())
            self._past_bytes += connection.bytes_received
            self._owner.publish(session.ended())

    async def _receive_until_wake(self, session: Session, connection: Connection) -> Iterable[Effect]:
        """Receive and publish data until the Session yields another effect, or has to be called. Returns its effects.

        One scope is around many reads, because a timer for each read would cost a tenth of the work on a quiet
        connection.
        """
        self._due = self._wake_at
        called = self._answers or self._woken
        with trio.CancelScope(deadline=-inf if called else self._wake_at) as self._receiving:
            while True:
                effects = self._take(session, *await connection.receive())
                if effects:
                    return effects
        now = trio.current_time()
        if self._answers:
            return session.fetched(*self._answers.popleft(), now)
        self._woken = False
        if now >= self._wake_at:
            self._wake_at = inf
        return session.tick(now)

    def _take(self, session: Session, messages: list[bytes | bytearray], ts_recv: int) -> list[Effect]:
        """Give the Session all messages of one read. Their events are published together, other effects are
        returned."""
        now = trio.current_time()
        found: list[Effect] = []
        for data in messages:
            found += session.frame(data, ts_recv, now)
        self.frames += len(messages)
        events, effects = _divided(found)
        if events:
            self._publish(events, now)
        return effects

    def _publish(self, events: list[MarketData], now: float) -> None:
        self._owner.publish(events)
        self.events += len(events)
        self._backoff.data(now)
        if self.unpriced:
            self.unpriced -= {event.symbol for event in events if has_price(event)}
        # One event of each read is enough for the delay, and keeps this cheap. A picture of the past, such as the last
        # trade before the market opened, has an old ts_event and says nothing of the delay.
        last = events[-1]
        if last.ts_event:
            delay = last.ts_recv - last.ts_event
            if delay < OLD_PICTURE and (self.least_delay is None or delay < self.least_delay):
                self.least_delay = delay

    async def _apply_effects(self, effects: Iterable[Effect], connection: Connection) -> None:
        """Carry out the effects of the Session. All messages that it sends go out in one write."""
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
            raise ended  # only now, so that messages which the Session sends before it closes go out

    def _note(self, effect: Fetch | AccountDue | Ready | Confirmed | Refused | Resync | Skipped | Notice) -> None:
        match effect:
            case Fetch():
                session = self.session
                self._owner.fetch(effect, partial(self._answered, session, effect), lambda: session is self.session)
            case AccountDue():
                self._owner.account_due()
            case Ready():
                self._ready()
            case Refused(subscription, reason):
                self.refusals += 1
                self.refused.add(subscription)
                self._log.warning("the venue refused %s: %s", subscription, self._owner.clean(reason))
            case Resync():
                self.resyncs += 1
            case Skipped(error):
                self._note_skipped(error)
            case Notice(text):
                self._owner.notice(self._owner.clean(text))
            case Confirmed(subscription):
                self.refused.discard(subscription)

    def _ready(self) -> None:
        self.connects += 1
        self.last_failure = ""
        self._owner.login_accepted()
        self.set_state("online", "")
        self._owner.connection_log.logged_in(self._log, trio.current_time())

    def _note_skipped(self, error: BadData) -> None:
        self.skipped += 1
        now = trio.current_time()
        if now - self._skipped_logged >= LOG_SKIPPED_EVERY:
            self._skipped_logged = now
            self._log.warning("skipped bad data: %s (%d so far)", self._owner.clean(str(error)), self.skipped)

    async def _say_goodbye(self, session: Session, connection: Connection) -> None:
        """Send the Session's last messages, such as a logout, although we are being cancelled."""
        last_words = [effect.data for effect in session.closing() if isinstance(effect, Send)]
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE), suppress(VenueError):
            await connection.send(last_words)


def _divided(found: list[Effect]) -> tuple[list[MarketData], list[Effect]]:
    """Return the events among these effects, and the others."""
    if _EVENT_TYPES.issuperset(map(type, found)):  # nearly always: asking about all at once costs a tenth
        return cast("list[MarketData]", found), []
    events = [effect for effect in found if isinstance(effect, Event)]
    return events, [effect for effect in found if not isinstance(effect, Event)]
