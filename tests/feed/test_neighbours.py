"""Feeds of one process that ask one host: what they share, and what they don't."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from feedbus.bus.publisher import Publisher
from feedbus.config import BudgetConfig, FeedConfig
from feedbus.config.model import BudgetsConfig
from feedbus.errors import RateLimited
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.feed.weights import WeightBudget, WeightTurns
from feedbus.proxies import Proxies, Route, parse
from feedbus.testing.fake_transport import FakeDial
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions


def feed(neighbours: Neighbours, name: str, **more: Any) -> Feed:
    given = {"venue": "binance", "url": "wss://v.example/stream", "symbols": ("BTCUSDT",), **more}
    config = FeedConfig(name=name, **given)
    return Feed(
        config, Publisher(name, MemoryBus()), FakeDial(), DialOptions(), neighbours=neighbours, draw=lambda: 0.0
    )


def budget(of: Feed) -> WeightBudget:
    turns = of.budgets["rest_weight"]
    assert isinstance(turns, WeightTurns)
    return turns.budget


def share(weight: int) -> BudgetsConfig:
    return BudgetsConfig(rest_weight=BudgetConfig(weight, 60.0))


def by(proxy: str) -> Proxies:
    return Proxies(chosen=Route(parse(proxy), "the file"))


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [
        ({}, {}, True),
        ({"rest": "https://api.binance.com/"}, {"channels": ("depth",)}, True),
        ({"rest": "https://api.binance.com:443/x"}, {}, True),
        ({"rest": "https://data-api.binance.vision"}, {}, False),
        ({"rest": "http://127.0.0.1:1"}, {"rest": "http://127.0.0.1:2"}, False),
        ({"proxies": by("http://one:1")}, {"proxies": by("http://one:1")}, True),
        ({"proxies": by("http://one:1")}, {"proxies": by("http://two:1")}, False),
        ({"proxies": by("http://one:1")}, {}, False),
    ],
)
async def test_who_asks_one_host_by_the_same_way_shares_a_budget_and_a_pause(
    one: dict[str, Any], other: dict[str, Any], is_shared: bool, autojump_clock: MockClock
) -> None:
    neighbours = Neighbours()
    first, second = feed(neighbours, "one", **one), feed(neighbours, "two", url="wss://w.example/ws", **other)
    budget(first).begin(250)
    assert budget(second).used(0.0) == (250 if is_shared else 0)
    first.rate_limited(RateLimited("HTTP 418", 300.0))
    assert second.hold.left(0.0) == pytest.approx(300.0 if is_shared else 0.0)
    assert (first.hold.asked, second.hold.asked) == (1, 0)


@pytest.mark.parametrize("shares", [(600, 3000), (3000, 600), (600, None), (None, 600)])
def test_the_smallest_limit_counts(shares: tuple[int | None, int | None]) -> None:
    neighbours = Neighbours()
    one, _ = (
        feed(neighbours, name, **({} if each is None else {"budgets": share(each)}))
        for name, each in zip("ab", shares, strict=True)
    )
    budget(one).begin(540)
    assert budget(one).wait_for(40, 0.0) > 0
    assert budget(one).wait_for(30, 0.0) > 0  # nothing has been told yet
    budget(one).end(540, 540, begun=0.0, now=0.0)
    assert budget(one).wait_for(40, 0.0) == 60.0
    assert budget(one).wait_for(30, 0.0) == 0.0


MOEX = {"venue": "moex", "symbols": ("TQBR.SBER",)}


@pytest.mark.parametrize(
    ("other", "is_shared"),
    [
        ({}, True),
        ({"url": "wss://v.example:9443/ws/other"}, True),
        ({"url": "wss://w.example/stream"}, False),
        ({"proxies": by("http://one:1")}, False),
        ({"venue": "moex", "symbols": ("TQBR.SBER",)}, False),
    ],
)
async def test_who_connects_to_one_host_by_the_same_way_shares_its_turns_and_a_pause(
    other: dict[str, Any], is_shared: bool, autojump_clock: MockClock
) -> None:
    neighbours = Neighbours()
    first = feed(neighbours, "one", budgets=BudgetsConfig(connects=BudgetConfig(4, 60.0)))
    given = {"rest": "https://elsewhere.example", **other}
    second = feed(neighbours, "two", budgets=BudgetsConfig(connects=BudgetConfig(2, 60.0)), **given)
    await first.connects.take()
    before = trio.current_time()
    await second.connects.take()
    assert trio.current_time() - before == (60.0 if is_shared else 0.0), "the smaller of the two counts for both"
    assert (first.connects.taken, second.connects.taken) == (1, 1)
    first.rate_limited(RateLimited("HTTP 429", 300.0))
    assert second.hold.left(trio.current_time()) == (300.0 if is_shared else 0.0)


async def test_feeds_at_one_host_subscribe_by_turns_of_one_line_whose_smallest_rate_counts(
    autojump_clock: MockClock,
) -> None:
    neighbours = Neighbours()
    few, many = (BudgetsConfig(subscribes=BudgetConfig(count, 10.0)) for count in (2, 20))
    one, two = feed(neighbours, "one", budgets=many, **MOEX), feed(neighbours, "two", budgets=few, **MOEX)
    first, second = one.turns(lambda: None), two.turns(lambda: None)
    assert first.take(0.0)
    assert (second.take(0.0), second.ask_at) == (False, 10.0)
    assert (one.budgets["subscribes"].waiting, two.budgets["subscribes"].waiting) == (0, 1)
    assert "subscribes" not in feed(neighbours, "three", **MOEX).budgets, "neither it nor the venue limits them"
