"""The lowest and the highest price of the last seconds, in bounded memory.

Time is cut into buckets of a 16th of the window. A bucket leaves the window as a whole, before its first price is older
than the window. So the time that is looked back on is never longer than the window, and at most a 16th shorter.

The extremes of earlier buckets are kept in monotonic queues: a bucket whose low a later bucket undercuts can never be
the lowest again, so it is dropped. Each queue has at most one entry for each bucket, that is 16, however many prices
come. The queues are plain lists: a deque takes 600 bytes before its first entry, and with thousands of instruments
memory is the largest cost.

The module is pure. Times are nanoseconds.
"""

from __future__ import annotations

from math import inf

BUCKETS = 16


class Window:
    """Prices go in, their extremes over the window come out.

    last                    the last price
    low, high               the lowest and the highest price of the window
    bucket_low, bucket_high the same of the current bucket
    bucket_end              when the current bucket ends

    Before `bucket_end` a price from `bucket_low` to `bucket_high` changes nothing but `last`. Most prices are like
    that, and the caller may set `last` itself then and save the call of `add`.
    """

    __slots__ = (
        "_bucket",
        "_highs",
        "_lows",
        "_width",
        "bucket_end",
        "bucket_high",
        "bucket_low",
        "high",
        "last",
        "low",
    )

    def __init__(self, length: int) -> None:
        """`length` is that of the window in nanoseconds."""
        self.last = 0.0
        self.low = inf
        self.high = -inf
        self._width = max(1, length // BUCKETS)
        self._bucket = 0
        self.bucket_end = 0
        self.bucket_low = inf
        self.bucket_high = -inf
        self._lows: list[tuple[int, float]] = []  # (bucket, its low) in the order of time; the first is the lowest
        self._highs: list[tuple[int, float]] = []  # (bucket, its high) in the order of time; the first is the highest

    def __len__(self) -> int:
        """How many entries the two queues have."""
        return len(self._highs) + len(self._lows)

    def add(self, price: float, now: int) -> bool:
        """Takes in the price of the time `now`; a time that goes back counts as the latest. Returns True when `low` or
        `high` may have changed."""
        self.last = price
        if now >= self.bucket_end:
            self._begin_bucket(now // self._width)
            self.bucket_low = self.bucket_high = price
            self.low = min(price, self._lows[0][1]) if self._lows else price
            self.high = max(price, self._highs[0][1]) if self._highs else price
            return True
        if self.bucket_low <= price <= self.bucket_high:
            return False
        if price < self.bucket_low:
            self.bucket_low = price
        else:
            self.bucket_high = price
        if self.low <= price <= self.high:
            return False
        self.low = min(self.low, price)
        self.high = max(self.high, price)
        return True

    def changes_at(self) -> int:
        """Returns when the lowest or the highest price leaves the window at the earliest, if no price comes before."""
        first = min(queue[0][0] if queue else self._bucket for queue in (self._lows, self._highs))
        return (first + BUCKETS) * self._width

    def _begin_bucket(self, bucket: int) -> None:
        """Queues the extremes of the bucket that is over, and drops the buckets that have left the window."""
        lows, highs, before = self._lows, self._highs, self._bucket
        while lows and lows[-1][1] >= self.bucket_low:
            lows.pop()
        while highs and highs[-1][1] <= self.bucket_high:
            highs.pop()
        if self.bucket_low <= self.bucket_high:  # False only before the first price
            lows.append((before, self.bucket_low))
            highs.append((before, self.bucket_high))
        self._bucket = bucket
        self.bucket_end = (bucket + 1) * self._width
        while lows and lows[0][0] <= bucket - BUCKETS:
            lows.pop(0)
        while highs and highs[0][0] <= bucket - BUCKETS:
            highs.pop(0)
