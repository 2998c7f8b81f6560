"""The lowest and the highest price of the last seconds, in bounded memory. Pure.

Time is cut into buckets of a 16th of the window. A bucket leaves the window as a whole, before its first price is older
than the window: what is looked back upon is never longer than the window, and at most a 16th shorter.

The queues are monotonic: a bucket whose price a later one undercuts can never have the lowest again. Each has an entry
a bucket at the most, so 16, however many prices come; and most prices are within what their bucket has already. They
are plain lists: a deque takes 600 bytes before its first entry, and memory is what thousands of instruments cost most.
"""

from __future__ import annotations

from math import inf

BUCKETS = 16


class Window:
    """Prices in, extremes out. `low` and `high` are the extremes, `last` is the last price. Times are nanoseconds; one
    that goes back counts as the latest.

    A price from `lowest` to `highest` before `ends` changes nothing but `last`, so that a caller needn't add it.
    """

    __slots__ = ("_bucket", "_highs", "_lows", "_width", "ends", "high", "highest", "last", "low", "lowest")

    def __init__(self, length: int) -> None:
        self.last = 0.0
        self.low = inf
        self.high = -inf
        self._width = max(1, length // BUCKETS)
        self._bucket = 0
        self.ends = 0
        self.lowest = inf
        self.highest = -inf
        self._lows: list[tuple[int, float]] = []  # (bucket, price), the lowest first
        self._highs: list[tuple[int, float]] = []

    def __len__(self) -> int:
        """Entries that are kept."""
        return len(self._highs) + len(self._lows)

    def add(self, price: float, now: int) -> bool:
        """The price is this one now. True when `low` or `high` may have changed."""
        self.last = price
        if now >= self.ends:
            self._turn(now // self._width)
            self.lowest = self.highest = price
            self.low = min(price, self._lows[0][1]) if self._lows else price
            self.high = max(price, self._highs[0][1]) if self._highs else price
            return True
        if self.lowest <= price <= self.highest:
            return False
        if price < self.lowest:
            self.lowest = price
        else:
            self.highest = price
        if self.low <= price <= self.high:
            return False
        self.low = min(self.low, price)
        self.high = max(self.high, price)
        return True

    def changes_at(self) -> int:
        """When the lowest or the highest price leaves the window at the earliest, if no price comes."""
        first = min(queue[0][0] if queue else self._bucket for queue in (self._lows, self._highs))
        return (first + BUCKETS) * self._width

    def _turn(self, bucket: int) -> None:
        """A bucket is over: keep what it had, and let go of what is too old."""
        lows, highs, before = self._lows, self._highs, self._bucket
        while lows and lows[-1][1] >= self.lowest:
            lows.pop()
        while highs and highs[-1][1] <= self.highest:
            highs.pop()
        if self.lowest <= self.highest:
            lows.append((before, self.lowest))
            highs.append((before, self.highest))
        self._bucket = bucket
        self.ends = (bucket + 1) * self._width
        while lows and lows[0][0] <= bucket - BUCKETS:
            lows.pop(0)
        while highs and highs[0][0] <= bucket - BUCKETS:
            highs.pop(0)
