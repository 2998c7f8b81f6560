"""Pacing: of what changes often, the newest state is taken, and no more often than every so many seconds. Pure.

A key that changes is due at once when it was last taken `every` seconds ago, else when it will have been. Nothing is
spent on keys that don't change.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Pacer(Generic[K]):
    """Which keys are due. It keeps the time of every key that it has seen: how many there may be is the caller's."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._rests_until: dict[K, float] = {}
        self._waiting: set[K] = set()
        self._due: list[tuple[float, int, K]] = []  # a heap; the number keeps keys from being compared
        self._count = 0

    def touch(self, key: K, now: float) -> None:
        """The key has changed."""
        if key not in self._waiting:
            self._waiting.add(key)
            self._count += 1
            heapq.heappush(self._due, (max(now, self._rests_until.get(key, now)), self._count, key))

    def take(self, now: float) -> list[K]:
        """The keys that have changed and are due, in the order in which they became so."""
        taken: list[K] = []
        due = self._due
        while due and due[0][0] <= now:
            key = heapq.heappop(due)[2]
            self._waiting.remove(key)
            self._rests_until[key] = now + self._every
            taken.append(key)
        return taken

    def next_due(self) -> float:
        """When `take` will have something, by the clock that it is given; infinity: not before a change."""
        return self._due[0][0] if self._due else inf
