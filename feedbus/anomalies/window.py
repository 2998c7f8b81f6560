"""The lowest and the highest price of the last seconds, in bounded memory. Pure.

Time is cut into buckets of a 64th of the window. A bucket leaves the window as a whole, before its first price is older
than the window: what is looked back upon is never longer than the window, and at most a 64th shorter.

The two queues are monotonic: a price that a later one undercuts can never be the lowest again. Each has one entry a
bucket at the most, so 64 in all, however many prices come; a price costs O(1), amortised.
"""

from __future__ import annotations

from collections import deque

BUCKETS = 64


class Window:
    """Prices in, extremes out. Times are nanoseconds; one that goes back counts as the latest."""

    __slots__ = ("_bucket", "_highs", "_lows", "_width", "last")

    def __init__(self, length: int) -> None:
        self._width = max(1, length // BUCKETS)
        self._bucket = 0
        self._highs: deque[tuple[int, float]] = deque()  # (bucket, price), the highest first
        self._lows: deque[tuple[int, float]] = deque()
        self.last = 0.0

    def __len__(self) -> int:
        """Entries that are kept."""
        return len(self._highs) + len(self._lows)

    @property
    def low(self) -> float:
        """The lowest price of the window, which must have one."""
        return self._lows[0][1]

    @property
    def high(self) -> float:
        """The highest."""
        return self._highs[0][1]

    def add(self, price: float, now: int) -> None:
        """The price is this one now."""
        bucket = now // self._width
        if bucket > self._bucket:
            self.advance(now)
        elif price == self.last and self._highs:
            return
        else:
            bucket = self._bucket  # the clock that advanced it may be a little ahead
        self.last = price
        highs, lows = self._highs, self._lows
        while highs and highs[-1][1] <= price:
            highs.pop()
        # What is higher and of the same bucket leaves the window no sooner than this one.
        if not highs or highs[-1][0] != bucket:
            highs.append((bucket, price))
        while lows and lows[-1][1] >= price:
            lows.pop()
        if not lows or lows[-1][0] != bucket:
            lows.append((bucket, price))

    def advance(self, now: int) -> None:
        """Let go of what is too old by now; the window may have no price then."""
        self._bucket = max(self._bucket, now // self._width)
        oldest = self._bucket - BUCKETS + 1
        for queue in (self._highs, self._lows):
            while queue and queue[0][0] < oldest:
                queue.popleft()

    def changes_at(self) -> int:
        """When the lowest or the highest price leaves the window, if no price comes."""
        return (min(self._highs[0][0], self._lows[0][0]) + BUCKETS) * self._width
