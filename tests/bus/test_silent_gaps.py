"""The Gap of a publisher that says nothing any more, as each kind of subscription yields it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import trio
from trio.testing import MockClock

from feedbus.bus import hearing
from feedbus.bus.hearing import LOOK_EVERY, SILENT_AFTER
from feedbus.bus.ipc_pipe import READ_SIZE
from feedbus.bus.local import LocalReader
from feedbus.bus.nng import MESSAGE_SIZE, PubSocket
from feedbus.bus.publisher import BEAT_EVERY, Publisher
from feedbus.bus.receiver import Batch
from feedbus.bus.subscriber import BusSubscription, subscribe, subscribe_sync
from feedbus.schema.events import Alert, Gap, Trade
from feedbus.testing.memory_bus import MemoryBus

PATIENCE = 10.0  # seconds; only a failing test waits that long
EPOCH = 42


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> float:
    """Everything takes a quarter of its time. Returns after how many seconds a publisher counts as silent then."""
    for name in ("SILENT_AFTER", "LONGEST_STEP", "LOOK_EVERY"):
        monkeypatch.setattr(hearing, name, getattr(hearing, name) / 4)
    return hearing.SILENT_AFTER


def trade(symbol: str = "SBER") -> Trade:
    return Trade("moex", symbol, 1, 2, 300.5, 10.0, "buy", 1)


def silent(name: str, epoch: int = EPOCH) -> Gap:
    return Gap("", name, epoch, None, None, "silent")


def made(name: str, sink: PubSocket | MemoryBus, epoch: int = EPOCH) -> Publisher:
    return Publisher(name, sink, linger=0, wall_ns=lambda: epoch)


async def beat(publisher: Publisher) -> None:
    while True:
        publisher.beat()
        await trio.sleep(0.1)


@asynccontextmanager
async def heard(address: str, sink: PubSocket, *publishers: Publisher) -> AsyncIterator[BusSubscription]:
    """A subscription to something that nobody publishes, which has heard all of these publishers."""
    async with subscribe(address, topics="trade.moex.NOBODY") as subscription:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscription.next_batch)
            while len(subscription.publishers()) < len(publishers):
                for each in publishers:
                    each.beat()
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        yield subscription


async def test_a_publisher_that_falls_silent_is_told_of_once_for_a_silence_also_when_nothing_comes_at_all(
    ipc: str, quick: float
) -> None:
    with closing(PubSocket(ipc)) as sink, trio.fail_after(PATIENCE):
        one, other = made("one", sink), made("other", sink, 43)
        async with heard(ipc, sink, one, other) as subscription:
            # While another one speaks.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat, other)
                began = trio.current_time()
                header, events = await subscription.next_batch()
                assert quick - 0.2 < trio.current_time() - began < quick + LOOK_EVERY
                assert events == [silent("one")]
                assert (header.publisher, header.epoch, header.published) == ("one", EPOCH, 0)
                assert (header.word, header.sequences()) == ("heartbeat", [None])
                nursery.cancel_scope.cancel()
            # While nothing comes any more: of the first one nothing more is said.
            assert await anext(subscription) == silent("other", 43)
            # Once it has spoken it may fall silent again. No numbers are missing, so that is all.
            one.beat()
            assert await anext(subscription) == silent("one")
            assert (subscription.stats().gaps, subscription.stats().lost) == (3, {})


async def test_a_plain_program_is_told_as_well_and_a_new_epoch_is_a_gap_of_its_own(ipc: str, quick: float) -> None:
    with closing(PubSocket(ipc)) as sink, subscribe_sync(ipc, topics="trade.moex.SBER") as subscription:
        publisher = made("moex", sink)
        got: list[Batch] = []

        def until_gap() -> Gap:
            while True:
                got.append(subscription.next_batch())
                if isinstance(found := got[-1][1][-1], Gap):
                    return found

        async def publish() -> None:
            while not got:
                publisher.publish([trade()])
                await trio.sleep(0.01)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                gap = await trio.to_thread.run_sync(until_gap)
            assert gap == silent("moex")
            publisher.begin_epoch()
            publisher.publish([trade()])
            _, events = await trio.to_thread.run_sync(subscription.next_batch)
            assert events == [Gap("", "moex", EPOCH, None, None, "restart"), trade()]
            stats = subscription.stats()
            assert stats.published == {"trade": stats.delivered["trade"] + stats.lost.get("trade", 0)}
            assert stats.gaps == 2


async def test_a_program_that_stands_still_or_does_not_read_accuses_nobody(ipc: str, quick: float) -> None:
    with closing(PubSocket(ipc)) as sink, trio.fail_after(PATIENCE):
        publisher = made("moex", sink)
        async with heard(ipc, sink, publisher) as subscription:
            for stands_still in (True, False):
                if stands_still:
                    time.sleep(2 * quick)  # noqa: ASYNC251 (as when the process is stopped)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(beat, publisher)
                    if not stands_still:
                        await trio.sleep(2 * quick)
                        assert (subscription.silent_for("moex") or 0.0) < quick
                    with trio.move_on_after(quick) as waited:
                        await subscription.next_batch()
                    assert waited.cancelled_caught
                    nursery.cancel_scope.cancel()


async def test_what_lies_unread_behind_much_else_counts_as_said(ipc: str, quick: float) -> None:
    """The reader is never done: what it reads at a time comes anew meanwhile."""
    large = Alert("moex", "SBER", 0, 0, "rule", "high", "firing", None, "x" * MESSAGE_SIZE)
    with closing(PubSocket(ipc)) as sink, trio.fail_after(PATIENCE):
        one, other = made("one", sink), made("other", sink)
        async with subscribe(ipc) as subscription:
            while len(subscription.publishers()) < 2:
                one.publish([trade()])
                other.publish([trade()])
                with trio.move_on_after(0.1):
                    await subscription.next_batch()
            for portions in (6, 1, 1, 1, 1, 1, 1):
                for _ in range(portions * READ_SIZE // MESSAGE_SIZE):
                    one.publish([large])
                other.publish([trade()])
                await trio.sleep(quick / 3)
                assert await subscription.next_batch()
                while subscription._batches:
                    await subscription.next_batch()
            assert subscription.stats().gaps == 0


# In the process of the publishers, on a virtual clock


async def run(reader: LocalReader, told: list[tuple[float, Gap]]) -> None:
    async for header, events in reader.messages():
        told += [(trio.current_time(), event) for event in events if isinstance(event, Gap)]
        assert {event.publisher for event in events if isinstance(event, Gap)} <= {header.publisher}


@pytest.mark.parametrize("topics", ["", "trade.moex.NOBODY"])
async def test_a_reader_in_the_process_is_told_by_its_bus(topics: str, autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    told: list[tuple[float, Gap]] = []
    async with bus.subscribe(topics) as reader, trio.open_nursery() as nursery:
        await nursery.start(bus.watch)
        nursery.start_soon(run, reader, told)
        one, other = made("one", bus), made("other", bus)
        nursery.start_soon(other.run)
        for _ in range(3):
            one.publish([trade()])
            one.beat()
            await trio.sleep(BEAT_EVERY)
        spoke = trio.current_time() - BEAT_EVERY
        await trio.sleep(10.0)
        ((at, gap),) = told
        assert gap == silent("one")
        assert SILENT_AFTER <= at - spoke <= SILENT_AFTER + LOOK_EVERY
        one.beat()
        await trio.sleep(10.0)
        assert [gap for _, gap in told] == [silent("one")] * 2
        nursery.cancel_scope.cancel()


async def test_a_reader_that_does_not_read_accuses_nobody_either(autojump_clock: MockClock) -> None:
    bus = MemoryBus()
    async with bus.subscribe() as reader, trio.open_nursery() as nursery:
        await nursery.start(bus.watch)
        publisher = made("moex", bus)
        publisher.publish([trade()])
        await reader.next_batch()
        publisher.publish([trade()])
        await trio.sleep(60.0)
        publisher.publish([trade()])
        told = [event for _ in range(2) for event in (await reader.next_batch())[1]]
        assert told == [trade(), trade()]
        assert (await reader.next_batch())[1] == [silent("moex")]
        nursery.cancel_scope.cancel()
