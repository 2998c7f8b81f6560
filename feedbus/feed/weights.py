"""The weight of requests over HTTP that a venue allows in a time, as Binance counts it. It knows no clock.

Each request has a weight, and a venue allows so much of it in each of its own periods, which begin we don't know when.
So no time of that length may have more. A request that is under way counts, and so does one that was answered, for a
whole period from its answer: the venue has counted it before that. Each answer says what has been used in the venue's
present period by everybody at our address. If that is more than is known here, others use the budget too, and what they
have used is taken from ours. A small reserve is kept for what they use between two answers.
"""

from __future__ import annotations

from collections import deque
from math import inf

from feedbus.feed.budgets import WORTH_TELLING

RESERVE = 0.05
"""The share of the budget that we never use."""


class WeightBudget:
    """How much weight may be used now. Every `now` is in seconds of one monotonic clock.

    Its counters are totals: `taken` weight, `waits` of at least WORTH_TELLING seconds for it, and the `waited` seconds.
    """

    def __init__(self, weight: int, per_s: float, header: str = "") -> None:
        """At most `weight` in any `per_s` seconds. `header` is the one in which answers say what has been used."""
        self.header = header
        self.taken = 0
        self.waits = 0
        self.waited = 0.0
        self.waiting = 0  # how many requests wait; whoever keeps them sets it
        self._most = weight - int(weight * RESERVE)
        self._per_s = per_s
        self._under_way = 0
        self._answered: deque[tuple[float, int]] = deque()  # when, and of which weight
        self._answered_weight = 0
        self._told = 0  # what the venue has said that was used in its present period,
        self._told_at = -inf  # and when

    def used(self, now: float) -> int:
        """The weight that counts now, ours and, as far as is known, that of others."""
        self._forget(now)
        ours = self._under_way + self._answered_weight
        return max(ours, self._told + self._under_way)

    def wait_for(self, weight: int, now: float) -> float:
        """The seconds until a request of this weight may be made, 0 when it may be made now. A weight that is more than
        all of the budget needs all of it."""
        room = self._most - min(weight, self._most)
        if self.used(now) <= room:
            return 0.0
        left = self._under_way + self._answered_weight
        free_at = now if self._told + self._under_way <= room else self._told_at + self._per_s
        for when, part in self._answered:
            if left <= room:
                break
            left -= part
            free_at = max(free_at, when + self._per_s)
        # What is under way will have been answered by then, or not: a time later it is known.
        return max(free_at - now, WORTH_TELLING / 10)

    def begin(self, weight: int, asked_at: float, now: float) -> None:
        """A request of this weight, which was wanted since `asked_at`, is made now."""
        self.taken += weight
        self._under_way += weight
        self.waited += now - asked_at
        self.waits += now - asked_at >= WORTH_TELLING

    def end(self, weight: int, told: int | None, now: float) -> None:
        """It was answered, or failed. `told` is what the venue says that was used in its present period."""
        self._under_way -= weight
        self._answered.append((now, weight))
        self._answered_weight += weight
        if told is not None:
            self._told, self._told_at = told, now

    def _forget(self, now: float) -> None:
        while self._answered and self._answered[0][0] <= now - self._per_s:
            self._answered_weight -= self._answered.popleft()[1]
        if self._told_at <= now - self._per_s:
            self._told = 0
