"""The bus within one process: what a publisher sends is given to the readers of the process as events, not as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.bus.local import EXPANSION, LocalBus, LocalReader
from feedbus.bus.nng import DRAIN, MESSAGE_SIZE, RECV_MAX_SIZE, PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.errors import BadAddress, BusError
from feedbus.schema.events import Alert, BookSnapshot, Gap, MarketData, Quote, Trade

PATIENCE = 5.0  # seconds; only a failing test waits that long
EPOCH = 42


class Lost:
    """A Sink of which nothing comes out: what arrives was handed over. It fails while `broken`."""

    broken = False
    size = 0  # bytes of the last message

    def send(self, message: bytes) -> None:
        self.size = len(message)
        if self.broken:
            raise BusError("no")


def publisher(bus: LocalBus, sink: Lost | None = None) -> Publisher:
    return Publisher("moex", sink or Lost(), linger=0, local=bus, wall_ns=lambda: EPOCH)


def trade(number: int, symbol: str = "A") -> Trade:
    return Trade("moex", symbol, number, number, 1.5, 2.0, None, number)


def alert(size: int) -> Alert:
    return Alert("moex", "A", 0, 0, "rule", "high", "firing", None, "x" * size)


async def read(reader: LocalReader, count: int) -> list[MarketData | Gap]:
    with trio.fail_after(PATIENCE):
        return [await anext(reader) for _ in range(count)]


@pytest.fixture(params=["alone", "with a socket"])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> LocalBus:
    """One whose readers have no socket, and one whose readers have one at which nobody publishes."""
    return LocalBus([f"ipc://{tmp_path}/nobody.ipc"] if request.param == "with a socket" else ())


async def test_every_reader_gets_the_publishers_own_events_in_a_list_of_its_own(bus: LocalBus) -> None:
    books = [BookSnapshot("moex", "A", 1, 2, [(1.0, 2.0)], [(3.0, 4.0)], number) for number in range(4)]
    of = publisher(bus)
    async with bus.subscribe("book") as one, bus.subscribe() as other:
        for first in (0, 2):
            of.publish(books[first : first + 2])
            _, events = await one.next_batch()
            assert [event is book for event, book in zip(events, books[first:], strict=False)] == [True, True]
            events.clear()
            with trio.fail_after(PATIENCE):
                header, events = await other.next_batch()
            assert (header.publisher, header.epoch, header.sequences()) == ("moex", EPOCH, [first + 1, first + 2])
            assert events == books[first : first + 2]


async def test_a_reader_gets_its_topics_and_is_not_woken_for_others(bus: LocalBus) -> None:
    of = publisher(bus)
    async with bus.subscribe(["trade.moex.A", "quote.moex."]) as reader:
        of.publish([trade(1), trade(2, "B"), alert(1), Quote("moex", "B", 1, 2, None, None, None, None, 7)])
        assert [type(event).WORD for event in await read(reader, 2)] == ["trade", "quote"]
        of.publish([alert(1)])
        assert not reader._has_unread()
        assert reader.stats().messages == 2


async def test_a_message_that_is_split_arrives_whole_and_one_that_is_not_sent_leaves_a_gap(bus: LocalBus) -> None:
    sink = Lost()
    of = publisher(bus, sink)
    events = [alert(1), alert(MESSAGE_SIZE), alert(2), alert(RECV_MAX_SIZE), alert(3)]
    async with bus.subscribe() as reader:
        of.publish(events)
        assert await read(reader, 5) == [*events[:3], Gap("alert.moex.A", "moex", EPOCH, 4, 4, "lost"), alert(3)]
        sink.broken = True
        with pytest.raises(BusError):
            of.publish([alert(4)])
        sink.broken = False
        of.publish([alert(5)])
        assert await read(reader, 2) == [Gap("alert.moex.A", "moex", EPOCH, 6, 6, "lost"), alert(5)]
        assert reader.stats().published == {"alert": 7}


async def test_what_waits_for_a_stalled_reader_is_bounded_in_memory_and_the_oldest_is_dropped() -> None:
    sink = Lost()
    publisher(LocalBus(), sink).publish([trade(1)])
    bus = LocalBus(stalled_bytes=EXPANSION * 4 * sink.size)
    of = publisher(bus)
    async with bus.subscribe("trade") as slow, bus.subscribe() as quick:
        of.publish([trade(1)])
        assert await read(slow, 1) == await read(quick, 1) == [trade(1)]
        for number in range(2, 11):
            of.publish([trade(number)])
            assert await read(quick, 1) == [trade(number)]
        gap = Gap("trade.moex.A", "moex", EPOCH, 2, 6, "lost")
        assert await read(slow, 5) == [gap, *[trade(number) for number in range(7, 11)]]
        assert (slow.stats().lost, quick.stats().lost) == ({"trade": 5}, {})
        for number in range(11, 16):  # what was read has made room
            of.publish([trade(number)])
        assert await read(slow, 5) == [Gap("trade.moex.A", "moex", EPOCH, 11, 11, "lost"), *map(trade, range(12, 16))]


async def test_a_message_larger_than_the_bound_waits_alone() -> None:
    bus = LocalBus(stalled_bytes=MESSAGE_SIZE)
    of = publisher(bus)
    async with bus.subscribe() as reader:
        of.publish([alert(1)])
        of.publish([alert(3 * MESSAGE_SIZE)])
        assert await read(reader, 1) == [alert(3 * MESSAGE_SIZE)]


async def test_a_lost_end_is_told_by_the_heartbeat_and_an_epoch_by_its_first_message(bus: LocalBus) -> None:
    sink = Lost()
    of = publisher(bus, sink)
    async with bus.subscribe("trade.moex.A") as reader:
        of.publish([trade(1)])
        sink.broken = True
        with pytest.raises(BusError):
            of.publish([trade(2), trade(3)])
        sink.broken = False
        of.beat()
        assert await read(reader, 2) == [trade(1), Gap("trade.moex.A", "moex", EPOCH, 2, 3, "lost")]
        of.begin_epoch()
        of.publish([trade(4)])
        assert await read(reader, 2) == [Gap("", "moex", EPOCH, None, None, "restart"), trade(4)]
        assert reader.publishers() == {"moex": (EPOCH + 1, 0)}


class Steps(trio.abc.Instrument):
    """Counts how often a task runs."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._task = task
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


