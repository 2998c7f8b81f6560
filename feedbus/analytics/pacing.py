"""A limit on how often one thing is published: at most once in a given number of seconds, and then in its newest state.

A bar or a book changes with every event, and most of these versions interest nobody. So a change is published at once
when the last publication is long enough ago; otherwise it waits for that moment, and later changes wait along with it.
A key that doesn't change costs nothing. The module is pure: the time is an argument.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Pacer(Generic[K]):
    """Knows which of the changed keys are due.

    It remembers every key that it was ever told of, so the caller has to bound how many there are. Times are in seconds
    by one monotonic clock.
    """

    def __init__(self, every: float) -> None:
        """`every` is the shortest time in seconds between two turns of one key."""
        self._every = every
        self._not_before: dict[K, float] = {}
        self.waiting: set[K] = set()
        """The changed keys that aren't due yet. A further change of them costs nothing, and neither does noting it."""
        self._due: list[tuple[float, int, K]] = []  # a heap; the count breaks ties, since keys can't be compared
        self._count = 0

    def mark_changed(self, key: K, now: float) -> None:
        """Notes that the key has changed. Further changes before its turn cost nothing."""
        if key not in self.waiting:
            self.waiting.add(key)
            self._count += 1
            heapq.heappush(self._due, (max(now, self._not_before.get(key, now)), self._count, key))

    def take(self, now: float) -> list[K]:
        """Returns the changed keys that are due by `now`, in the order in which they became due. Their next turn is
        `every` seconds from now at the earliest."""
        taken: list[K] = []
        due = self._due
        while due and due[0][0] <= now:
            key = heapq.heappop(due)[2]
            self.waiting.remove(key)
            self._not_before[key] = now + self._every
            taken.append(key)
        return taken

    def next_due(self) -> float:
        """Returns when the next changed key is due; infinity when no key has changed."""
        return self._due[0][0] if self._due else inf
