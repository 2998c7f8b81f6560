"""The weight budget against a venue that counts by its own minutes: whatever comes when, no request of ours is beyond
what the venue allows, as long as what its other users need between two of our requests is less than the reserve."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.feed.weights import LOOK_AGAIN, STALE, WeightBudget, WeightTurns
from feedbus.testing.strategies import examples
from feedbus.venues.protocol import RestLimit

SILENT = RestLimit(1000, 60.0)
"""A venue whose answers tell nothing."""

TELLS = RestLimit(1000, 60.0, "x-used")


def asked(budget: WeightBudget, weight: int, now: float) -> bool:
    if budget.wait_for(weight, now):
        return False
    budget.begin(weight)
    return True


def heard(limit: RestLimit = TELLS, told: int = 50, now: float = 0.0) -> WeightBudget:
    """A budget of which one request of weight 50 has just told what was used."""
    budget = WeightBudget(limit)
    assert asked(budget, 50, now)
    budget.end(50, told, begun=now, now=now)
    return budget


def test_all_of_it_may_come_at_once_and_again_a_period_after_the_answers() -> None:
    budget = WeightBudget(SILENT)
    assert sum(asked(budget, 50, 0.0) for _ in range(100)) == 19  # a twentieth is kept back
    assert budget.wait_for(50, 0.5) > 0
    for _ in range(19):
        budget.end(50, None, begun=0.0, now=1.0)
    assert (budget.used(1.0), budget.wait_for(50, 1.0), budget.wait_for(50, 60.5)) == (950, 60.0, 0.5)
    assert sum(asked(budget, 50, 61.0) for _ in range(100)) == 19


def test_what_others_use_is_taken_from_it_until_their_minute_is_over() -> None:
    budget = heard(told=800)
    assert budget.used(1.0) == 800
    assert sum(asked(budget, 50, 1.0) for _ in range(10)) == 3
    assert budget.wait_for(50, 1.0) > 50
    budget.end(50, 150, begun=1.0, now=30.0)  # the venue's next minute has begun
    assert asked(budget, 50, 30.0)


def test_a_weight_above_the_budget_needs_all_of_it() -> None:
    budget = WeightBudget(RestLimit(100, 60.0))
    assert asked(budget, 500, 0.0)
    assert not asked(budget, 5, 1.0)
    budget.end(500, None, begun=0.0, now=1.0)
    assert not asked(budget, 5, 60.9)
    assert asked(budget, 5, 61.0)


def test_turns_and_waits_are_counted() -> None:
    turns = WeightTurns(WeightBudget(SILENT))
    turns.begin(5, 0.0, 61.0)
    turns.begin(7, 60.5, 61.0)
    assert (turns.taken, turns.waits, turns.waited, turns.budget.used(61.0)) == (12, 1, 61.5, 12)


def test_one_request_goes_alone_while_nothing_is_told_and_the_others_when_it_is() -> None:
    budget = WeightBudget(TELLS)
    assert asked(budget, 50, 0.0)
    assert budget.wait_for(50, 1.0) == LOOK_AGAIN
    budget.end(50, None, begun=0.0, now=1.0)  # it failed, so nothing is known
    assert asked(budget, 50, 1.0)
    assert not asked(budget, 50, 1.0)
    budget.end(50, 800, begun=1.0, now=2.0)
    assert sum(asked(budget, 50, 2.0) for _ in range(10)) == 3


def test_what_others_have_used_is_asked_by_one_request_after_a_silence() -> None:
    budget = heard()
    assert [asked(budget, 50, STALE) for _ in range(2)] == [True, True]
    budget = heard()
    assert [asked(budget, 50, STALE + 0.1) for _ in range(2)] == [True, False]


def test_a_venue_that_never_tells_is_asked_by_our_own_count_after_one_good_answer() -> None:
    budget = WeightBudget(TELLS)
    assert asked(budget, 50, 0.0)
    budget.end(50, None, begun=0.0, now=1.0, is_good=True)
    assert sum(asked(budget, 50, 1.0) for _ in range(100)) == 18


def test_what_failed_is_added_to_what_was_told_before_it_ended_and_not_to_what_was_asked_later() -> None:
    budget = heard(told=500)
    budget.begin(250)
    budget.end(250, None, begun=1.0, now=2.0)
    assert budget.used(2.0) == 750
    budget.begin(50)
    budget.end(50, 620, begun=1.5, now=3.0)  # it may have been counted before the one that failed
    assert budget.used(3.0) == 870
    budget.begin(50)
    budget.end(50, 670, begun=3.0, now=4.0)
    assert budget.used(4.0) == 670


def test_an_answer_that_comes_late_does_not_hide_what_a_later_one_has_told() -> None:
    budget = heard()
    for _ in range(3):
        budget.begin(50)
    budget.end(50, 800, begun=1.0, now=2.0)
    budget.end(50, 700, begun=1.0, now=2.1)
    assert budget.used(2.1) == 850
    budget.end(50, 100, begun=2.05, now=2.2)  # it was asked after the 800 were told: another minute
    assert budget.used(2.2) == 700  # this one may be of the new minute, too
    budget.begin(50)
    budget.end(50, 150, begun=2.3, now=2.4)
    assert budget.used(2.4) == 250  # ours alone
    assert budget.used(70.0) == 0


def test_after_a_refusal_what_was_told_holds_until_the_time_it_gives_and_then_one_goes_alone() -> None:
    budget = heard(told=800)
    for _ in range(3):
        assert asked(budget, 50, 1.0)
    budget.end(50, 1010, begun=1.0, now=2.0, over_in=3.0)
    budget.end(50, 1000, begun=1.0, now=2.1, is_good=True)  # of the same minute
    budget.end(50, 990, begun=1.0, now=2.2, is_good=True)
    assert budget.used(4.9) == 1010
    assert budget.wait_for(50, 4.0) == 1.0
    assert budget.used(5.0) == 200
    assert [asked(budget, 50, 5.0) for _ in range(2)] == [True, False]


def test_a_share_of_the_budget_is_of_our_requests_and_the_rest_of_it_of_others() -> None:
    """A process that may use a third isn't stopped by what the others use, as long as all of them use less than the
    venue allows."""
    budget = WeightBudget(TELLS, 300, 60.0)
    assert asked(budget, 50, 0.0)
    budget.end(50, 600, begun=0.0, now=0.0)
    assert sum(asked(budget, 50, 0.0) for _ in range(10)) == 4
    budget = WeightBudget(TELLS, 100, 10.0)
    assert asked(budget, 50, 0.0)
    budget.end(50, 950, begun=0.0, now=0.0)
    assert budget.wait_for(5, 0.0) == 60.0  # what the venue tells is of its own period


def test_more_than_the_venue_usually_allows_is_believed_and_the_smallest_limit_counts() -> None:
    budget = WeightBudget(TELLS, 2000, 60.0)
    assert asked(budget, 50, 0.0)
    budget.end(50, 1500, begun=0.0, now=0.0)
    assert sum(asked(budget, 50, 0.0) for _ in range(100)) == 8
    budget = WeightBudget(SILENT)
    budget.restrict(200, 60.0)
    budget.restrict(400, 60.0)
    assert sum(asked(budget, 50, 0.0) for _ in range(100)) == 3


VENUE = RestLimit(6000, 60.0, "x-used")


@dataclass
class Venue:
    """A venue that counts by calendar minutes, and processes that ask it as much as they may, AT_A_TIME at once."""

    seed: int
    weight: int = 50
    processes: int = 1
    share: int | None = None
    restart_at: float | None = None
    others_per_s: float = 0.0
    failing: float = 0.0
    silent: bool = False
    begins: float = 17.0
    way: tuple[float, float] = (0.05, 0.5)

    used: dict[int, float] = field(default_factory=dict)
    ours: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)  # how many requests, by minute

    LASTS = 200.0
    AT_A_TIME = 8

    def run(self) -> None:
        self._draw = random.Random(self.seed)
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._now = self.begins
        for _ in range(self.processes):
            self._later(0.0, self._starts)
        if self.restart_at is not None:
            self._later(self.restart_at, self._restarts)
        while self._events and self._events[0][0] < self.begins + self.LASTS:
            now, _, then, arguments = heapq.heappop(self._events)
            self._count(self.others_per_s * (now - self._now))
            self._now = now
            then(*arguments)

    def _later(self, wait: float, then: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self._now + wait, next(self._numbers), then, arguments))

    def _count(self, weight: float) -> int:
        minute = int(self._now // 60)
        self.used[minute] = self.used.get(minute, 0) + weight
        return minute

    def _starts(self) -> None:
        self._slots = [self.AT_A_TIME]
        self._asks(self._slots, WeightBudget(VENUE, self.share))

    def _restarts(self) -> None:
        self._slots.clear()  # what is under way still arrives, and its answer is nobody's
        self._later(self.way[1], self._starts)  # when the last request of the old process has arrived

    def _asks(self, slots: list[int], budget: WeightBudget) -> None:
        while slots and slots[0]:
            if wait := budget.wait_for(self.weight, self._now):
                self._later(wait, self._asks, slots, budget)
                return
            budget.begin(self.weight)
            slots[0] -= 1
            self._later(self._draw.uniform(*self.way), self._arrives, slots, budget, self._now)

    def _arrives(self, slots: list[int], budget: WeightBudget, begun: float) -> None:
        minute = self._count(self.weight)
        self.ours[minute] = self.ours.get(minute, 0) + self.weight
        told: dict[str, Any] = {"told": None if self.silent else int(self.used[minute]), "is_good": True}
        if self.used[minute] > VENUE.weight:
            self.refused[minute] = self.refused.get(minute, 0) + 1
            told |= {"is_good": False, "over_in": 60.0 - self._now % 60.0}
        elif self._draw.random() < self.failing:
            told = {"told": None}
        self._later(self._draw.uniform(*self.way), self._answered, slots, budget, begun, told)

    def _answered(self, slots: list[int], budget: WeightBudget, begun: float, told: dict[str, Any]) -> None:
        budget.end(self.weight, begun=begun, now=self._now, **told)
        if slots:
            slots[0] += 1
            self._asks(slots, budget)


@pytest.mark.parametrize("weight", [5, 50, 250])
@pytest.mark.parametrize(
    "what",
    [
        {},
        {"silent": True},
        {"failing": 0.5},
        {"restart_at": 20.0},
        {"others_per_s": 40.0},
        {"others_per_s": 40.0, "failing": 0.5},
        {"others_per_s": 40.0, "way": (0.01, 2.0)},
        {"processes": 2, "share": 3000},
        {"processes": 3, "share": 2000, "failing": 0.2},
    ],
    ids=str,
)
def test_no_request_of_ours_is_beyond_what_the_venue_allows(what: dict[str, Any], weight: int) -> None:
    for seed in range(10):
        venue = Venue(seed, weight, **what)
        venue.run()
        assert venue.refused == {}
        if not venue.others_per_s and weight > 5:
            assert max(venue.ours.values()) >= 0.8 * 5700  # and it is used


@examples(50)
@given(
    seed=st.integers(0, 2**32),
    weight=st.sampled_from([25, 50, 250]),
    begins=st.floats(0, 60),
    restart_at=st.none() | st.floats(0, 100),
    others_per_s=st.floats(0, 40),
    failing=st.sampled_from([0.0, 0.1, 0.9]),
    longest=st.sampled_from([0.05, 0.5, 0.9]),
)
def test_whatever_happens_only_who_asks_alone_is_refused_and_nobody_is_banned(longest: float, **what: Any) -> None:
    """What others use while we ask nothing, or can't hear what was answered, no process can know before it asks."""
    venue = Venue(way=(0.01, longest), **what)
    venue.run()
    assert max(venue.refused.values(), default=0) <= 1 + (venue.restart_at is not None)
    assert not venue.refused or venue.others_per_s or venue.restart_at is not None