async def test_a_reader_is_woken_once_for_all_that_has_come(bus: LocalBus, nursery: trio.Nursery) -> None:
    of = publisher(bus)
    tasks: list[trio.lowlevel.Task] = []
    got: list[MarketData | Gap] = []

    async def follow(reader: LocalReader) -> None:
        tasks.append(trio.lowlevel.current_task())
        while True:
            got.append(await anext(reader))

    async with bus.subscribe() as reader:
        nursery.start_soon(follow, reader)
        await wait_all_tasks_blocked()
        steps = Steps(tasks[0])
        trio.lowlevel.add_instrument(steps)
        for number in range(DRAIN):
            of.publish([trade(number)])
        await wait_all_tasks_blocked()
        assert (len(got), steps.count) == (DRAIN, 1)
        nursery.cancel_scope.cancel()


async def test_a_reader_with_much_to_read_shares_the_loop(bus: LocalBus, nursery: trio.Nursery) -> None:
    of = publisher(bus)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with bus.subscribe() as reader:
        for number in range(20 * DRAIN):
            of.publish([trade(number)])
        nursery.start_soon(other)
        await read(reader, 20 * DRAIN)
        assert 19 <= turns <= 21
        nursery.cancel_scope.cancel()


async def test_a_task_that_is_cancelled_has_taken_nothing(bus: LocalBus) -> None:
    async with bus.subscribe() as reader:
        with trio.move_on_after(0.01) as waiting:
            await anext(reader)
        assert waiting.cancelled_caught
        publisher(bus).publish([trade(1), trade(2)])
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(reader)
        assert scope.cancelled_caught
        assert await read(reader, 2) == [trade(1), trade(2)]


