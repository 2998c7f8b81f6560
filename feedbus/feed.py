"""The feed: all connections of one venue account. It owns the account, the shard plan and the login, and says on
the bus how its connections are: at each change, and every 5 s.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import trio

from feedbus import sharding
from feedbus.backoff import Backoff
from feedbus.bus.publisher import Publisher
from feedbus.config import Feed as FeedConfig
from feedbus.connector import Connector
from feedbus.events import FeedStatus, MarketData
from feedbus.login import LoginGate
from feedbus.transport import Dial, Options
from feedbus.venues import account_class

STATUS_EVERY = 5.0  # seconds
DELAYED_AFTER = 60.0  # seconds by which events lag their receipt
START_EVERY = 0.05  # seconds between the first attempts of two connections
MAX_NOTICES = 256  # different ones that are remembered, so that each is logged once


class Feed:
    """One feed of the configuration."""

    def __init__(
        self,
        config: FeedConfig,
        publisher: Publisher,
        dial: Dial,
        options: Options,
        *,
        draw: Callable[[], float] = random.random,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`options` is completed by what the venue wants. Raises ConfigError when the plan is impossible."""
        self.name = config.name
        self.account = account_class(config.venue)(config.credentials, config.channels)
        self.plan = sharding.plan(config.symbols, config.sharding.connections, config.sharding.per_connection)
        self.connectors = [
            Connector(
                f"{config.name}/{number}",
                self,
                account=self.account,
                symbols=symbols,
                dial=dial,
                url=config.url,
                options=options,
                backoff=Backoff(config.backoff.first, config.backoff.cap, config.backoff.reset_after),
            )
            for number, symbols in enumerate(self.plan)
            if symbols
        ]
        self.publish = publisher.publish
        self.draw = draw
        self._wall_ns = wall_ns
        self._login = LoginGate(config.login_retry, draw)
        self._notices: set[str] = set()
        self._reported: dict[str, tuple[float, int]] = {}  # by connector: when, and its events by then
        self._log = logging.getLogger(f"feedbus.{config.name}")

    async def run(self) -> None:
        """Run all connectors until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report)
            for connector in self.connectors:
                nursery.start_soon(connector.run)
                await trio.sleep(START_EVERY)

    # What the connectors tell

    def changed(self, connector: Connector) -> None:
        """Say it on the bus at once."""
        self.publish([self.status(connector)])

    def notice(self, text: str) -> None:
        """Log it, once for all connections."""
        if text not in self._notices and len(self._notices) < MAX_NOTICES:
            self._notices.add(text)
            self._log.warning("%s", text)

    async def login_turn(self, connector: Connector) -> None:
        """Wait until this connector may try to log in."""
        if self._login.refused is not None:
            connector.set_state("refused", self._login.refused)
        elif self._login.must_wait():
            connector.set_state("waiting", connector.last_failure or "another connection logs in first")
        await self._login.turn(connector)

    def login_accepted(self) -> None:
        """Let everybody connect."""
        self._login.accept()

    def login_refused(self, reason: str) -> None:
        """One clear line, and nobody tries but one, now and then."""
        pause = self._login.refuse(reason, trio.current_time())
        when = f"{pause / 60:.0f} min" if pause >= 120 else f"{pause:.0f} s"
        self._log.error("login refused: %s; the next attempt is in %s", reason, when)
        for connector in self.connectors:
            if connector.state in ("connecting", "waiting", "refused"):
                connector.set_state("refused", reason)

    def login_unknown(self, connector: Connector) -> None:
        """Let another one try."""
        self._login.release(connector)

    # What the feed says

    async def _report(self) -> None:
        while True:
            self.publish(self._statuses())
            await trio.sleep(STATUS_EVERY)

    def _statuses(self) -> Sequence[MarketData]:
        return [self.status(connector) for connector in self.connectors]

    def connections_up(self) -> int:
        """Connections that are logged in."""
        return sum(connector.state in ("online", "delayed") for connector in self.connectors)

    def status(self, connector: Connector) -> FeedStatus:
        """How one connection is now; rates and delays are over the time since its last status."""
        now = trio.current_time()
        since, events = self._reported.get(connector.name, (now, connector.events))
        self._reported[connector.name] = (now, connector.events)
        delay = None if connector.least_delay is None else connector.least_delay / 1e9
        connector.least_delay = None
        if connector.state in ("online", "delayed") and delay is not None:
            connector.state = "delayed" if delay > DELAYED_AFTER else "online"
        session = connector.session
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
        """Lost or failed connections by cause."""
        return sum((connector.failures for connector in self.connectors), Counter())
