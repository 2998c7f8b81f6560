"""The weight budget against a venue that counts by its own minutes: whatever comes when, the venue never counts more
than it allows, as long as its other users are told of in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedbus.feed.weights import WeightBudget
from feedbus.testing.strategies import examples


def asked(budget: WeightBudget, weight: int, now: float) -> bool:
    if budget.wait_for(weight, now):
        return False
    budget.begin(weight, now, now)
    return True


def test_all_of_it_may_come_at_once_and_again_a_period_after_the_answers() -> None:
    budget = WeightBudget(1000, 60.0)
    assert sum(asked(budget, 50, 0.0) for _ in range(100)) == 19  # a twentieth is kept back
    assert budget.wait_for(50, 0.5) > 0
    for _ in range(19):
        budget.end(50, None, 1.0)
    assert (budget.used(1.0), budget.wait_for(50, 1.0), budget.wait_for(50, 60.5)) == (950, 60.0, 0.5)
    assert sum(asked(budget, 50, 61.0) for _ in range(100)) == 19
    assert (budget.taken, budget.waits) == (1900, 0)


def test_what_others_use_is_taken_from_it_until_their_minute_is_over() -> None:
    budget = WeightBudget(1000, 60.0)
    assert asked(budget, 50, 0.0)
    budget.end(50, 800, 0.5)
    assert budget.used(1.0) == 800
    assert sum(asked(budget, 50, 1.0) for _ in range(10)) == 3
    assert budget.wait_for(50, 1.0) > 50
    budget.end(50, 150, 30.0)  # the venue's next minute has begun
    assert asked(budget, 50, 30.0)


def test_a_weight_above_the_budget_needs_all_of_it_and_waits_are_counted() -> None:
    budget = WeightBudget(100, 60.0)
    assert asked(budget, 500, 0.0)
    assert not asked(budget, 5, 1.0)
    budget.end(500, None, 1.0)
    assert not asked(budget, 5, 60.9)
    budget.begin(5, 0.0, 61.0)
    assert (budget.waits, budget.waited) == (1, 61.0)


@examples(200)
@given(
    begins=st.floats(0, 60),
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 1.0, 7.0, 25.0]), st.sampled_from([5, 50, 250]), st.floats(0, 4)),
        max_size=60,
    ),
)
def test_the_venue_never_counts_more_than_it_allows(begins: float, steps: list[tuple[float, int, float]]) -> None:
    """The venue counts a request at some time between its start and its answer, in minutes that begin anywhere."""
    budget, limit = WeightBudget(600, 60.0), 600
    now = 0.0
    counted: dict[int, int] = {}
    under_way: list[tuple[float, int]] = []  # when each is answered
    for pause, weight, takes in steps:
        now += pause
        for answered_at, part in sorted(under_way):
            if answered_at <= now:
                under_way.remove((answered_at, part))
                minute = int((answered_at + begins) // 60)
                budget.end(part, counted[minute] if counted.get(minute) else None, answered_at)
        if asked(budget, weight, now):
            minute = int((now + takes * 0.9 + begins) // 60)
            counted[minute] = counted.get(minute, 0) + weight
            under_way.append((now + takes, weight))
    assert all(weight <= limit for weight in counted.values())
