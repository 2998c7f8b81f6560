"""The bus in memory: what a Publisher sends arrives as on the real one, and what is lost is told as there."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.local import LocalReader
from feedbus.bus.publisher import Publisher, Sink
from feedbus.errors import BadAddress
from feedbus.schema.events import Gap, Heartbeat, MarketData, Quote, Trade
from feedbus.testing.memory_bus import MemoryBus


def trade(symbol: str, price: float) -> Trade:
    return Trade("fake", symbol, 1, 2, price, 1.0, None, None)


def quote(symbol: str) -> Quote:
    return Quote("fake", symbol, 1, 2, 1.0, 1.0, 2.0, 1.0, None)


def publisher(bus: MemoryBus) -> Publisher:
    sink: Sink = bus
    return Publisher("fake", sink, linger=0, wall_ns=lambda: 42)


async def read(subscription: LocalReader, count: int) -> list[MarketData | Gap]:
    return [await anext(subscription) for _ in range(count)]


async def test_messages_are_kept_and_can_be_read_decoded() -> None:
    bus = MemoryBus()
    of = publisher(bus)
    of.publish([trade("A", 1.0), quote("A"), trade("B", 2.0)])
    of.beat()
    assert [(header.word, header.publisher, header.epoch) for header, _ in bus.decoded()] == [
        ("trade", "fake", 42),
        ("quote", "fake", 42),
    ]
    assert bus.decoded()[0][1] == [("A", 1, [trade("A", 1.0)]), ("B", 1, [trade("B", 2.0)])]
    assert bus.events(Trade) == [trade("A", 1.0), trade("B", 2.0)]
    assert bus.sent == len(bus.messages) == 3
    assert [message.split(b"\0")[0] for message in bus.take()] == [b"trade.fake", b"quote.fake", b"heartbeat.fake"]
    assert list(bus.messages) == []


async def test_no_more_messages_are_kept_than_were_asked_for() -> None:
    bus = MemoryBus(keep=2)
    for number in range(5):
        publisher(bus).publish([trade("A", number)])
    assert bus.events(Trade) == [trade("A", 3), trade("A", 4)]
    assert bus.sent == 5


async def test_a_subscription_yields_what_it_asked_for() -> None:
    bus = MemoryBus()
    of = publisher(bus)
    async with bus.subscribe("trade.fake.A") as subscription, bus.subscribe() as all_of_it:
        of.publish([trade("A", 1.0), trade("B", 2.0), quote("A"), trade("A", 3.0)])
        header, events = await anext(subscription.messages())
        assert (header.publisher, events, header.sequences()) == ("fake", [trade("A", 1.0), trade("A", 3.0)], [1, 2])
        assert len(await read(all_of_it, 4)) == 4
        assert subscription.stats().delivered == {"trade": 2}
        assert subscription.publishers() == {"fake": (of.epoch, 0)}
        assert (subscription.stats().messages, all_of_it.stats().messages) == (1, 2)


async def test_a_subscription_waits_for_events(autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    got: list[MarketData | Gap] = []

    async def reader(subscription: LocalReader) -> None:
        got.append(await anext(subscription))

    async with bus.subscribe(["trade.", "quote."]) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(reader, subscription)
        await wait_all_tasks_blocked()
        publisher(bus).publish([trade("A", 1.0)])
    assert got == [trade("A", 1.0)]


async def test_who_does_not_read_loses_the_oldest_and_is_told_so() -> None:
    bus = MemoryBus(stalled_bytes=0)
    of = publisher(bus)
    async with bus.subscribe("trade.") as subscription:
        of.publish([trade("A", 0)])
        await read(subscription, 1)
        for number in range(1, 6):
            of.publish([trade("A", number)])
        assert await read(subscription, 2) == [Gap("trade.fake.A", "fake", 42, 2, 5, "lost"), trade("A", 5)]
        assert subscription.stats().lost == {"trade": 4}


async def test_heartbeats_are_followed_and_not_yielded() -> None:
    bus = MemoryBus(stalled_bytes=0)
    of = publisher(bus)
    async with bus.subscribe("trade.") as subscription:
        of.publish([trade("A", 0)])
        await read(subscription, 1)
        of.publish([trade("A", 1)])
        of.beat()  # pushes the trade out
        assert await read(subscription, 1) == [Gap("trade.fake.A", "fake", 42, 2, 2, "lost")]
    assert bus.events(Heartbeat) == []


async def test_a_subscription_that_has_ended_says_so_to_who_still_reads() -> None:
    bus = MemoryBus()
    async with trio.open_nursery() as nursery, bus.subscribe() as subscription:

        async def reader() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await anext(subscription)

        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
    publisher(bus).publish([trade("A", 1.0)])
    assert subscription.stats().messages == 0


async def test_what_is_no_topic_is_refused() -> None:
    with pytest.raises(BadAddress):
        async with MemoryBus().subscribe("trade.fake"):
            raise AssertionError("not reached")
