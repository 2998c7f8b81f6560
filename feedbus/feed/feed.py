"""The feed: all connections of one venue account.

A feed owns the Account, the shard plan, the login and the budgets, and supervises the connectors. It publishes a
FeedStatus of each connection when its state changes, and every 5 s.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import trio

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, credentials
from feedbus.errors import LoginRefused, RateLimited
from feedbus.feed import sharding
from feedbus.feed.account_shell import AccountShell
from feedbus.feed.budgets import Hold
from feedbus.feed.connector import Connector
from feedbus.feed.delays import Delays
from feedbus.feed.feed_budgets import FeedBudgets
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.fetching import Fetcher
from feedbus.feed.instruments import instruments_of_feed, publishing
from feedbus.feed.listing import sampled
from feedbus.feed.login import LoginGate
from feedbus.feed.neighbours import Neighbours
from feedbus.feed.pause_log import PauseLog
from feedbus.feed.pauses import Pauses
from feedbus.feed.repairs import Repairs
from feedbus.feed.trust_shell import trust_of_feed
from feedbus.feed.verifying import Verifier
from feedbus.mask import Mask
from feedbus.runtime.backoff import Backoff
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.schema.connections import UP_STATES
from feedbus.schema.events import FeedStatus
from feedbus.text import time_span
from feedbus.transport import Dial, DialOptions
from feedbus.venues import account_class
from feedbus.venues.protocol import Account

STATUS_EVERY = 5.0  # seconds
STATUSES_AT_ONCE = 50  # of them, before others may go on
LOG_WAITS_EVERY = 60.0  # seconds between two log lines about connections that wait for their turn
MAX_NOTICES = 256  # how many different notices are remembered, so that each is logged only once
CRASHES_ALLOWED = 5  # in CRASH_PERIOD, besides one of each child: one bug may hit all connections at once
CRASH_PERIOD = 60.0  # seconds
CONNECTOR_GRACE = 10.0  # seconds that a connector has to close its connection when it is stopped


class Feed:
    """One feed of the configuration."""

    def __init__(
        self,
        config: FeedConfig,
        publisher: Publisher,
        dial: Dial,
        options: DialOptions,
        *,
        cache_dir: str = "",
        neighbours: Neighbours | None = None,
        draw: Callable[[], float] = random.random,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`cache_dir` is the directory for the copy of the list of symbols, where they are chosen from one.
        `neighbours` knows the other feeds of this process; None when there are none. `draw` gives random numbers in
        [0, 1), `wall_ns` the time in nanoseconds since the epoch.

        Raises ConfigError for what the venue's Account doesn't accept.
        """
        self.name = config.name
        cls = account_class(config.venue)
        self.account = self.make_account(config)
        self.services = {**self.account.services, **config.services()}
        self.hold = Hold()  # while it lasts, nobody of this feed asks the venue anything
        self._neighbours = neighbours or Neighbours()
        budgets = FeedBudgets(config, cls.limits, self.services, self._neighbours, self.hold)
        self.connects, self.budgets, self.turns = budgets.connects, budgets.by_name, budgets.turns
        self.fetcher = Fetcher(
            self.services,
            self.hold,
            rate_limited=self.rate_limited,
            weights=budgets.weights,
            rank=self.account.rank,
            ca_file=config.ca_file,
            proxies=config.proxies,
            wall_ns=wall_ns,
        )
        self.account_shell = AccountShell(self.account, self)
        self._mask = Mask(credentials.secrets(config, cls))
        self.connectors: list[Connector] = []  # with a selection it is empty until the list of symbols has come
        self.supervisors: list[Supervisor] = []
        self.first_attempt = trio.Event()  # set after the first attempt to log in or to get the list, successful or not
        self.fetch = self.fetcher.fetch
        self.draw, self._wall_ns = draw, wall_ns
        self._config, self._dial, self._options = config, dial, options
        self._login = LoginGate(config.login_retry, draw)
        self.pauses = Pauses(draw)
        self._up: set[str] = set()  # the names of the connectors that are logged in
        self._queued: set[Connector] = set()  # those that wait for their turn to connect
        self._wait_logged = -inf
        self._account_failure = ""  # the last failure of the Account, which may be why it isn't ready
        # Why there is no list of symbols yet.
        self._unlisted = "" if config.selection is None else "the list of symbols is fetched"
        self._notices: set[str] = set()
        self._reported: dict[
            str, tuple[float, int]
        ] = {}  # by connector: the last status's time, and its events by then
        self._log = logging.getLogger(f"feedbus.{config.name}")
        self.logs = FeedLogs(self._log, self._standing, self.clean, self.budgets)
        self.delays = Delays(self._log, self.account.time_resolution_ns, self._neighbours.clock, self._delay_turned)
        self._pause_log = PauseLog(self._log, self.hold, self.clean)
        self.instruments = instruments_of_feed(
            config, self, cache_dir=cache_dir, backoff=self._backoff(), wall_ns=wall_ns
        )
        self.publish = publishing(publisher.publish, self.instruments)
        self.trust = trust_of_feed(self.account, config, self.publish, wall_ns, self._log, cache_dir=cache_dir)
        self.repairs = Repairs(self)
        self.trust.repair = self.repairs.mend
        if config.selection is None:
            self._plan(config.symbols)

    def make_account(self, config: FeedConfig) -> Account:
        """The Account of the configuration. Raises ConfigError for what it doesn't accept."""
        return account_class(config.venue)(config.credentials, config.channels, config.options)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all connectors until cancelled. Where the symbols are chosen from a list, they are made when it has
        come.
        """
        task_status.started()
        if (route := self._config.proxies.route(self._config.url)).proxy is not None:
            self._log.info("connections are made through the proxy %s (%s)", route.proxy, route.why)
        await self.trust.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report)
            nursery.start_soon(self._pause_log.run)
            nursery.start_soon(self.repairs.run)
            nursery.start_soon(Verifier(self).run)
            await self._supervisor().run()

    def _supervisor(self) -> Supervisor:
        children = [Child("http", self.fetcher.run), Child("account", self.account_shell.run)]
        children += [Child("trust", self.trust.run)]
        children += [] if self.instruments is None else [Child("instruments", self.instruments.run)]
        children += [self._child(connector) for connector in self.connectors]
        allowed = CRASHES_ALLOWED + len(children) + (0 if self.connectors else self.connections_wanted())
        made = Supervisor(self.name, children, intensity=allowed, period=CRASH_PERIOD, together=True)
        self.supervisors = [made]
        return made

    def _child(self, connector: Connector) -> Child:
        return Child(connector.name, partial(_run_connector, connector), grace=CONNECTOR_GRACE)

    def _plan(self, symbols: Sequence[str]) -> None:
        """Make a connector for each shard of the symbols."""
        config = self._config
        shards = sharding.plan(symbols, config.sharding.connections, config.sharding.per_connection)
        self.connectors = [
            Connector(
                f"{config.name}/{number}",
                self,
                account=self.account,
                symbols=shard,
                dial=self._dial,
                url=self.account.connect_url(config.url),
                options=self._options,
                backoff=self._backoff(),
            )
            for number, shard in enumerate(shards)
            if shard
        ]

    @property
    def per_connection(self) -> int:
        """How many symbols a connection may carry."""
        return self._config.sharding.per_connection

    async def restart(self, connector: Connector) -> None:
        """Stop the actor of this connection and start it again. One that can't be stopped is left to the watchdog."""
        connector.comes_back = True
        for supervisor in self.supervisors:
            await supervisor.remove(connector.name)
            if connector.name not in supervisor.names():
                supervisor.add(self._child(connector))

    def _backoff(self) -> Backoff:
        numbers = self._config.backoff
        return Backoff(numbers.first, numbers.cap, numbers.reset_after)

    # The instruments

    def selected(self, symbols: Sequence[str]) -> Sequence[str]:
        """These symbols were chosen from what the venue lists: make and start connectors for them. Returns those that
        are subscribed."""
        fitting = self._fitting(symbols)
        if not self.connectors:
            self._plan(fitting)
            for connector in self.connectors:
                for supervisor in self.supervisors:
                    supervisor.add(self._child(connector))
        return fitting

    def unlisted(self, reason: str) -> None:
        """The venue gives no list of symbols, so there are none yet."""
        self._unlisted = reason
        self.first_attempt.set()

    def _fitting(self, symbols: Sequence[str]) -> Sequence[str]:
        room = self._config.sharding.connections * self._config.sharding.per_connection
        if len(symbols) <= room:
            self._log.info("%d symbols are listed", len(symbols))
            return symbols
        self._log.warning(
            "%d symbols are listed and the connections carry %d: only a sample of that size is subscribed",
            len(symbols),
            room,
        )
        return sampled(symbols, room)

    # What the connectors and the Account report

    def changed(self, connector: Connector) -> None:
        """Publish the connector's status at once: its state or reason has changed."""
        (self._up.add if connector.state in UP_STATES else self._up.discard)(connector.name)
        self.publish([self.status(connector)])

    def _delay_turned(self, name: str) -> None:
        """The connection of this name is delayed and wasn't before, or the other way round: publish its status before
        the data that shows it."""
        self.trust.late(name, self.delays.is_delayed(name))
        connector = next(each for each in self.connectors if each.name == name)
        if connector.state in UP_STATES:
            connector.set_state("delayed" if self.delays.is_delayed(name) else "online", connector.reason)

    def clean(self, text: str) -> str:
        """A text that came from outside, without our credentials and without what else the venue's Account hides."""
        return self.account.clean(self._mask.hide(text))

    def notice(self, text: str) -> None:
        """Log a notice, once for all connections."""
        if text not in self._notices and len(self._notices) < MAX_NOTICES:
            self._notices.add(text)
            self._log.warning("%s", text)

    async def connect_turn(self, connector: Connector) -> None:
        """Wait until this connector may try to connect and log in: for the account, for the login of another one, and
        for the budget of connects. What it has waited for may be over when the next has come; then it begins again.
        """
        while True:
            if not self.account_shell.is_ready.is_set():
                self._show_account(connector)
                await self.account_shell.is_ready.wait()
            if self._login.refused is not None:
                connector.set_state("refused", self._login.refused)
            elif self._login.must_wait():
                connector.set_state("waiting", connector.last_failure or "another connection tries first")
            await self._login.turn(connector)
            self._show_budget(connector)
            self._queued.add(connector)
            try:
                await self.connects.take()
            finally:
                self._queued.discard(connector)
            if self.account_shell.is_ready.is_set() and self._login.may_try(connector):
                return

    def _show_budget(self, connector: Connector) -> None:
        """Show on a connector that it waits for its turn to connect, and log once a minute that somebody does."""
        now = trio.current_time()
        reason = self.connects.reason(now)
        if not reason:
            return
        connector.set_state("waiting", f"{connector.last_failure}; {reason}" if connector.last_failure else reason)
        if not self.hold.left(now) and now - self._wait_logged >= LOG_WAITS_EVERY:
            self._wait_logged = now
            self._log.warning(
                "%s waits to connect behind %d others, for about %s: %s",
                connector.name,
                self.connects.turnstile.waiting,
                time_span(self.connects.wait_for(now)),
                reason,
            )

    async def pause(self, connector: Connector, seconds: float) -> None:
        """Wait before this connector's next attempt, for so many seconds at most."""
        await self.pauses.wait(connector, seconds)

    def rate_limited(self, error: RateLimited) -> float:
        """The venue wants us to come later. Returns the seconds for which nobody of this feed asks it anything."""
        now = trio.current_time()
        before = self.hold.left(now)
        wait = self.hold.obey(error, now, self.draw())
        self._pause_log.asked(error, before, wait)
        self._neighbours.hold(self.hold)
        if not before:
            for connector in self._queued:
                self._show_budget(connector)
        return wait

    def _show_account(self, connector: Connector) -> None:
        """Show on a connector why it waits for the account."""
        if self._login.refused is not None:
            connector.set_state("refused", self._login.refused)
        else:
            connector.set_state("waiting", self._account_failure or "the account is being prepared")

    def login_accepted(self) -> None:
        """The venue accepted the credentials on a connection, so every connector may log in."""
        self.first_attempt.set()
        self._login.accept()
        self.pauses.one_is_back()

    def login_refused(self, reason: str) -> None:
        """The venue refused the credentials on a connection."""
        self._refused(reason)

    def account_due(self) -> None:
        """A Session has told the Account something that it has to act on."""
        self.account_shell.due()

    def account_failed(self, reason: str) -> None:
        """A request of the Account failed, and it asks again by itself. Connectors that wait for it show the reason."""
        self.first_attempt.set()
        self._account_failure = reason
        self._log.warning("account: %s", reason)
        if not self.account_shell.is_ready.is_set():
            for connector in self.connectors:
                if connector.state in ("waiting", "refused"):
                    self._show_account(connector)

    def account_changed(self) -> None:
        """The Account has taken in an answer, so what the Sessions wait for may be there now."""
        for connector in self.connectors:
            connector.wake()

    def account_refused(self, reason: str) -> float:
        """The venue refused the credentials of an HTTP request; returns the pause before the next attempt, in
        seconds.
        """
        self.fetcher.failures[LoginRefused.cause] += 1
        return self._refused(reason)

    def _refused(self, reason: str) -> float:
        """Log the refusal as one line for all connections, and show it on those that aren't logged in.

        Only one connector tries again, after the pause that is returned (in seconds).
        """
        self.first_attempt.set()
        pause = self._login.refuse(reason, trio.current_time())
        self._log.error("login refused: %s; the next attempt is in %s", reason, time_span(pause))
        for connector in self.connectors:
            if connector.state in ("connecting", "waiting", "refused"):
                connector.set_state("refused", reason)
        return pause

    def login_unknown(self, connector: Connector) -> None:
        """The attempt ended before the venue judged the credentials, so let another connector try."""
        self.first_attempt.set()
        self._login.release(connector)

    # What the feed reports

    async def _report(self) -> None:
        """Publish the status of every connection every STATUS_EVERY seconds, and sum up storms in the log."""
        next_report = trio.current_time()
        try:
            while True:
                next_report = max(next_report + STATUS_EVERY, trio.current_time())
                await self._report_once()
                await trio.sleep_until(next_report)
        finally:
            self.logs.end_minute()

    async def _report_once(self) -> None:
        if not self.connectors:
            self.publish([self._unlisted_status()])
        for start in range(0, len(self.connectors), STATUSES_AT_ONCE):
            self.publish([self.status(each) for each in self.connectors[start : start + STATUSES_AT_ONCE]])
            await trio.lowlevel.checkpoint()
        self.logs.end_minute(trio.current_time())

    def _standing(self) -> str:
        return f"{self.connections_up()} of {self.connections_wanted()} connections are up"

    def connections_up(self) -> int:
        """Connections that are logged in."""
        return len(self._up)

    def connections_wanted(self) -> int:
        """Connections of the shard plan. Until there is one, as many as the configuration allows."""
        return len(self.connectors) or self._config.sharding.connections

    def not_up(self) -> list[str]:
        """The connections that aren't logged in and the reasons, a line each; empty when the feed is up."""
        if not self.connectors:
            return [f"{self.name}: {self._unlisted}"]
        return [
            f"{each.name}: {each.state}{each.reason and f': {each.reason}'}"
            for each in self.connectors
            if each.state not in UP_STATES
        ]

    def _unlisted_status(self) -> FeedStatus:
        """The status while there is no list of symbols and so no connection; it is published under the name of the
        first connection to come.
        """
        return FeedStatus(
            venue=self.account.venue,
            symbol=f"{self.name}/0",
            ts_event=0,
            ts_recv=self._wall_ns(),
            state="connecting",
            reason=self._unlisted,
            connections_up=0,
            connections_wanted=self.connections_wanted(),
            instruments={},
            updates_per_s=0.0,
            delay_s=None,
            generation=0,
        )

    def status(self, connector: Connector) -> FeedStatus:
        """The status of one connection now. The rate and the delay are over the time since its last status."""
        now = trio.current_time()
        since, events = self._reported.get(connector.name, (now, connector.events))
        self._reported[connector.name] = (now, connector.events)
        session = connector.session
        delay = self.delays.take(connector.delay, session.lateness() if session else None)
        self.trust.late(connector.name, self.delays.is_delayed(connector.name))
        if connector.state in UP_STATES:
            connector.state = "delayed" if self.delays.is_delayed(connector.name) else "online"
        return FeedStatus(
            venue=self.account.venue,
            symbol=connector.name,
            ts_event=0,
            ts_recv=self._wall_ns(),
            state=connector.state,
            reason=connector.reason,
            connections_up=self.connections_up(),
            connections_wanted=len(self.connectors),
            instruments=session.instruments() if session else {"wanted": len(connector.symbols)},
            updates_per_s=(connector.events - events) / (now - since) if now > since else 0.0,
            delay_s=delay,
            generation=connector.generation,
        )

    def failures(self) -> Counter[str]:
        """How many attempts and connections have failed, by cause."""
        return sum((connector.failures for connector in self.connectors), Counter())


async def _run_connector(connector: Connector, *, task_status: trio.TaskStatus[None]) -> None:
    """Run a connector, which counts as started at once: its first attempt may have to wait long for its turn."""
    task_status.started()
    await connector.run()
