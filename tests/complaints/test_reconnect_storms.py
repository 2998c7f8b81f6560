"""Users complain: after an outage all connections come back at once, again and again, until the venue bans the address;
and where several feeds run at one address, each keeps to the limits for itself alone.

Here thirty connections of three feeds are cut at once, while they come back again, and once more. The venue takes no
attempt more than the feeds are configured to make together, and says by its own counts that none was one too many.
tests/feed/test_storms.py has the same of every budget on every venue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import MockClock

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.config.model import BudgetConfig, BudgetsConfig
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.sim.binance.catalogue import Pair
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import admit
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.testing.determinism import EPOCH_NS, wall_ns
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions
from tests.feed.memory_venue import MemoryVenue

FEEDS, EACH = 3, 10  # feeds, and connections of each
CONNECTS, WITHIN_S = 20, 10.0
PAIRS = [Pair(f"C{number}", "USDT", 10**10, 10**6, 10**6, 0) for number in range(FEEDS * EACH)]


class Storm:
    """Three feeds of a process at one venue, which limits the attempts to connect of an address. `together` is whether
    they know of one another."""

    def __init__(self, *, together: bool = True) -> None:
        options = BinanceSimOptions(
            start_ns=EPOCH_NS, levels=5, rate=1, max_connects=CONNECTS, connects_s=WITHIN_S, ban_s=120.0
        )
        venue = BinanceVenue(options, listed=PAIRS)
        self.venue = MemoryVenue(venue, partial(admit, venue), BinanceRest(venue), venue.counters)
        shared = Neighbours()
        self.feeds: list[Feed] = []
        for number in range(FEEDS):
            config = FeedConfig(
                name=f"binance{number}",
                venue="binance",
                url="ws://venue/stream",
                symbols=tuple(pair.symbol for pair in PAIRS[number::FEEDS]),
                channels=("depth5@100ms",),
                sharding=ShardingConfig(EACH, 1),
                budgets=BudgetsConfig(connects=BudgetConfig(CONNECTS, WITHIN_S)),
            )
            publisher = Publisher(config.name, MemoryBus(keep=1), wall_ns=wall_ns)
            neighbours = shared if together else Neighbours()
            feed = Feed(config, publisher, self.venue, DialOptions(), neighbours=neighbours, wall_ns=wall_ns)
            self.venue.serves(feed)
            self.feeds.append(feed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.venue.run)
            for feed in self.feeds:
                nursery.start_soon(feed.run)
            yield
            nursery.cancel_scope.cancel()

    def live(self) -> int:
        sessions = [connector.session for feed in self.feeds for connector in feed.connectors]
        return sum(session.instruments().get("live", 0) for session in sessions if session is not None)

    async def until(self, count: int, within: float) -> float:
        """Wait until so many pairs are live. Returns how many seconds that took."""
        begun = trio.current_time()
        with trio.fail_after(within):
            while self.live() < count:  # noqa: ASYNC110
                await trio.sleep(0.25)
        return trio.current_time() - begun


async def test_thirty_connections_that_are_cut_again_and_again_exceed_no_budget(autojump_clock: MockClock) -> None:
    storm = Storm()
    all_of_them = len(PAIRS)
    async with storm.running():
        await storm.until(all_of_them, 60.0)
        for live_by_then in (all_of_them, 12, 25):
            await storm.until(live_by_then, 60.0)
            storm.venue.cut_all()
            await trio.sleep(1.0)
        assert await storm.until(all_of_them, 60.0) <= 3 * WITHIN_S + 5.0
        counters = storm.venue.counters
        assert (counters.clients_over_limit, counters.clients_banned, counters.handshakes_refused) == (0, 0, 0)
        assert CONNECTS - 2 <= counters.most_connects <= CONNECTS
        assert len(storm.venue.attempts) > 3 * all_of_them - 20


async def test_feeds_that_do_not_know_of_one_another_are_refused(autojump_clock: MockClock) -> None:
    """So the test above can fail."""
    storm = Storm(together=False)
    async with storm.running():
        await trio.sleep(20.0)
    assert storm.venue.counters.most_connects > CONNECTS
    assert storm.venue.counters.handshakes_refused > 0
