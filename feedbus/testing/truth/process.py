"""The process that is tested: a publisher and a feed under a supervisor, which can be killed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from feedbus.bus.publisher import Publisher, Sink
from feedbus.config.model import BackoffConfig, BudgetsConfig, FeedConfig, ShardingConfig
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.runtime.wall_clock import WallClock
from feedbus.testing.determinism import wall_ns as steady_ns
from feedbus.testing.truth.budgets import budgets_of
from feedbus.testing.truth.faults import Schedule
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.venue import ProbedVenue
from feedbus.transport import DialOptions
from feedbus.venues import account_class

STALE_AFTER = 60.0
"""Seconds of silence that the feed bears where it knows nothing better."""
PING_EVERY, PING_TIMEOUT = 5.0, 4.0
"""Seconds."""
LOGIN_RETRY = 10.0
"""Seconds between two attempts to log in after a refusal."""


def config_of(schedule: Schedule, venue: ProbedVenue) -> FeedConfig:
    """The configuration of the feed. It has budgets where the venue publishes none."""
    publishes = account_class(venue.name).limits.messages is not None
    return FeedConfig(
        name=venue.name,
        venue=venue.name,
        url=venue.url,
        symbols=venue.symbols,
        sharding=ShardingConfig(schedule.connections, -(-schedule.tickers // schedule.connections)),
        backoff=BackoffConfig(0.5, 5.0, 10.0),
        login_retry=LOGIN_RETRY,
        ping_interval=PING_EVERY,
        ping_timeout=PING_TIMEOUT,
        budgets=BudgetsConfig() if publishes else budgets_of(schedule),
        **venue.settings(),
    )


class ProbedProcess:
    """A process with one feed. Once it is `killed` nothing that it publishes is seen any more."""

    def __init__(
        self,
        config: FeedConfig,
        network: Network,
        bus: Sink,
        *,
        draw: Callable[[], float],
        wall_ns: Callable[[], int],
    ) -> None:
        """`draw` gives random numbers in [0, 1), `wall_ns` is its clock."""
        self.killed = False
        self._bus = bus
        self._scope = trio.CancelScope()
        self.publisher = Publisher(config.name, self, wall_ns=wall_ns)
        options = DialOptions(
            tuple(account_class(config.venue).subprotocols),
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_timeout,
        )
        neighbours = Neighbours(WallClock(wall_ns, steady_ns))
        self.feed = Feed(config, self.publisher, network, options, neighbours=neighbours, draw=draw, wall_ns=wall_ns)
        self.feed.fetcher.open_client = network.open_client

    def send(self, message: bytes) -> None:
        """Publish a message."""
        if not self.killed:
            self._bus.send(message)

    async def run(self) -> None:
        """Run until it is stopped."""
        children = [Child("publisher", self.publisher.run), Child("feed", self.feed.run, grace=inf)]
        with self._scope:
            await Supervisor("process", children, intensity=100).run()
        self.publisher.beat()  # so does the service when it stops

    @property
    def ends(self) -> bool:
        """Whether it was told to stop."""
        return self._scope.cancel_called

    def stop(self) -> None:
        """Stop as a process does that is told to."""
        self._scope.cancel()

    def kill(self) -> None:
        """End without another word."""
        self.killed = True
        self._scope.cancel()

    def connects(self) -> int:
        """How many logins the venue has accepted."""
        return sum(connector.connects for connector in self.feed.connectors)
