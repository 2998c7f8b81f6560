from __future__ import annotations

from collections import defaultdict

import pytest

from feedbus.testing.truth.faults import (
    CALM_AFTER,
    CALM_BEFORE,
    KINDS,
    VENUES,
    fixed_schedules,
    random_schedule,
    schedule_of,
)


def test_in_the_fixed_schedules_each_fault_comes_in_two_or_more_and_on_two_venues() -> None:
    schedules = fixed_schedules()
    assert len(schedules) == 12
    assert {each.venue for each in schedules} == set(VENUES)
    assert {(each.connections, each.tickers, each.seconds, each.tempo) for each in schedules} == {(4, 40, 300.0, 5.0)}
    where = defaultdict(set)
    for each in schedules:
        for kind in each.kinds():
            where[kind].add((each.seed, each.venue))
    assert where.keys() == set(KINDS)
    for kind, found in where.items():
        assert len({seed for seed, _ in found}) >= 2, kind
        assert len({venue for _, venue in found}) >= 2, kind


def test_a_seed_makes_one_schedule_and_another_seed_another() -> None:
    assert random_schedule(5) == random_schedule(5)
    assert len({random_schedule(seed) for seed in range(50)}) == 50
    assert fixed_schedules() == fixed_schedules()


@pytest.mark.parametrize("seed", range(30))
def test_it_is_calm_at_the_beginning_and_at_the_end(seed: int) -> None:
    schedule = random_schedule(seed, seconds=1200.0)
    times = [fault.at for fault in schedule.faults]
    assert times == sorted(times)
    assert times[0] >= CALM_BEFORE
    for fault in schedule.faults:
        lasting = fault.lasts if fault.kind not in ("drop", "garbage") else 0.0
        assert fault.at + lasting <= schedule.seconds - CALM_AFTER


def test_random_schedules_have_every_fault() -> None:
    kinds = {kind for seed in range(100) for kind in random_schedule(seed).kinds()}
    assert kinds == set(KINDS)


def test_the_kinds_of_a_schedule_come_in_the_given_order() -> None:
    assert schedule_of(["reset", "drop"], 3, "moex").kinds() == ["reset", "drop"]
