"""When each of many things is due next, by name. Pure.

Each thing has one time at most. Setting it anew costs the logarithm of their number: the heap keeps the old entry until
it comes to the top, or until more than half of the entries are old.
"""

from __future__ import annotations

import heapq
from math import inf


class Deadlines:
    """Times are in seconds, of whichever clock the caller uses."""

    __slots__ = ("_heap", "_when")

    def __init__(self) -> None:
        self._when: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """How many things have a time."""
        return len(self._when)

    def __contains__(self, name: str) -> bool:
        """Whether this thing has a time."""
        return name in self._when

    def set(self, name: str, when: float) -> None:
        """This thing is due then, and no longer at the time that it had. With infinity it has none any more."""
        if when == self._when.get(name, inf):
            return
        if when == inf:
            del self._when[name]
            return
        self._when[name] = when
        heapq.heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._when) + 16:
            self._heap = [(at, each) for each, at in self._when.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """This thing has no time any more."""
        self._when.pop(name, None)

    @property
    def next(self) -> float:
        """The earliest time; infinity when there is none."""
        heap = self._heap
        while heap and self._when.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else inf

    def pop(self, now: float) -> tuple[float, str] | None:
        """Take the one that has been due for longest, and its time; None when none is due at `now`."""
        if self.next > now or not self._heap:
            return None
        found = heapq.heappop(self._heap)
        del self._when[found[1]]
        return found
