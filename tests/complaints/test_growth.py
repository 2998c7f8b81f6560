"""Users complain: memory grows with every reconnect, or as fast as data comes where somebody reads slowly; and the
longer the program runs, the more CPU it takes and the further it falls behind.

Here a feed reconnects dozens of times, hours of the clock pass, and a reader of the bus reads nothing at all. Memory is
measured, tasks and calls of functions are counted: all of them are what they were, whatever this machine is doing.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from types import CodeType, CoroutineType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from feedbus.bus.subscriber import EventReader
from feedbus.schema.events import FeedStatus
from feedbus.testing.memory_bus import MemoryBus
from tests.complaints.scene import Scene
from tests.complaints.test_lost_updates import Both, Sheet
from tests.places import ROOT

LATE = 90  # seconds
OURS = str(ROOT / "feedbus") + "/"
CODE = (type, ModuleType, FunctionType, CodeType, FrameType, CoroutineType)
NO_PART = ("feedbus.sim", "feedbus.testing", "tests", "trio", "outcome", "logging", "_pytest")
NOT_OURS = (OURS + "sim/", OURS + "testing/")


class Calls:
    """Counts the calls of feedbus' functions, without those of the simulation."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            path = frame.f_code.co_filename
            self.count += path.startswith(OURS) and not path.startswith(NOT_OURS)


def held(*roots: object) -> int:
    """The bytes of all objects to which these refer, directly or through others, but for what the simulation has."""
    seen: dict[int, object] = {}
    left = list(roots)
    while left:
        it = left.pop()
        if id(it) in seen or isinstance(it, CODE) or type(it).__module__.startswith(NO_PART):
            continue
        seen[id(it)] = it
        left += gc.get_referents(it)
    return sum(map(sys.getsizeof, seen.values()))


def made() -> Counter[str]:
    """How many objects of each class of feedbus there are, whoever refers to them."""
    gc.collect()
    kinds = Counter(map(type, gc.get_objects()))
    return Counter(
        {
            f"{kind.__module__}.{kind.__qualname__}": count
            for kind, count in kinds.items()
            if (module := str(kind.__module__)).startswith("feedbus.") and not module.startswith(NO_PART)
        }
    )


async def reconnects(scene: Scene, times: int) -> None:
    for _ in range(times):
        for line in scene.network.open_lines():
            scene.network.reset(line)
        await trio.sleep(1.0)
        await scene.all_live(30.0)
        await trio.sleep(3.0)
        scene.said.clear()


async def load(scene: Scene, seconds: float) -> float:
    """Returns the calls that an event costs. The market trades in the same manner each time."""
    venue: Any = scene.venue
    for instrument in venue._market.instruments.values():
        instrument._rng.seed(1)
    calls, connectors = Calls(), scene.feed.connectors
    before = sum(each.events for each in connectors)
    sys.setprofile(calls)
    try:
        await trio.sleep(seconds)
    finally:
        sys.setprofile(None)
    return calls.count / (sum(each.events for each in connectors) - before)


@pytest.mark.parametrize("venue", ["moex", "binance"])
async def test_neither_memory_nor_tasks_nor_work_grow_with_reconnects_and_a_reader_that_reads_nothing(
    venue: str, autojump_clock: MockClock
) -> None:
    scene = Scene(venue, tickers=4)
    narrow = MemoryBus(keep=1, stalled_bytes=20_000)
    scene.process._bus = Both(scene.bus, narrow)
    async with narrow.subscribe("") as stalled, scene.running():
        measured = []
        for times in (4, 12):
            await reconnects(scene, times)
            cost = await load(scene, 20.0)
            scene.moves = False
            await trio.sleep(1.0)
            tasks = trio.lowlevel.current_statistics().tasks_living
            measured.append((tasks, made(), held(scene.feed, scene.process.publisher, stalled), cost))
            scene.moves = True
        (tasks, objects, bytes_held, cost), (tasks_after, objects_after, bytes_after, cost_after) = measured
    assert tasks_after == tasks
    assert {kind: more for kind, count in objects_after.items() if (more := count - objects[kind]) > 2} == {}
    assert bytes_after < 1.05 * bytes_held
    assert cost_after < 1.1 * cost


async def test_data_that_comes_late_is_told_to_be_late_and_is_worked_off(autojump_clock: MockClock) -> None:
    """The connection becomes slower and slower, until all comes a minute and a half late, and then all at once."""
    scene = Scene("binance", tickers=4, connections=1, channels=("trade",))
    scene.reader.keys = tuple((symbol, "trade") for symbol in scene.symbols)
    sheet = Sheet()
    delays: list[float] = []

    async def listen(reader: EventReader) -> None:
        async for event in reader:
            delays.extend([event.delay_s] if isinstance(event, FeedStatus) and event.delay_s is not None else [])

    async with (
        scene.bus.subscribe("trade") as trades,
        scene.bus.subscribe("feed") as statuses,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(sheet.read, trades)
        nursery.start_soon(listen, statuses)
        async with scene.running():
            (line,) = scene.network.open_lines()
            for seconds in range(0, LATE + 1, 3):
                line.slow_down(seconds, 1e9)
                await trio.sleep(6.0)
            await trio.sleep(LATE)
            assert scene.states().keys() == {"delayed"}
            assert LATE - 10 < max(delays) < LATE + 1
            line.slow_down(0.0, 0.0)
            await scene.all_live(LATE + 20.0)
            assert scene.network.open_lines() == [line]
            assert scene.repairs() == {}
            assert [ids[-1] - ids[0] + 1 for ids in sheet.trades.values()] == [len(i) for i in sheet.trades.values()]
            assert delays[-1] < 1.0
        nursery.cancel_scope.cancel()
