"""A whole small system, run again with the same seed, says the same on the bus byte for byte; with another it doesn't.

A Feed of three connections on the fake venue, its Publisher on the bus in memory, two subscribers, all under one
supervisor. Traders, a saboteur and a subscriber that crashes race; connections fail to open, break and are refused.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.errors import ClosedByPeer, ConnectFailed, VenueError
from feedbus.feed import feed as feed_module
from feedbus.feed.feed import Feed
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.schema.events import FeedStatus, Trade
from feedbus.testing.determinism import run_deterministically, wall_ns
from feedbus.testing.fake_transport import FakeDial
from feedbus.testing.fake_venue import FakeAccount, FakeVenue
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions

SYMBOLS = tuple(f"S{number}" for number in range(6))
SECONDS = 20.0


@pytest.fixture(autouse=True)
def the_fake_venue_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "account_class", lambda _: FakeAccount)


class System:
    """All of it; `source` is where every random number comes from."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.venue = FakeVenue(FakeDial(self.dial_failure))
        self.venue.refuse_symbols["S5"] = "not listed"
        self.bus = MemoryBus()
        self.publisher = Publisher("fake", self.bus, wall_ns=wall_ns)
        config = FeedConfig(
            name="fake", venue="fake", url="ws://fake/", symbols=SYMBOLS, sharding=ShardingConfig(3, 2), login_retry=4.0
        )
        self.feed = Feed(config, self.publisher, self.venue, DialOptions(), draw=source.random, wall_ns=wall_ns)
        self.heard: list[str] = []
        children = [
            Child("publisher", self.publisher.run),
            Child("feed", partial(self.up_at_once, self.feed.run)),
            Child("listener", partial(self.up_at_once, partial(self.listen, "listener", crash_every=None))),
            Child("clumsy", partial(self.up_at_once, partial(self.listen, "clumsy", crash_every=40))),
        ]
        self.supervisor = Supervisor("system", children, intensity=1000)

    async def up_at_once(self, run: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await run()

    def dial_failure(self, number: int) -> VenueError | None:
        if number and self.source.random() < 0.2:
            return ConnectFailed("no route")
        return None

    async def listen(self, name: str, crash_every: int | None) -> None:
        async with self.bus.subscribe("trade.") as subscription:
            count = 0
            async for event in subscription:
                self.heard.append(f"{trio.current_time():.6f} {name} {event}")
                count += 1
                if count == crash_every:
                    raise ZeroDivisionError("clumsy")

    async def trader(self) -> None:
        """All traders wake at the same times, so who is first is the run queue's choice."""
        while True:
            await trio.sleep(0.25)
            for _ in range(2):
                await trio.lowlevel.checkpoint()
                self.venue.trade(self.source.choice(SYMBOLS), self.source.randrange(100) / 4)

    async def saboteur(self) -> None:
        while True:
            await trio.sleep(0.5 + self.source.random())
            if self.venue.lines:
                self.source.choice(self.venue.lines).fail(ClosedByPeer(1006))
            self.venue.refuse_login = "not now" if self.source.random() < 0.1 else None

    async def run(self) -> None:
        with trio.move_on_after(SECONDS):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.supervisor.run)
                for _ in range(4):
                    nursery.start_soon(self.trader)
                nursery.start_soon(self.saboteur)
        self.publisher.beat()


async def run_system(source: random.Random) -> System:
    system = System(source)
    await system.run()
    return system


async def run_with_numbers_of_its_own(_: random.Random) -> System:
    """The same random numbers for every seed: only the run queue differs."""
    return await run_system(random.Random(1))


def trades(system: System) -> list[tuple[int, str, float]]:
    return [(trade.ts_event, trade.symbol, trade.price) for trade in system.bus.events(Trade)]


def test_one_seed_gives_the_same_events_byte_for_byte() -> None:
    first, second = (run_deterministically(run_system, seed=3) for _ in range(2))
    assert list(first.bus.messages) == list(second.bus.messages)
    assert first.heard == second.heard
    assert first.supervisor.counts() == second.supervisor.counts()


def test_everything_that_can_go_wrong_goes_wrong_in_such_runs() -> None:
    systems = [run_deterministically(run_system, seed=seed) for seed in range(3)]
    causes: Counter[str] = sum((system.feed.failures() for system in systems), Counter())
    assert {"connect_failed", "closed_by_peer", "login_refused"} <= set(causes)
    states = {status.state for system in systems for status in system.bus.events(FeedStatus)}
    assert {"connecting", "online", "waiting", "refused"} <= states
    for system in systems:
        assert len(trades(system)) > 100
        assert sum(connector.connects for connector in system.feed.connectors) > 5
        assert list(+system.supervisor.crashes) == ["clumsy"]


def test_another_seed_gives_other_events() -> None:
    logs = [tuple(run_deterministically(run_system, seed=seed).bus.messages) for seed in range(3)]
    assert len(set(logs)) == 3


def test_with_the_same_random_numbers_another_seed_still_gives_another_order() -> None:
    systems = [run_deterministically(run_with_numbers_of_its_own, seed=seed) for seed in range(3)]
    assert len({tuple(system.bus.messages) for system in systems}) == 3
    assert len({tuple(system.heard) for system in systems}) == 3


def test_no_trade_that_the_venue_told_is_lost_on_the_way_to_a_subscriber() -> None:
    system = run_deterministically(run_system, seed=4)
    heard = Counter(line.split()[1] for line in system.heard)
    assert heard["listener"] == len(trades(system)) == system.publisher.counts()["trade"]
