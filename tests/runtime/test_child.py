"""One run of a child, what is overdue, and how an exception reads in a log line."""

from __future__ import annotations

from math import inf

import pytest
import trio
from trio.testing import MockClock

from feedbus.errors import BadData, CantServe
from feedbus.runtime.child import MAX_TEXT, Child, Life, describe, must_leave


async def forever(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


async def never_up(*, task_status: trio.TaskStatus[None]) -> None:
    await trio.sleep_forever()


async def hung(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    with trio.CancelScope(shield=True):
        await trio.sleep(100)


def caught(error: BaseException) -> BaseException:
    """The error with a traceback, as a supervisor gets it."""
    try:
        raise error
    except BaseException as raised:
        return raised


def test_a_grace_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a: the grace is 0 s"):
        Child("a", forever, grace=0)


async def test_a_life_is_up_from_started_to_its_stop(autojump_clock: MockClock) -> None:
    life = Life(Child("a", forever), 0.0)
    assert not life.is_up()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        await life.settled.wait()
        assert life.is_up()
        assert life.stop(10.0) == 15.0
        assert not life.is_up()
        assert life.stop(12.0) == 15.0
    assert life.ended.is_set()
    assert life.error is None


async def test_a_life_that_has_ended_is_not_up() -> None:
    async def brief(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    life = Life(Child("a", brief), 0.0)
    await life.run()
    assert life.is_started
    assert not life.is_up()


async def test_a_life_is_not_cancelled_from_outside(autojump_clock: MockClock) -> None:
    life = Life(Child("a", forever), 0.0)
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life.run)
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
                assert life.is_up()
                life.stop(2.0)


async def test_who_returns_before_being_up_has_failed() -> None:
    async def done(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()

    life = Life(Child("a", done), 0.0)
    await life.run()
    assert str(life.error) == "it returned before it called started()"
    assert life.settled.is_set()
    assert not life.is_started


async def test_who_is_stopped_before_being_up_has_not_failed() -> None:
    life = Life(Child("a", never_up), 0.0)
    life.stop(0.0)
    await life.run()
    assert life.error is None


async def test_started_may_be_called_once() -> None:
    async def twice(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    life = Life(Child("a", twice), 0.0)
    await life.run()
    assert str(life.error) == "it called started() twice"


async def test_a_late_start_and_a_late_stop_are_overdue(autojump_clock: MockClock) -> None:
    life = Life(Child("a", hung, grace=2.0, start_within=3.0), 0.0)
    assert life.overdue(3.0) is None
    assert life.overdue(3.1) == "a has not started within 3 s"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        await life.settled.wait()
        assert life.overdue(inf) is None
        life.stop(10.0)
        assert life.overdue(12.0) is None
        assert life.overdue(12.1) == "a has not ended within its grace of 2 s"
    assert life.overdue(inf) is None


async def test_without_a_limit_a_start_is_never_overdue() -> None:
    assert Life(Child("a", never_up), 0.0).overdue(1e9) is None


def test_an_exception_is_told_with_its_type_text_and_place_in_one_line() -> None:
    line = test_an_exception_is_told_with_its_type_text_and_place_in_one_line.__code__.co_firstlineno
    text = describe(caught(ValueError("two\n  lines")))
    assert text.startswith("ValueError: two lines (runtime/test_child.py:")
    assert 0 < line - int(text.rstrip(")").rpartition(":")[2]) < 100  # the line of the raise, in `caught`


def test_an_exception_without_text_or_traceback_is_told_by_its_type() -> None:
    assert describe(ValueError()) == "ValueError"


def test_an_error_that_is_raised_on_purpose_is_told_by_its_text_alone() -> None:
    said = "can't serve telemetry at 127.0.0.1:80: Permission denied"
    assert describe(caught(CantServe(said))) == said
    assert describe(BaseExceptionGroup("a nursery", [caught(CantServe(said))])) == said
    assert describe(BadData("place", "two\nlines")) == "place: two lines"


def test_a_long_text_is_cut() -> None:
    assert describe(ValueError("x" * 10_000)) == "ValueError: " + "x" * (MAX_TEXT - 13) + "…"


def test_a_group_is_told_by_what_it_holds() -> None:
    one = ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("it")])])
    assert describe(one) == "ValueError: it"
    assert describe(ExceptionGroup("both", [ValueError("a"), KeyError("b")])) == "ValueError: a; KeyError: 'b'"
    assert describe(ExceptionGroup("same", [CantServe("a")] * 3)) == "a"
    assert describe(ExceptionGroup("many", [ValueError(each) for each in range(9)])) == (
        "ValueError: 0; ValueError: 1; ValueError: 2; and 6 more"
    )


@pytest.mark.parametrize(
    ("error", "leaves"),
    [
        (ValueError(), False),
        (ExceptionGroup("", [ValueError()]), False),
        (KeyboardInterrupt(), True),
        (SystemExit(1), True),
        (BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [KeyboardInterrupt()])]), True),
    ],
)
def test_orders_to_the_program_are_no_failures_of_a_child(error: BaseException, leaves: bool) -> None:
    assert must_leave(error) is leaves


async def test_a_stray_cancellation_is_a_failure_like_any_other() -> None:
    kept: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
    assert not must_leave(kept[0])
    assert not must_leave(BaseExceptionGroup("", [kept[0], ValueError()]))
