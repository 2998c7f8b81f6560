"""The supervisor's rules, one by one, on a virtual clock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.errors import Escalated, StartFailed
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor


class Stage:
    """Makes children, and notes what they do."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.times: dict[str, list[float]] = {}  # of the starts, by child

    def note(self, text: str) -> None:
        self.log.append(text)

    def take(self) -> list[str]:
        log, self.log = self.log, []
        return log

    def child(
        self,
        name: str,
        then: Callable[[], Awaitable[object]] = trio.sleep_forever,
        *,
        before: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint,
        cleanup: float = 0.0,
        grace: float = 5.0,
        start_within: float | None = None,
    ) -> Child:
        """`before` runs before the child is up, `then` afterwards."""

        async def start(*, task_status: trio.TaskStatus[None]) -> None:
            self.times.setdefault(name, []).append(trio.current_time())
            try:
                await before()
                self.note(f"{name} up")
                task_status.started()
                await then()
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(cleanup)
                raise
            finally:
                self.note(f"{name} down")

        return Child(name, start, grace, start_within)

    def supervisor(self, *children: Child, intensity: int = 100) -> Supervisor:
        return Supervisor("top", children, intensity=intensity)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def fail_after(seconds: float) -> None:
    await trio.sleep(seconds)
    raise ValueError("as it should")


