"""Logs what a feed's budgets hold back, a line a minute for each budget at most. It may log, and is told the time.

That connections wait for their turn to connect is written as it comes, by the feed itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from feedbus.text import time_span

MINUTE = 60.0  # seconds

REASONS = {
    "messages": "a connection may send the venue no more at once",
    "subscribes": "the venue may not be asked more often to subscribe",
    "rest_weight": "the venue allows no more weight of requests over HTTP",
}
"""Why somebody waits for a budget."""


class CountedWaits(Protocol):
    """What is known of the waits for one budget: how many wait now, and totals of the waits that are over and worth
    telling, and of the seconds of all waits."""

    waiting: int
    waits: int
    waited: float


class WaitLog:
    """The log of one feed. Times are monotonic, in seconds."""

    def __init__(self, log: logging.Logger, budgets: Mapping[str, CountedWaits]) -> None:
        self._log = log
        self._budgets = budgets
        self._logged: dict[str, tuple[float, int, float]] = {}  # by budget: when, and the totals by then

    def look(self, now: float) -> None:
        """Write a line for each budget for which somebody has had to wait since its last one, if that is a minute
        ago."""
        for name, reason in REASONS.items():
            budget = self._budgets.get(name)
            if budget is None:
                continue
            at, waits, waited = self._logged.get(name, (now - MINUTE, 0, 0.0))
            if budget.waits == waits or now < at + MINUTE:
                continue
            self._logged[name] = now, budget.waits, budget.waited
            self._log.warning(
                "%s: since the last such line %s had to wait for a second or longer, for %s in all, and %s wait now",
                reason,
                f"{budget.waits - waits:,}",
                time_span(budget.waited - waited),
                f"{budget.waiting:,}",
            )
