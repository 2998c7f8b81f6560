"""The same seed gives the same run, another seed another order, and nothing of it outlives the run."""

from __future__ import annotations

import random

import pytest
import trio
from trio._core import _run as trio_run

from feedbus.testing.determinism import EPOCH_NS, run_deterministically, seeded_run_queue, wall_ns

TASKS = 6
TURNS = 5


async def race(_: random.Random) -> list[tuple[float, int]]:
    """Tasks that are all ready at once, again and again: who comes when. Events wake them out of a set."""
    order: list[tuple[float, int]] = []
    gates = [trio.Event() for _ in range(TURNS)]

    async def runner(number: int) -> None:
        for gate in gates:
            await gate.wait()
            order.append((trio.current_time(), number))

    async with trio.open_nursery() as nursery:
        for number in range(TASKS):
            nursery.start_soon(runner, number)
        for gate in gates:
            await trio.sleep(1)
            gate.set()
    return order


def test_one_seed_gives_one_order() -> None:
    runs = [run_deterministically(race, seed=7) for _ in range(10)]
    assert runs == [runs[0]] * 10


def test_another_seed_gives_another_order() -> None:
    orders = [run_deterministically(race, seed=seed) for seed in range(5)]
    assert len(set(map(tuple, orders))) == 5
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_the_injected_random_numbers_depend_on_the_seed_alone() -> None:
    async def draw(source: random.Random) -> list[float]:
        return [source.random() for _ in range(3)]

    assert run_deterministically(draw, seed=1) == run_deterministically(draw, seed=1)
    assert run_deterministically(draw, seed=1) != run_deterministically(draw, seed=2)


def test_drawing_random_numbers_does_not_change_the_order_of_tasks() -> None:
    async def draw_and_race(source: random.Random) -> list[tuple[float, int]]:
        source.random()
        return await race(source)

    assert run_deterministically(draw_and_race, seed=7) == run_deterministically(race, seed=7)


@pytest.mark.parametrize("allowed", [True, False])
def test_what_trio_had_before_is_restored_also_after_a_failure(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", allowed)
    before = trio_run._r.getstate()
    within: list[bool] = []

    def fail() -> None:
        within.extend([trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate() != before])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), seeded_run_queue(7):
        fail()
    assert within == [True, True]
    assert trio_run._r.getstate() == before
    assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING is allowed


def test_hours_pass_at_once_and_the_wall_clock_goes_along() -> None:
    async def sleep(_: random.Random) -> tuple[float, int, int]:
        before = trio.current_time()
        at_first = wall_ns()
        await trio.sleep(3600)
        return before, at_first, wall_ns()

    assert run_deterministically(sleep, seed=0) == (0.0, EPOCH_NS, EPOCH_NS + 3600 * 10**9)


def test_what_the_function_raises_comes_out() -> None:
    async def fail(_: random.Random) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_deterministically(fail, seed=0)
