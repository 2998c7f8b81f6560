"""The aggregator as an actor, over the bus in memory and on a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.publisher import Publisher
from feedbus.errors import ConfigError
from feedbus.events import Bar, BookMetrics, BookSnapshot, Gap, Indicator, MarketData, Trade
from feedbus.subscribers import actor_class, names
from feedbus.subscribers.actor import Given
from feedbus.subscribers.aggregator import Actor
from feedbus.subscribers.aggregator_options import IndicatorOptions, Options
from feedbus.testing.bus import MemoryBus

S = 1_000_000_000
MINUTE = 60 * S
START = 28_000_005 * MINUTE  # a whole multiple of 900 s


class Rig:
    """A feed's publisher, the aggregator, and what it published."""

    def __init__(self, options: Options) -> None:
        self.feed = MemoryBus()
        self.out = MemoryBus()
        self.publisher = Publisher("fake", self.feed, linger=0, wall_ns=lambda: 1)
        own = Publisher("aggregator", self.out, linger=0, wall_ns=lambda: 2)
        self.actor = Actor(options, Given(self.feed.subscribe, own.publish, lambda: START))

    async def send(self, *events: MarketData) -> None:
        self.publisher.publish(events)
        await wait_all_tasks_blocked()

    def bars(self) -> list[Bar]:
        """What was published since the last time."""
        found = self.out.events(Bar)
        self.out.take()
        return found


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Rig]:
    rig = Rig(options)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.actor.run)
        yield rig
        nursery.cancel_scope.cancel()


def trade(seconds: float, price: float, size: float = 1.0, symbol: str = "A") -> Trade:
    at = START + int(seconds * S)
    return Trade("fake", symbol, at, at + S // 2, price, size, "buy", None)


async def test_a_bar_is_published_while_it_forms_and_when_it_is_over(autojump_clock: MockClock) -> None:
    async with running(Options(periods=(60,), indicators=(IndicatorOptions("sma", 1),), grace=1.0)) as rig:
        await trio.sleep(10)
        await rig.send(trade(10, 100.0))
        assert [(bar.close, bar.final, bar.revision) for bar in rig.bars()] == [(100.0, False, 0)]
        await trio.sleep(0.5)
        await rig.send(trade(10.4, 101.0), trade(10.5, 99.0))
        assert rig.bars() == []
        await trio.sleep(0.5)
        await wait_all_tasks_blocked()
        assert [(bar.close, bar.final, bar.revision) for bar in rig.bars()] == [(99.0, False, 1)]
        await trio.sleep(49.9)
        assert rig.bars() == []
        await trio.sleep(0.2)
        assert rig.out.events(Indicator) == [
            Indicator("fake", "A", START + 10_500_000_000, START + 11_000_000_000, "sma", 60, 1, START, 99.0)
        ]
        assert [(bar.close, bar.volume, bar.final, bar.revision) for bar in rig.bars()] == [(99.0, 3.0, True, 2)]
