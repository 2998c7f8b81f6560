"""Whose turn it is to ask the venue, on a virtual clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.errors import RateLimited
from feedbus.feed.budgets import MAX_WAITING, SPREAD, UNSAID, Budget, Hold, Turnstile


class Queue:
    """Who took a turn, and when."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.came: list[int] = []
        self.turns: list[tuple[int, float]] = []

    async def take(self, number: int, after: float = 0.0, patience: float = 1e9) -> None:
        await trio.sleep(after)
        with trio.move_on_after(patience):
            self.came.append(number)
            await self.budget.take()
            self.turns.append((number, trio.current_time()))


async def test_half_comes_at_once_and_the_rest_evenly(autojump_clock: MockClock) -> None:
    queue = Queue(Budget("connect", Turnstile(10, 60.0), Hold()))
    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(queue.take, number)
            await wait_all_tasks_blocked()
        assert (len(queue.turns), queue.budget.waiting, queue.budget.wait_for(0.0)) == (5, 7, 96.0)
        assert queue.budget.reason(0.0) == "the connect budget (10 in 60 s) allows no more at once"
    assert [at for _, at in queue.turns] == [0, 0, 0, 0, 0, 12, 24, 36, 48, 60, 72, 84]
    budget = queue.budget
    assert (budget.taken, budget.waits, budget.waited, budget.waiting) == (12, 7, 336.0, 0)
    assert budget.reason(1000.0) == ""


Waiter = tuple[float, float]  # seconds from the start to its coming, and its patience


@settings(deadline=None)
@given(
    count=st.integers(1, 12),
    per_s=st.sampled_from([1.0, 7.0, 300.0]),
    apart=st.sampled_from([0.0, 0.05]),
    waiters=st.lists(
        st.tuples(st.floats(0, 400).map(lambda at: round(at, 3)), st.sampled_from([0.0, 0.5, 20.0, 1e6])), max_size=60
    ),
    holds=st.lists(st.tuples(st.floats(0, 400), st.floats(0, 100)), max_size=2),
)
def test_no_time_has_more_turns_than_allowed_and_the_order_is_kept(
    count: int, per_s: float, apart: float, waiters: list[Waiter], holds: list[tuple[float, float]]
) -> None:
    hold = Hold()
    queue = Queue(Budget("connect", Turnstile(count, per_s, apart=apart), hold))
    held: list[tuple[float, float]] = []

    async def begin_hold(at: float, wait: float) -> None:
        await trio.sleep(at)
        held.append((trio.current_time(), wait))
        hold.obey(RateLimited("no", wait), trio.current_time(), 0.0)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for at, wait in holds:
                nursery.start_soon(begin_hold, at, wait)
            for number, (after, patience) in enumerate(waiters):
                nursery.start_soon(queue.take, number, after, patience)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    times = [at for _, at in queue.turns]
    assert all(later - earlier > per_s - 1e-6 for earlier, later in zip(times, times[count:], strict=False))
    assert all(later - earlier >= apart - 1e-9 for earlier, later in pairwise(times))
    assert not [at for at in times for begin, wait in held if begin < at < begin + wait - 1e-6]
    served = {number for number, _ in queue.turns}
    assert [number for number in queue.came if number in served] == [number for number, _ in queue.turns]
    assert served >= {number for number, (_, patience) in enumerate(waiters) if patience == 1e6}
    assert queue.budget.waiting == 0


async def test_who_leaves_the_queue_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    queue = Queue(Budget("connect", Turnstile(1, 10.0), Hold()))
    async with trio.open_nursery() as nursery:
        for number, patience in enumerate((1e9, 5.0, 12.0, 1e9)):
            nursery.start_soon(queue.take, number, 0.0, patience)
            await wait_all_tasks_blocked()
    assert queue.turns == [(0, 0.0), (2, 10.0), (3, 20.0)]


async def test_the_queue_is_bounded(autojump_clock: MockClock) -> None:
    queue = Queue(Budget("connect", Turnstile(1, 10.0), Hold()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.take, 0)
        await wait_all_tasks_blocked()
        for number in range(MAX_WAITING):
            nursery.start_soon(queue.take, number)
        await wait_all_tasks_blocked()
        assert (len(queue.turns), queue.budget.waiting) == (1, MAX_WAITING)
        with pytest.raises(RateLimited, match="4096 are waiting for the connect budget already"):
            await queue.budget.take()
        nursery.cancel_scope.cancel()
    assert queue.budget.waiting == 0


async def test_nobody_asks_while_the_venue_wants_a_pause_and_a_shorter_one_does_not_end_it(
    autojump_clock: MockClock,
) -> None:
    hold = Hold()
    queue = Queue(Budget("connect", Turnstile(100, 10.0), hold))
    assert hold.obey(RateLimited("429", 30.0), 0.0, 0.5) == 30.0 + SPREAD / 2
    assert hold.obey(RateLimited("429", 3.0), 1.0, 0.5) == 29.0 + SPREAD / 2
    assert queue.budget.reason(1.0) == "the venue asked for a pause"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.take, 0)
        await trio.sleep(20)
        assert hold.obey(RateLimited("429"), 25.0, 0.0) == UNSAID
        await hold.wait()
        assert trio.current_time() == 35.0
    assert (queue.turns, hold.asked, hold.left(36.0)) == ([(0, 35.0)], 3, 0.0)


def test_a_ban_of_which_the_end_is_not_said_is_sat_out() -> None:
    """The shortest ban of Binance lasts two minutes, and who asks meanwhile is banned for longer."""
    hold = Hold()
    assert hold.obey(RateLimited("HTTP 418", banned=True), 0.0, 0.0) == 120.0
    assert Hold().obey(RateLimited("HTTP 418", 7.0, banned=True), 0.0, 0.0) == 7.0
