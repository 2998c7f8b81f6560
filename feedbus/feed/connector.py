"""The connector runs one Session on one connection at a time, and reconnects for ever.

It carries out the effects of the Session, publishes the events of one socket read together, and tells its feed of every
change of state. Failures of the venue and of the network come as a VenueError and end an attempt: each is counted and
logged by the feed, and the next attempt follows after a back-off. Any other exception is a bug and leaves `run`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Protocol, cast

import msgspec
import trio

from feedbus.errors import BadData, LoginRefused, Mute, RateLimited, VenueError
from feedbus.feed.delays import Delays
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.orders import SessionOrders
from feedbus.feed.trust_shell import TrustShell
from feedbus.runtime.backoff import Backoff
from feedbus.schema.events import EVENT_TYPES, Event, FeedState, MarketData, has_price
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
    Righted,
    Send,
    Session,
    Skipped,
    Subscription,
    WakeAt,
)
from feedbus.venues.turns import Turns

LOG_SKIPPED_EVERY = 60.0  # seconds between two log lines about what a connection can't use at one place
SKIPPED_PLACES = 5  # at so many places within that time
GOODBYE = 0.5  # seconds for sending the last messages on a connection that we close

_EVENT_TYPES = frozenset(EVENT_TYPES)


class ConnectorOwner(Protocol):
    """What a connector needs of its feed."""

    @property
    def logs(self) -> FeedLogs:
        """Where connections, losses and failed requests are logged."""

    @property
    def trust(self) -> TrustShell:
        """What judges the data, and publishes how far it may be trusted."""

    @property
    def delays(self) -> Delays:
        """How late the data of each connection is."""

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

    def turns(self, wake: Callable[[], object]) -> Turns:
        """The turns to send of a new connection. `wake` is called when it may ask for one before its time."""


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
        self.comes_back = False  # whether it is stopped only to be started again
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
        self.delay = owner.delays.connection(name)
        self.session: Session | None = None  # None while no connection is open
        self._past_counts: Counter[str] = Counter()  # the counters of all sessions that have ended
        self._past_bytes = 0  # the bytes received on all connections that have ended
        self._connection: Connection | None = None
        self._owner = owner
        self._trust = owner.trust.connection(name)
        self._account = account
        self._dial = dial
        self._url, self._options = url, options
        self._backoff, self._wake_at = backoff, inf
        self._receiving = trio.CancelScope()  # its deadline is when the Session has to be called, even if no data comes
        # HTTP responses that the Session hasn't been given yet.
        self._answers: deque[tuple[Fetch, FetchResponse | VenueError]] = deque()
        self._recycling = ""  # why the present connection is to be closed
        self._woken = False  # the Account has changed, and the Session hasn't been called since
        self._orders = SessionOrders()  # what the Session is to do because somebody outside wants it
        self._not_before = -inf  # after a crash: when the next attempt may begin
        # When the next step is due. It may be late by `_patience`, the time that the transport gives the peer.
        self._due = inf
        self._patience = options.connect_timeout + options.ping_interval + options.ping_timeout
        self._skipped_logged: dict[str, float] = {}  # by place, in the order of time
        self._log = logging.getLogger(f"feedbus.{name}")

    async def run(self) -> None:
        """Connect, run a Session, wait, and connect again, until cancelled. After a crash it begins with a back-off."""
        try:
            self.comes_back = False
            self._trust.begins(self.symbols)
            await trio.sleep_until(self._not_before)
            while True:
                await self._attempt()
        except Exception as error:
            self._crashed(error)
            raise
        except BaseException:
            self.set_state("stopped", "")
            if self.comes_back:
                self._trust.away()
            else:
                self._trust.stopped()
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

    def take(self, symbols: Iterable[str]) -> None:
        """Subscribe these symbols too, on every channel: on the present connection, if one is open, and on all to
        come."""
        known = frozenset(self.symbols)
        fresh = tuple(symbol for symbol in dict.fromkeys(symbols) if symbol not in known)
        self.symbols += fresh
        self.unpriced.update(fresh)
        self._order()

    def give(self, symbols: Iterable[str]) -> None:
        """End the subscriptions of these symbols, and of no other. What is known of them here is forgotten."""
        gone = frozenset(symbols)
        self.symbols = tuple(symbol for symbol in self.symbols if symbol not in gone)
        self.unpriced -= gone
        self.refused = {subscription for subscription in self.refused if subscription.symbol not in gone}
        self._order()

    def resubscribe(self, subscriptions: Iterable[Subscription], reason: str) -> None:
        """End these subscriptions and ask for them anew, without touching any other. Those of other symbols are passed
        over; while no connection is open there is nothing to do, since the next one asks for everything."""
        known, channels = frozenset(self.symbols), frozenset(self._account.channels)
        ours = [each for each in subscriptions if each.symbol in known and each.channel in channels]
        if self.session is not None:
            self._orders.make_anew(ours, reason)
            self._receiving.deadline = -inf

    def recycle(self, why: str) -> None:
        """Close the present connection and make a new one. `why` is for the log and for operators."""
        if self.session is not None:
            self._recycling = why
            self._receiving.deadline = -inf

    def absent(self, symbols: Collection[str]) -> None:
        """The venue's list doesn't have these symbols, which need not be ours: see Session.absent. Called now and then,
        with all that there are."""
        mine = [symbol for symbol in self.symbols if symbol in symbols] if symbols else []
        if self.session is not None and self._orders.tell_absent(mine):
            self._receiving.deadline = -inf

    def _order(self) -> None:
        """Have the Session called soon, because the symbols are others now. The next Session begins with them."""
        if self.session is not None:
            self._orders.waiting = True
            self._receiving.deadline = -inf

    def set_state(self, state: FeedState, reason: str) -> None:
        """Set the state, and tell the feed if it has changed."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            if state == "refused":
                self._trust.shut_out()
            self._owner.changed(self)

    def _answered(self, session: Session | None, fetch: Fetch, answer: FetchResponse | VenueError) -> None:
        """Take the response to a Fetch. That of a Session which has ended is discarded."""
        if session is not self.session:
            return
        self._answers.append((fetch, answer))
        self._receiving.deadline = -inf
        if not isinstance(answer, VenueError):
            self._owner.logs.requests.answered()
        elif not isinstance(answer, RateLimited):  # the feed logs the pause that the venue asked for
            self._owner.logs.requests.failed(fetch.about, f"{answer.cause}: {answer}", trio.current_time())

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
            turns = self._owner.turns(self.wake)

            def control_sent() -> None:
                turns.sent(1, trio.current_time())

            options = msgspec.structs.replace(self._options, control_sent=control_sent)
            async with self._dial(self._url, options) as connection:
                await self._run_session(connection, turns)
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
            self._owner.logs.connections.failed(self._log, error.cause, self.last_failure, delay, now)
            self._due = trio.current_time() + delay
            await self._owner.pause(self, delay)
        self._due = inf

    async def _run_session(self, connection: Connection, turns: Turns) -> None:
        """Run a Session on an open connection. It ends with a VenueError or by cancellation."""
        self._wake_at = inf
        self._woken = False
        self._recycling = ""
        self._answers.clear()
        self._backoff.opened()
        self._orders.begin(self.symbols)
        self.session = session = self._account.session(self.symbols)
        session.generation = self.generation
        session.turns = turns
        self._connection = connection
        self._trust.opened(self.generation)
        try:
            now = trio.current_time()
            await self._carry_out(self._publish_of(session.opened(now), now, self._publish_made), connection)
            while True:
                effects = await self._receive_until_wake(session, connection)
                await self._carry_out(effects, connection)
        except trio.Cancelled:
            await self._say_goodbye(session, connection)
            raise
        except Exception:
            self._trust.away()
            raise
        finally:
            turns.leave(trio.current_time())
            self.session = self._connection = None
            self._past_counts.update(session.counters())
            self._past_bytes += connection.bytes_received

    async def _receive_until_wake(self, session: Session, connection: Connection) -> Iterable[Effect]:
        """Receive and publish data until the Session yields another effect, or has to be called. Returns its effects.

        One scope is around many reads, because a timer for each read would cost a tenth of the work on a quiet
        connection.
        """
        self._due = self._wake_at
        called = self._answers or self._woken or self._orders.waiting or self._recycling
        with trio.CancelScope(deadline=-inf if called else self._wake_at) as self._receiving:
            while True:
                effects = self._take(session, *await connection.receive())
                if effects:
                    return effects
        now = trio.current_time()
        if self._recycling:
            raise Mute(self._recycling)
        if self._answers:
            return self._publish_of(session.fetched(*self._answers.popleft(), now), now, self._publish_made)
        if self._orders.waiting:
            return self._publish_of(self._orders.carry_out(session, self.symbols, now), now, self._publish_made)
        self._woken = False
        if now >= self._wake_at:
            self._wake_at = inf
        return self._publish_of(session.tick(now), now, self._publish_made)

    def _take(self, session: Session, messages: list[bytes | bytearray], ts_recv: int) -> list[Effect]:
        """Give the Session all messages of one read. Their events are published together, other effects are
        returned."""
        now = trio.current_time()
        found: list[Effect] = []
        for data in messages:
            found += session.frame(data, ts_recv, now)
        self.frames += len(messages)
        if _EVENT_TYPES.issuperset(map(type, found)):  # nearly always: asking about all at once costs a tenth
            self._publish(cast("list[MarketData]", found), now)
            return []
        return self._publish_of(found, now, self._publish)

    def _publish_of(
        self, found: Iterable[Effect], now: float, publish: Callable[[list[MarketData], float], None]
    ) -> list[Effect]:
        """Publish the events among these effects, and what follows from the others for the trust in the data, in the
        order of the effects. Returns the others."""
        events: list[MarketData] = []
        others: list[Effect] = []
        for effect in found:
            if isinstance(effect, Event):
                events.append(effect)
                continue
            others.append(effect)
            if isinstance(effect, Refused | Resync | Skipped):  # what was read before it is published before it
                publish(events, now)
                events = []
            self._owner.publish(self._trust.note(effect, now))
        publish(events, now)
        return others

    def _publish_made(self, events: list[MarketData], now: float) -> None:  # noqa: ARG002 - as _publish
        """Publish events that the Session has made without anything having come: they are no data of the venue."""
        if events:
            self._owner.publish(self._trust.made(events))
            self.events += len(events)

    def _publish(self, events: list[MarketData], now: float) -> None:
        if not events:
            return
        # One event of each read is enough for the delay, and keeps this cheap. That the data is late is said before it.
        last = events[-1]
        if not last.ts_event:  # some kinds of events have no time, and may be the last of every read
            last = next((event for event in reversed(events) if event.ts_event), last)
        if last.ts_event and last.ts_recv - last.ts_event < self.delay.look_below:
            self._owner.delays.note(self.delay, last)
        self._owner.publish(self._trust.take(events, now))
        self.events += len(events)
        self._backoff.data(now)
        if self.unpriced:
            self.unpriced -= {event.symbol for event in events if has_price(event)}

    async def _carry_out(self, effects: Iterable[Effect], connection: Connection) -> None:
        """Carry out the effects of the Session besides its events. All messages that it sends go out in one write."""
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
                case _:
                    self._note(effect)
        if to_send:
            if self.session is not None:
                self.session.turns.sending(len(to_send), trio.current_time())
            await connection.send(to_send)
        if ended is not None:
            raise ended  # only now, so that messages which the Session sends before it closes go out

    def _note(self, effect: Effect) -> None:
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
                self._owner.logs.refusals.refused(subscription, reason, trio.current_time())
            case Resync(subscription, reason):
                self.resyncs += 1
                self._owner.logs.losses.lost(str(subscription), self._owner.clean(reason), trio.current_time())
            case Righted(subscription, after_s):
                self._owner.logs.losses.right(str(subscription), after_s, trio.current_time())
            case Skipped(error):
                self._note_skipped(error)
            case Notice(text):
                self._owner.notice(self._owner.clean(text))
            case Confirmed(subscription):
                self.refused.discard(subscription)

    def _ready(self) -> None:
        self.connects += 1
        self.last_failure = ""
        self._trust.ready()
        self._owner.login_accepted()
        self.set_state("online", "")
        self._owner.logs.connections.logged_in(self._log, trio.current_time())

    def _note_skipped(self, error: BadData) -> None:
        self.skipped += 1
        logged, before = self._skipped_logged, trio.current_time() - LOG_SKIPPED_EVERY
        while logged and logged[oldest := next(iter(logged))] <= before:
            del logged[oldest]
        if error.place not in logged and len(logged) < SKIPPED_PLACES:
            logged[error.place] = trio.current_time()
            self._log.warning("skipped bad data: %s (%d so far)", self._owner.clean(str(error)), self.skipped)

    async def _say_goodbye(self, session: Session, connection: Connection) -> None:
        """Send the Session's last messages, such as a logout, although we are being cancelled."""
        last_words = [effect.data for effect in session.closing() if isinstance(effect, Send)]
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE), suppress(VenueError):
            await connection.send(last_words)
