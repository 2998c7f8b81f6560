"""Thirty connections are cut at once: they come back within what the budgets allow, and the venue bans nobody.

What the venue took is read from its own counts. It limits its clients to exactly what the feed is configured to, so
that one message, request or attempt too many is a refusal, and seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.config.model import BudgetConfig, BudgetsConfig
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.binance.catalogue import Pair
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import admit
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.rest import MoexRest
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.testing.determinism import EPOCH_NS, wall_ns
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions
from tests.feed.memory_venue import MemoryVenue

CONNECTIONS = 30
EACH = 6  # symbols of a connection
SHARES = [structs.replace(catalogue.securities()[0], secid=f"S{number}") for number in range(CONNECTIONS * EACH)]
PAIRS = [Pair(f"C{number}", "USDT", 10**10, 10**6, 10**6, 0) for number in range(CONNECTIONS * EACH)]


def moex(**limits: Any) -> tuple[MemoryVenue, list[dict[str, Any]]]:
    venue = MoexVenue(MoexSimOptions(start_ns=EPOCH_NS, **limits), securities=SHARES)

    def admitted(_: str, now_ns: int) -> MoexConversation | int:
        return venue.limits.connect(now_ns) or MoexConversation(venue)

    feeds = [{"name": "moex", "venue": "moex", "symbols": tuple(share.symbol for share in SHARES)}]
    return MemoryVenue(venue.market, admitted, MoexRest(EPOCH_NS), venue.counters), feeds


def alor(**limits: Any) -> tuple[MemoryVenue, list[dict[str, Any]]]:
    """An account may have ten connections, so there are three accounts."""
    venue = AlorVenue(AlorSimOptions(start_ns=EPOCH_NS, **limits), securities=SHARES)

    def admitted(_: str, now_ns: int) -> AlorConversation | int:
        return venue.limits.connect(now_ns) or AlorConversation(venue)

    third = len(SHARES) // 3
    feeds = [
        {
            "name": f"alor{number}",
            "venue": "alor",
            "symbols": tuple(share.secid for share in SHARES[number * third : (number + 1) * third]),
            "credentials": {"refresh_token": f"token{number}"},
            "channels": ("orderbook",),
        }
        for number in range(3)
    ]
    return MemoryVenue(venue.market, admitted, AlorRest(venue), venue.counters), feeds


def binance(**limits: Any) -> tuple[MemoryVenue, list[dict[str, Any]]]:
    venue = BinanceVenue(BinanceSimOptions(start_ns=EPOCH_NS, levels=5, **limits), listed=PAIRS)
    symbols = tuple(pair.symbol for pair in PAIRS)
    feeds = [{"name": "binance", "venue": "binance", "symbols": symbols, "channels": ("depth5@100ms",)}]
    return MemoryVenue(venue, partial(admit, venue), BinanceRest(venue), venue.counters), feeds


Make = Callable[..., tuple[MemoryVenue, list[dict[str, Any]]]]
Scene = tuple[MemoryVenue, list[Feed]]


def feeds_at(venue: MemoryVenue, configs: Sequence[dict[str, Any]], budgets: BudgetsConfig) -> list[Feed]:
    neighbours = Neighbours()
    feeds = []
    for given in configs:
        config = FeedConfig(
            url="ws://venue/stream",
            sharding=ShardingConfig(CONNECTIONS // len(configs), EACH),
            budgets=budgets,
            **given,
        )
        publisher = Publisher(config.name, MemoryBus(), wall_ns=wall_ns)
        feed = Feed(config, publisher, venue, DialOptions(), neighbours=neighbours, wall_ns=wall_ns)
        venue.serves(feed)
        feeds.append(feed)
    return feeds


@asynccontextmanager
async def running(venue: MemoryVenue, feeds: Sequence[Feed]) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(venue.run)
        for feed in feeds:
            nursery.start_soon(feed.run)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def thirty_live(make: Make, budgets: BudgetsConfig, **limits: Any) -> AsyncIterator[Scene]:
    venue, configs = make(**limits)
    feeds = feeds_at(venue, configs, budgets)
    async with running(venue, feeds):
        await all_live(feeds, 120.0)
        yield venue, feeds


async def quiet_time(venue: MemoryVenue, seconds: float) -> None:
    """Time in which budgets fill up again."""
    venue.moves = False
    await trio.sleep(seconds)
    venue.moves = True


def live(feeds: Sequence[Feed]) -> int:
    """How many symbols are live."""
    sessions = [connector.session for feed in feeds for connector in feed.connectors]
    return sum(session.instruments().get("live", 0) for session in sessions if session is not None)


async def cut_all(venue: MemoryVenue, feeds: Sequence[Feed]) -> float:
    """Cut all connections at once. Returns how long it took until all was live again."""
    before = {connector: connector.generation for feed in feeds for connector in feed.connectors}
    begun = trio.current_time()
    venue.cut_all()
    with trio.fail_after(60):
        while any(connector.generation == number for connector, number in before.items()):  # noqa: ASYNC110
            await trio.sleep(0.01)
    await all_live(feeds, 60.0)
    return trio.current_time() - begun


async def all_live(feeds: Sequence[Feed], within: float) -> None:
    """Wait until all symbols are live."""
    with trio.fail_after(within):
        while live(feeds) < CONNECTIONS * EACH:  # noqa: ASYNC110 - no event tells of it
            await trio.sleep(0.01)


VENUES = pytest.mark.parametrize("make", [moex, alor, binance])
BUDGETS: dict[str, tuple[BudgetsConfig, dict[str, Any], float]] = {
    "connects": (BudgetsConfig(connects=BudgetConfig(20, 10.0)), {"max_connects": 20, "connects_s": 10.0}, 20.0),
    "subscribes": (BudgetsConfig(subscribes=BudgetConfig(60, 2.0)), {"max_subscribes": 60, "subscribes_s": 2.0}, 24.0),
    "messages": (BudgetsConfig(messages=BudgetConfig(5, 1.0)), {"max_messages": 5}, 7.0),
}
"""By name: the budget, the same limit of the venue, and how long thirty connections need with it at most."""


@VENUES
async def test_thirty_connections_cut_at_once_are_live_again_within_two_seconds(
    make: Make, autojump_clock: MockClock
) -> None:
    """The venue's own limit of connects allows 150 at once."""
    async with thirty_live(make, BudgetsConfig()) as (venue, feeds):
        await quiet_time(venue, 20)
        assert await cut_all(venue, feeds) < 2.0
        assert sum(feed.failures()["closed_by_peer"] for feed in feeds) == CONNECTIONS
        counters = venue.counters
        assert (counters.clients_over_limit, counters.clients_banned, counters.handshakes_refused) == (0, 0, 0)


