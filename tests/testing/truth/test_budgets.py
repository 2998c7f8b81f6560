from __future__ import annotations

import pytest

from feedbus.config.model import BudgetsConfig
from feedbus.sim.seam import ServerCounters
from feedbus.testing.truth.budgets import budgets_of, exceeded
from feedbus.testing.truth.faults import Schedule

BUDGETS = budgets_of(Schedule(1, "moex", (), connections=4, tickers=40))


def counted(connects: int, subscribes: int, messages: int) -> ServerCounters:
    counters = ServerCounters()
    counters.most_connects, counters.most_subscribes, counters.most_messages = connects, subscribes, messages
    return counters


def test_what_is_allowed_is_not_exceeded() -> None:
    assert exceeded(BUDGETS, counted(8, 40, 10), alone=True) == []
    assert exceeded(BudgetsConfig(), counted(999, 999, 999), alone=True) == []


@pytest.mark.parametrize(
    ("counters", "what", "alone"),
    [
        (counted(9, 0, 0), "9 attempts to connect in 20 s, and 8 are allowed", []),
        (counted(0, 41, 0), "41 requests to subscribe in 1 s, and 40 are allowed", []),
        (counted(0, 0, 11), "11 messages on a connection in 1 s, and 10 are allowed", None),
    ],
)
def test_one_too_many_is_told_what_all_do_together_only_of_a_single_process(
    counters: ServerCounters, what: str, alone: list[str] | None
) -> None:
    assert exceeded(BUDGETS, counters, alone=True) == [what]
    assert exceeded(BUDGETS, counters, alone=False) == ([what] if alone is None else alone)
