"""A subscription that is left and taken up again, and its end: cancelled, left, closed while another task waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.bus.ipc_pipe import READ_SIZE
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.receiver import Batch
from feedbus.bus.sub_socket import SubSocket
from feedbus.bus.subscriber import READ_WITHIN, BusSubscription, SyncSubscription, subscribe, subscribe_sync
from feedbus.errors import BusError
from feedbus.schema.events import Gap, MarketData, Trade
from feedbus.testing.memory_bus import MemoryBus

T = TypeVar("T")
PATIENCE = 5.0  # seconds; only a failing test waits that long


def trade(number: int, symbol: str = "A") -> Trade:
    return Trade("moex", symbol, number, number, 1.5, 2.0, None, number)


@asynccontextmanager
async def publishing(address: str) -> AsyncIterator[tuple[Publisher, trio.Event]]:
    """A publisher, and what is set when a subscriber has joined it."""
    sink = PubSocket(address)
    token = trio.lowlevel.current_trio_token()
    joined = trio.Event()
    sink._socket.add_post_pipe_connect_cb(lambda _: token.run_sync_soon(joined.set))
    try:
        with trio.fail_after(PATIENCE):
            yield Publisher("moex", sink, linger=0), joined
    finally:
        sink.close()


async def test_cancelled_task_loses_nothing_and_the_next_one_goes_on(ipc: str) -> None:
    async with subscribed("trio", ipc) as (publisher, subscription):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscription.__anext__)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        publisher.publish([trade(1), trade(2)])
        assert [await anext(subscription), await anext(subscription)] == [trade(1), trade(2)]
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(subscription)
        assert scope.cancelled_caught


async def test_a_task_that_waits_when_the_context_is_left_is_told(ipc: str) -> None:
    async def wait(subscription: BusSubscription) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await anext(subscription)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, subscribe(ipc) as subscription:
            nursery.start_soon(wait, subscription)
            await wait_all_tasks_blocked()


async def test_a_left_subscription_refuses_to_wait_on_a_descriptor_that_may_be_anothers(ipc: str) -> None:
    async with subscribe(ipc) as subscription:
        pass
    with trio.fail_after(PATIENCE), pytest.raises(trio.ClosedResourceError):
        await anext(subscription)
    with subscribe_sync(ipc) as plain:
        pass
    with pytest.raises(BusError, match="the subscription is closed"):
        next(iter(plain))


async def test_two_tasks_at_once_are_refused_and_the_first_one_goes_on(ipc: str) -> None:
    got = []

    async def first(subscription: BusSubscription) -> None:
        got.append(await anext(subscription))

    async with subscribed("trio", ipc) as (publisher, subscription), trio.open_nursery() as nursery:
        nursery.start_soon(first, subscription)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(subscription)
        publisher.publish([trade(1)])
    assert got == [trade(1)]


class AsPlain:
    """A SyncSubscription as a trio program would use it, so that both kinds pass the same tests."""

    def __init__(self, plain: SyncSubscription) -> None:
        self._plain = plain
        self.stats = plain.stats

    def __aiter__(self) -> AsyncIterator[MarketData | Gap]:
        return Stepped(iter(self._plain))

    def messages(self) -> AsyncIterator[Batch]:
        return Stepped(self._plain.messages())


class Stepped(AsyncIterator[T]):
    """An iterator that a trio program can use, while it has no need to wait."""

    def __init__(self, iterator: Iterator[T]) -> None:
        self._iterator = iterator

    async def __anext__(self) -> T:
        return next(self._iterator)


@asynccontextmanager
async def subscribed(kind: str, address: str) -> AsyncIterator[tuple[Publisher, Any]]:
    """A publisher, and a subscription of this kind to it."""
    if kind == "memory":
        bus = MemoryBus()
        async with bus.subscribe() as memory:
            yield Publisher("moex", bus, linger=0), memory
    elif kind == "trio":
        async with publishing(address) as (publisher, joined), subscribe(address) as subscription:
            await joined.wait()
            yield publisher, subscription
    else:
        async with publishing(address) as (publisher, joined):
            with subscribe_sync(address) as plain:
                await joined.wait()
                yield publisher, AsPlain(plain)


async def take(iterator: AsyncIterator[T], count: int) -> list[T]:
    """Take some items in a loop that is left by an exception, as a program does that fails and goes on."""
    taken: list[T] = []
    with suppress(KeyError):
        async for item in iterator:
            taken.append(item)
            if len(taken) == count:
                raise KeyError
    return taken


@pytest.mark.parametrize("kind", ["memory", "trio", "plain"])
async def test_a_loop_that_is_left_inside_a_message_loses_nothing(kind: str, ipc: str) -> None:
    async with subscribed(kind, ipc) as (publisher, subscription):
        publisher.publish([trade(number) for number in range(1, 11)])
        publisher.publish([trade(number) for number in range(11, 14)])
        assert await take(aiter(subscription), 1) == [trade(1)]
        assert await take(aiter(subscription), 3) == [trade(2), trade(3), trade(4)]
        (rest, following) = await take(subscription.messages(), 2)
        assert (rest[0].sequences(), rest[1]) == ([*range(5, 11)], [trade(number) for number in range(5, 11)])
        assert (following[0].sequences(), len(following[1])) == ([11, 12, 13], 3)
        publisher.publish([trade(14), trade(15)])
        assert [events for _, events in await take(subscription.messages(), 1)] == [[trade(14), trade(15)]]
        publisher.publish([trade(16)])
        assert await take(aiter(subscription), 1) == [trade(16)]
        assert subscription.stats().delivered == {"trade": 16}


class Closer(trio.abc.Instrument):
    """Closes a socket when a message waits there, just before the task runs that is to receive it."""

    def __init__(self, socket: SubSocket, task: trio.lowlevel.Task) -> None:
        self._socket, self._task = socket, task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and not self._socket.closed:
            self._socket.close()


async def test_a_task_whose_message_has_come_when_the_socket_is_closed_is_told(ipc: str) -> None:
    async with subscribed("trio", ipc) as (publisher, subscription), trio.open_nursery() as nursery:

        async def wait() -> None:
            nursery.start_soon(publish, trio.lowlevel.current_task())
            with pytest.raises(trio.ClosedResourceError):
                await anext(subscription)

        async def publish(waiting: trio.lowlevel.Task) -> None:
            await wait_all_tasks_blocked()
            trio.lowlevel.add_instrument(Closer(subscription._socket, waiting))
            publisher.publish([trade(1)])

        with trio.fail_after(PATIENCE):
            await wait()
    assert subscription.stats().messages == 0


async def test_context_may_be_left_while_messages_wait(ipc: str) -> None:
    async with publishing_while_subscribed(ipc) as subscription:
        assert await anext(subscription) == trade(1)
    stats = subscription.stats()
    assert 1 <= stats.delivered["trade"] <= 1000


@asynccontextmanager
async def publishing_while_subscribed(address: str) -> AsyncIterator[BusSubscription]:
    async with subscribed("trio", address) as (publisher, subscription):
        for number in range(1, 1001):
            publisher.publish([trade(number)])
        yield subscription


async def test_a_subscription_open_for_long_shares_the_loop_with_other_tasks(ipc: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with publishing_while_subscribed(ipc) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await anext(subscription)
        assert 1 <= subscription.stats().bytes <= READ_SIZE
        for _ in range(999):
            await anext(subscription)
        assert turns >= subscription.stats().bytes // READ_SIZE
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("address", "topic"), [("nonsense", ""), ("inproc://x", "trade.moex")])
async def test_bad_addresses_and_topics_are_errors_of_the_bus(address: str, topic: str) -> None:
    with pytest.raises(BusError):
        async with subscribe(address, topics=topic):
            pass
    with pytest.raises(BusError), subscribe_sync(address, topics=topic):
        pass


async def test_a_reader_is_overdue_while_it_takes_nothing_although_something_has_come(nursery: trio.Nursery) -> None:
    bus = MemoryBus()
    publisher = Publisher("moex", bus, linger=0)
    async with bus.subscribe() as subscription:

        def said(*times: float) -> list[bool]:
            return [subscription.overdue(time) is not None for time in times]

        late = READ_WITHIN + 1
        assert said(0, 1, late) == [False, False, True]  # nobody has asked for anything
        nursery.start_soon(subscription.next_batch)
        await wait_all_tasks_blocked()
        assert said(100, 200, 300) == [False, False, False]  # nothing has come
        publisher.publish([trade(1), trade(2)])
        assert said(400, 400 + late) == [False, True]  # whoever waits isn't woken
        await wait_all_tasks_blocked()
        assert said(400 + late, 401 + late) == [False, False]  # a batch was taken, and now it is worked on
        assert said(400 + 2 * late + 1) == [True]