@VENUES
@pytest.mark.parametrize("name", BUDGETS)
async def test_a_storm_exceeds_no_budget_by_the_venues_own_count(
    make: Make, name: str, autojump_clock: MockClock
) -> None:
    budgets, limits, allowed = BUDGETS[name]
    async with thirty_live(make, budgets, rate=2, **limits) as (venue, feeds):
        await quiet_time(venue, 25)
        assert await cut_all(venue, feeds) < allowed + 2.0
        counters = venue.counters
        assert (counters.clients_over_limit, counters.clients_banned, counters.handshakes_refused) == (0, 0, 0)
        assert 0 < getattr(counters, f"most_{name}") <= limits[f"max_{name}"]
        totals = [feed.budgets[name] for feed in feeds]
        assert sum(each.taken for each in totals) >= 2 * CONNECTIONS
        assert [each.waiting for each in totals] == [0] * len(feeds)


@VENUES
async def test_who_keeps_to_no_budget_is_seen_and_banned(make: Make, autojump_clock: MockClock) -> None:
    """So the tests above can fail."""
    venue, configs = make(rate=2, max_subscribes=10)
    async with running(venue, feeds_at(venue, configs, BudgetsConfig())):
        await trio.sleep(20)
    counters = venue.counters
    assert counters.most_subscribes > 10
    assert counters.clients_over_limit > 2
    assert counters.clients_banned == 1
    assert counters.handshakes_refused > 0


@VENUES
async def test_who_connects_too_often_is_refused_and_keeps_away(make: Make, autojump_clock: MockClock) -> None:
    venue, configs = make(rate=2, max_connects=20)
    async with running(venue, feeds_at(venue, configs, BudgetsConfig())):
        await trio.sleep(20)
    assert venue.counters.most_connects > 20
    assert venue.counters.handshakes_refused > 0
    assert venue.counters.clients_banned == 0, "the feed obeys the first refusal"