async def test_two_tasks_at_once_are_refused_and_the_first_one_goes_on(bus: LocalBus) -> None:
    got: list[MarketData | Gap] = []

    async def first(reader: LocalReader) -> None:
        got.extend(await read(reader, 1))

    async with bus.subscribe() as reader, trio.open_nursery() as nursery:
        nursery.start_soon(first, reader)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(reader)
        publisher(bus).publish([trade(1)])
    assert got == [trade(1)]


async def test_a_reader_that_is_left_holds_nothing_and_whoever_waits_is_told(bus: LocalBus) -> None:
    async def wait(reader: LocalReader) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await read(reader, 1)

    of = publisher(bus)
    async with trio.open_nursery() as nursery:
        async with bus.subscribe("quote") as waiting, bus.subscribe() as hanging:
            nursery.start_soon(wait, waiting)
            await wait_all_tasks_blocked()
            of.publish([trade(1)])
            assert hanging._has_unread()
        of.publish([trade(2)])
    for reader in (waiting, hanging):
        assert not reader._has_unread()
        await wait(reader)


async def test_a_reader_that_does_not_read_is_overdue_and_one_that_waits_is_not(bus: LocalBus) -> None:
    async with bus.subscribe() as reader, trio.open_nursery() as nursery:
        nursery.start_soon(reader.next_batch)
        await wait_all_tasks_blocked()
        assert [reader.overdue(time) for time in (0.0, 100.0)] == [None, None]
        publisher(bus).publish([trade(1)])
        await wait_all_tasks_blocked()
        publisher(bus).publish([trade(2)])
        assert [reader.overdue(time) for time in (200.0, 300.0)] == [None, "the bus is not read"]


async def test_what_is_no_topic_or_address_is_refused_and_leaves_no_reader_behind() -> None:
    bus = LocalBus(["nonsense"])
    for topic in ("trade.moex", "trade"):
        with pytest.raises(BadAddress):
            async with bus.subscribe(topic):
                raise AssertionError("not reached")
    assert bus._readers == []


# Publishers of other processes


@asynccontextmanager
async def elsewhere(bus: LocalBus, address: str) -> AsyncIterator[tuple[LocalReader, Publisher]]:
    """A reader of the bus, and a publisher that it has joined through nng."""
    token = trio.lowlevel.current_trio_token()
    joined = trio.Event()
    with closing(PubSocket(address)) as sink:
        sink._socket.add_post_pipe_connect_cb(lambda _: token.run_sync_soon(joined.set))
        async with bus.subscribe("trade") as reader:
            with trio.fail_after(PATIENCE):
                await joined.wait()
            yield reader, Publisher("alor", sink, linger=0, wall_ns=lambda: EPOCH)


async def test_a_reader_gets_what_is_published_here_and_elsewhere_whichever_comes_first(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/bus.ipc"
    bus = LocalBus([address])
    here = publisher(bus)
    got: list[str] = []

    async def follow(reader: LocalReader) -> None:
        async for header, _ in reader.messages():
            got.append(header.publisher)
            arrived.set()

    async with elsewhere(bus, address) as (reader, there), trio.open_nursery() as nursery:
        nursery.start_soon(follow, reader)
        await wait_all_tasks_blocked()
        for number, each in enumerate([here, there, there, here, there, here], 1):
            arrived = trio.Event()
            each.publish([trade(number)])
            with trio.fail_after(PATIENCE):
                await arrived.wait()
        nursery.cancel_scope.cancel()
    assert got == ["moex", "alor", "alor", "moex", "alor", "moex"]
    assert reader.stats().delivered == {"trade": 6}
    assert reader.publishers().keys() == {"moex", "alor"}


async def test_neither_source_waits_for_the_other_to_be_empty(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/bus.ipc"
    bus = LocalBus([address])
    here = publisher(bus)
    async with elsewhere(bus, address) as (reader, there):
        there.publish([trade(1)])
        with trio.fail_after(PATIENCE):
            while not reader._has_unread():
                await trio.lowlevel.checkpoint()
        for number in range(10 * DRAIN):
            here.publish([trade(number)])
        seen = [header.publisher for header, _ in [await reader.next_batch() for _ in range(DRAIN + 1)]]
        assert seen == ["moex"] * DRAIN + ["alor"]
