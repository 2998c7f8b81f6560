"""The shell around a subscriber actor: lives, crashes, pauses, counts. The actors are written by the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus import actors as subscribers
from feedbus.actors import shell as actors
from feedbus.actors.shell import ActorShell
from feedbus.bus import subscriber
from feedbus.bus.publisher import Publisher
from feedbus.errors import Stuck
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.schema.events import Alert, Trade
from feedbus.testing.memory_bus import MemoryBus

ACTOR = """
import trio
from msgspec import Struct
from feedbus.errors import ConfigError
from feedbus.schema.events import Alert

class Options(Struct):
    how: str = "works"

class Actor:
    Options = Options
    publishes = True
    def __init__(self, options, context):
        self.options, self.context, self.seen, self.late = options, context, 0, None
        lives.append(self)
    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        if self.options.how == "crashes":
            self.seen += 1
            raise ZeroDivisionError("a bug")
        if self.options.how == "ends":
            return
        if self.options.how == "waits":
            await trio.sleep_forever()
        async with self.context.subscribe(["trade"]) as subscription:
            async for event in subscription:
                self.seen += 1
                now = self.context.wall_ns()
                if self.options.how == "hangs":
                    await trio.sleep_forever()
                self.context.publish([Alert("x", event.symbol, 0, now, "r", "info", "firing", None, "")])
    def overdue(self, now):
        return self.late
    def counters(self):
        return {"seen": self.seen}

lives = []
"""


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Returns the list of all actors that were made from the module `toyworker`."""
    (tmp_path / "toyworker.py").write_text(ACTOR)
    monkeypatch.setattr(subscribers, "__path__", [*subscribers.__path__, str(tmp_path)])
    made: list[Any] = vars(sys.modules[subscribers.actor_class("toyworker").__module__])["lives"]
    yield made
    sys.modules.pop("feedbus.actors.toyworker", None)
    vars(subscribers).pop("toyworker", None)


class Options(msgspec.Struct):
    how: str = "works"


def shell(how: str, bus: MemoryBus | None = None, publisher: Publisher | None = None) -> ActorShell:
    return ActorShell("toyworker", Options(how), bus=bus or MemoryBus(), publisher=publisher, wall_ns=lambda: 42)


async def supervised(nursery: trio.Nursery, made: ActorShell) -> Supervisor:
    supervisor = Supervisor("actors", [Child(made.name, made.run)], intensity=100)
    await nursery.start(supervisor.run)
    return supervisor


async def test_one_that_crashes_is_made_anew_later_and_later(
    lives: list[Any], nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    made = shell("crashes")
    supervisor = await supervised(nursery, made)
    started_at: list[float] = []
    for _ in range(200):
        await wait_all_tasks_blocked()
        if len(started_at) < made.starts:
            started_at.append(mock_clock.current_time())
        mock_clock.jump(1)
    assert started_at == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert (made.starts, len(lives), supervisor.crashes["toyworker"]) == (9, 9, 9)
    assert made.counters() == {"seen": 9}


async def test_after_a_long_life_the_pauses_begin_anew(
    lives: list[Any], nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    made = shell("waits")
    supervisor = await supervised(nursery, made)
    for _ in range(3):
        await wait_all_tasks_blocked()
        mock_clock.jump(actors.SOUND_AFTER + 1)
        await wait_all_tasks_blocked()
        lives[-1].late = "asleep"
        for _ in range(3):
            mock_clock.jump(actors.CHECK_EVERY)
            await wait_all_tasks_blocked()
    assert supervisor.crashes["toyworker"] == 3
    assert made._pause == 2 * actors.PAUSE_FIRST


async def test_one_that_misses_its_deadline_twice_in_a_row_is_started_again(
    lives: list[Any], mock_clock: MockClock
) -> None:
    made = shell("waits")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ended_as, made, Stuck, "asleep", scope))
            await wait_all_tasks_blocked()
            for late in ("once", None, "asleep"):
                lives[0].late = late
                mock_clock.jump(actors.CHECK_EVERY)
                await wait_all_tasks_blocked()
            assert not scope.cancel_called
            mock_clock.jump(actors.CHECK_EVERY)
            await wait_all_tasks_blocked()
            assert scope.cancel_called


async def ended_as(made: ActorShell, error: type[Exception], text: str, scope: trio.CancelScope) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await made.run()
    assert caught.group_contains(error, match=text)
    scope.cancel()


async def test_one_that_ends_by_itself_is_a_bug(lives: list[Any], mock_clock: MockClock) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await shell("ends").run()
    assert caught.group_contains(RuntimeError, match="toyworker has ended by itself")


async def test_it_is_fed_by_the_bus_and_publishes_there(lives: list[Any]) -> None:
    bus, published = MemoryBus(), MemoryBus()
    feed = Publisher("feed", bus, linger=0)
    made = shell("works", bus, Publisher("toyworker", published, linger=0))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(made.run)
            while not published.events(Alert):
                feed.publish([Trade("v", "A", 1, 2, 1.5, 1.0, None, None)])
                await trio.sleep(0.01)
            seen = lives[0].seen
            assert made.received()["events"] >= seen > 0
            nursery.cancel_scope.cancel()
    assert published.events(Alert)[0] == Alert("x", "A", 0, 42, "r", "info", "firing", None, "")
    assert made.counters() == {"seen": lives[0].seen}
    received = made.received()
    assert set(received) == {"messages", "bytes", "events", "gaps", "lost"}
    assert received["messages"] >= received["events"] >= 1


async def test_one_that_no_longer_reads_the_bus_is_overdue_and_started_again(
    lives: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "CHECK_EVERY", 0.05)
    monkeypatch.setattr(subscriber, "READ_WITHIN", 0.01)
    bus = MemoryBus()
    feed = Publisher("feed", bus, linger=0)
    made = shell("hangs", bus, Publisher("toyworker", MemoryBus(), linger=0))
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ended_as, made, Stuck, "^toyworker: the bus is not read$", scope))
            for _ in range(4):  # it waits for messages, which is no fault
                await trio.sleep(actors.CHECK_EVERY)
                assert made.overdue(trio.current_time()) is None
            while not lives[0].seen:
                feed.publish([Trade("v", "A", 1, 2, 1.5, 1.0, None, None)])
                await trio.sleep(0.01)
            while made.overdue(trio.current_time()) is None:
                await trio.lowlevel.checkpoint()
            await trio.sleep_forever()
    assert scope.cancelled_caught