def once(
    first: Callable[[], Awaitable[object]], later: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    """`first` the first time, then `later`."""
    calls: list[int] = []

    async def act() -> None:
        calls.append(0)
        await (first if len(calls) == 1 else later)()

    return act


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        yield
        nursery.cancel_scope.cancel()


# Start and stop


async def test_children_start_in_order_and_stop_in_reverse_order(stage: Stage, autojump_clock: MockClock) -> None:
    async with running(stage.supervisor(*map(stage.child, "abc"))):
        assert stage.take() == ["a up", "b up", "c up"]
    assert stage.log == ["c down", "b down", "a down"]


async def test_the_supervisor_is_up_when_all_its_children_are(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(*(stage.child(name, before=partial(trio.sleep, 2)) for name in "ab"))
    async with running(supervisor):
        assert trio.current_time() == 4.0
        assert supervisor.counts()["running"] == 2


async def test_a_cancelled_supervisor_lets_the_cancellation_out(stage: Stage, autojump_clock: MockClock) -> None:
    with trio.move_on_after(1) as scope:
        await stage.supervisor(stage.child("a")).run()
    assert scope.cancelled_caught


async def test_a_supervisor_without_children_waits(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor()
    async with running(supervisor):
        await trio.sleep(1000)
        assert supervisor.overdue(trio.current_time()) is None


async def test_two_children_of_one_name_are_refused(stage: Stage, autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="top has a child 'a' already"):
        stage.supervisor(stage.child("a"), stage.child("a"))


# Failed starts


async def test_a_failed_first_start_stops_what_is_up_in_reverse_order_and_raises(
    stage: Stage, autojump_clock: MockClock
) -> None:
    bad = stage.child("bad", before=partial(fail_after, 1))
    supervisor = stage.supervisor(stage.child("a"), stage.child("b"), bad, stage.child("c"))
    with pytest.raises(StartFailed, match=r"^top can't start: bad: ValueError: as it should \(runtime/test_") as caught:
        await supervisor.run()
    assert stage.log == ["a up", "b up", "bad down", "b down", "a down"]
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_child_that_returns_before_it_is_up_failed_to_start(autojump_clock: MockClock) -> None:
    async def returns(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(StartFailed, match=r"a: RuntimeError: it returned before it called started\(\)"):
        await Supervisor("top", [Child("a", returns)]).run()


# Who is started again


async def test_a_child_is_started_again_however_it_ended(stage: Stage, autojump_clock: MockClock) -> None:
    crashes = stage.child("crashes", once(partial(fail_after, 1), trio.sleep_forever))
    returns = stage.child("returns", once(partial(trio.sleep, 1), trio.sleep_forever))
    supervisor = stage.supervisor(crashes, returns)
    async with running(supervisor):
        await trio.sleep(10)
        assert {name: len(times) for name, times in stage.times.items()} == {"crashes": 2, "returns": 2}
    assert supervisor.crashes == {"crashes": 1}
    assert +supervisor.restarts == {"crashes": 1, "returns": 1}


# Intensity


async def test_more_restarts_than_the_intensity_within_the_period_stop_all_and_escalate(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = stage.supervisor(
        stage.child("a"), stage.child("b", partial(fail_after, 1)), stage.child("c"), intensity=2
    )
    with pytest.raises(
        Escalated, match=r"^top gives up: more than 2 restarts within 60 s; the last: b: ValueError: as it should \("
    ) as caught:
        await supervisor.run()
    assert stage.log[-3:] == ["b down", "c down", "a down"]
    assert len(stage.times["b"]) == 3
    assert isinstance(caught.value.__cause__, ValueError)
    assert supervisor.counts()["escalations"] == 1


async def test_restarts_exactly_a_period_ago_still_count(stage: Stage, autojump_clock: MockClock) -> None:
    children = [stage.child("a", partial(fail_after, 10))]
    with pytest.raises(Escalated):
        await Supervisor("top", children, intensity=2, period=20).run()
    assert trio.current_time() == 30


async def test_a_permanent_child_that_only_returns_escalates_too(stage: Stage, autojump_clock: MockClock) -> None:
    with pytest.raises(Escalated, match="the last: a: returned"):
        await stage.supervisor(stage.child("a", partial(trio.sleep, 1)), intensity=1).run()


# Nesting


def as_child(supervisor: Supervisor) -> Child:
    return Child(supervisor.name, supervisor.run, grace=inf)


async def test_an_escalation_is_a_crash_to_the_parent_which_starts_the_whole_branch_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    crashing = stage.child("b", once(partial(fail_after, 1), once(partial(fail_after, 1), trio.sleep_forever)))
    branch = Supervisor("branch", [stage.child("a"), crashing], intensity=1)
    top = Supervisor("top", [as_child(branch), stage.child("z")])
    async with running(top):
        await trio.sleep(10)
        assert stage.take() == ["a up", "b up", "z up", "b down", "b up", "b down", "a down", "a up", "b up"]
        assert branch.counts()["running"] == top.counts()["running"] == 2
    assert (branch.escalations, top.crashes, top.restarts) == (1, {"branch": 1}, {"branch": 1})
    assert stage.log == ["z down", "b down", "a down"]


async def test_escalations_go_up_to_the_top(stage: Stage, autojump_clock: MockClock) -> None:
    leaf = Supervisor("leaf", [stage.child("a", partial(fail_after, 1))], intensity=1)
    middle = Supervisor("middle", [as_child(leaf)], intensity=1)
    with pytest.raises(Escalated, match=r"^middle gives up: .*; the last: leaf gives up: "):
        await middle.run()
    assert len(stage.times["a"]) == 4


async def test_a_branch_that_can_not_start_is_a_failed_start_to_the_parent(
    stage: Stage, autojump_clock: MockClock
) -> None:
    branch = Supervisor("branch", [stage.child("a", before=partial(fail_after, 1))])
    with pytest.raises(StartFailed, match=r"^top can't start: branch can't start: a: ValueError"):
        await Supervisor("top", [stage.child("z"), as_child(branch)]).run()
    assert stage.log == ["z up", "a down", "z down"]


# Grace


async def test_a_child_that_hangs_is_named_and_the_others_are_stopped_in_order(
    stage: Stage, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    hung = stage.child("hung", cleanup=60, grace=2)
    supervisor = stage.supervisor(stage.child("a"), hung, stage.child("c"))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            stage.take()
            scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
                assert stage.take() == ["c down", "a down"]
                assert supervisor.stuck() == ["hung"]
                assert supervisor.overdue(10.0) == "top: hung has not ended within its grace of 2 s"
    assert trio.current_time() == 60.0
    assert supervisor.stuck() == []
    assert supervisor.overdue(1000.0) is None
    assert supervisor.counts()["stuck_stops"] == 1
    assert [record.getMessage() for record in caplog.records] == [
        "hung is stuck: it has not ended 2 s after it was told to stop"
    ]


async def test_a_slow_start_is_overdue(stage: Stage, autojump_clock: MockClock) -> None:
    slow = stage.child("slow", before=partial(trio.sleep, 10), start_within=3.0)
    supervisor = stage.supervisor(slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(4)
        assert supervisor.overdue(trio.current_time()) == "top: slow has not started within 3 s"
        await trio.sleep(7)
        assert supervisor.overdue(trio.current_time()) is None
        nursery.cancel_scope.cancel()


# The log


async def test_a_crash_is_one_line_with_type_text_and_place(
    stage: Stage, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def grouped() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_after, 1)

    caplog.set_level(logging.WARNING)
    async with running(stage.supervisor(stage.child("a", once(grouped, trio.sleep_forever)))):
        await trio.sleep(5)
    (record,) = caplog.records
    assert record.name == "feedbus.top"
    line = fail_after.__code__.co_firstlineno + 2
    assert record.getMessage() == f"a crashed: ValueError: as it should (runtime/test_supervisor.py:{line})"


# Leaving at once


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), BaseExceptionGroup("", [KeyboardInterrupt()])])
async def test_an_order_to_the_program_leaves_at_once_and_as_itself(
    stage: Stage, error: BaseException, autojump_clock: MockClock
) -> None:
    async def leave() -> None:
        await trio.sleep(1)
        raise error

    children = [stage.child("a", cleanup=2), stage.child("b", leave), stage.child("c", cleanup=2)]
    supervisor = stage.supervisor(*children)
    with pytest.raises(type(error)) as caught:
        await supervisor.run()
    assert caught.value is error
    assert trio.current_time() == 3.0  # a and c side by side, not one after the other
    assert supervisor.crashes.total() == 0


async def test_an_order_to_the_supervisor_itself_leaves_at_once(stage: Stage, autojump_clock: MockClock) -> None:
    class Interrupting:
        def started(self, value: object = None) -> None:
            raise KeyboardInterrupt

    supervisor = stage.supervisor(stage.child("a", cleanup=2), stage.child("b", cleanup=2))
    with pytest.raises(KeyboardInterrupt):
        await supervisor.run(Interrupting())
    assert trio.current_time() == 2.0


# Children that come and go


async def test_an_added_child_starts_and_stops_behind_the_others(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(stage.child("a"))
    async with running(supervisor):
        supervisor.add(stage.child("b"))
        await wait_all_tasks_blocked()
        assert stage.take() == ["a up", "b up"]
        assert supervisor.counts()["children"] == 2
    assert stage.log == ["b down", "a down"]


async def test_an_added_child_that_does_not_start_is_tried_again_by_the_rules(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = stage.supervisor(stage.child("a"))
    async with running(supervisor):
        supervisor.add(stage.child("b", before=once(partial(fail_after, 1), partial(trio.sleep, 1))))
        await trio.sleep(3)
        assert stage.log == ["a up", "b down", "b up"]


async def test_a_removed_child_is_stopped_and_forgotten(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(*map(stage.child, "abc"))
    async with running(supervisor):
        stage.take()
        await supervisor.remove("b")
        assert stage.take() == ["b down"]
        assert supervisor.counts()["children"] == 2
        with pytest.raises(KeyError):
            await supervisor.remove("b")
        supervisor.add(stage.child("b"))
        await wait_all_tasks_blocked()
        assert stage.take() == ["b up"]


async def test_a_child_is_removed_while_it_starts(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(stage.child("slow", before=partial(trio.sleep, 10)), stage.child("b"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(1)
        await supervisor.remove("slow")
        await wait_all_tasks_blocked()
        assert stage.log == ["slow down", "b up"]
        nursery.cancel_scope.cancel()
    assert supervisor.crashes.total() == 0


async def test_a_child_removed_before_its_turn_is_not_started(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(stage.child("slow", before=partial(trio.sleep, 10)), *map(stage.child, "bc"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(1)
        await supervisor.remove("b")
        supervisor.add(stage.child("d"))
        await trio.sleep(20)
        assert stage.log == ["slow up", "c up", "d up"]
        nursery.cancel_scope.cancel()


async def test_a_child_removed_before_the_start_is_never_started(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(*map(stage.child, "ab"))
    await supervisor.remove("a")
    async with running(supervisor):
        assert stage.log == ["b up"]


async def test_a_removed_child_that_is_stuck_keeps_its_name_until_it_has_ended(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = stage.supervisor(stage.child("a", cleanup=10, grace=2))
    async with running(supervisor):
        await supervisor.remove("a")
        assert trio.current_time() == 2.0
        assert supervisor.stuck() == ["a"]
        with pytest.raises(KeyError):
            await supervisor.remove("a")
        with pytest.raises(ValueError, match="already"):
            supervisor.add(stage.child("a"))
        await trio.sleep(9)
        supervisor.add(stage.child("a"))
        await wait_all_tasks_blocked()
        assert stage.times == {"a": [0.0, 11.0]}


async def test_nobody_waits_for_a_stuck_child(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(
        stage.child("hung", cleanup=60, grace=2), stage.child("b", once(partial(fail_after, 5), trio.sleep_forever))
    )
    async with running(supervisor):
        await supervisor.remove("hung")
        supervisor.add(stage.child("c"))
        await trio.sleep(10)
        assert stage.times == {"hung": [0.0], "b": [0.0, 5.0], "c": [2.0]}


async def test_a_cancelled_removal_goes_on_by_itself(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = stage.supervisor(stage.child("a", cleanup=3))
    async with running(supervisor):
        with trio.move_on_after(1):
            await supervisor.remove("a")
        await trio.sleep(5)
        assert supervisor.counts()["children"] == 0
        assert stage.times == {"a": [0.0]}


async def test_what_was_removed_and_ended_with_the_supervisor_is_forgotten(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = stage.supervisor(stage.child("a", cleanup=10, grace=2), stage.child("b"))
    async with running(supervisor):
        await supervisor.remove("a")
    async with running(supervisor):
        assert supervisor.counts()["children"] == 1


async def test_a_supervisor_runs_again_with_all_that_it_was_made_of(stage: Stage, autojump_clock: MockClock) -> None:
    children = [stage.child("a"), stage.child("b")]
    supervisor = stage.supervisor(*children)
    for _ in range(2):
        with trio.move_on_after(5):
            await supervisor.run()
    assert stage.times == {"a": [0.0, 5.0], "b": [0.0, 5.0]}
    assert supervisor.restarts.total() == 0


async def test_children_that_stop_together_need_no_longer_than_the_slowest(
    stage: Stage, autojump_clock: MockClock
) -> None:
    children = [stage.child(name, cleanup=4) for name in "abc"]
    for together, took in ((False, 12.0), (True, 4.0)):
        supervisor = Supervisor("top", children, together=together)
        async with running(supervisor):
            began = trio.current_time()
        assert trio.current_time() - began == took


async def test_of_children_that_stop_together_each_has_its_own_grace(stage: Stage, autojump_clock: MockClock) -> None:
    children = [stage.child("a", cleanup=2), stage.child("hung", cleanup=60, grace=3), stage.child("b", cleanup=2)]
    supervisor = Supervisor("top", children, together=True)
    async with running(supervisor):
        pass
    assert supervisor.stuck_stops == 1
    assert supervisor.stuck() == []
