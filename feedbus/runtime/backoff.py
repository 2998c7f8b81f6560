"""How long to wait before the next attempt to connect: a capped exponential back-off with full jitter. Pure.

Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) means that the delay is random
between 0 and a ceiling that doubles with each failure, so that many clients don't come back at the same moment. The
ceiling returns to its first value only when data has flowed for a while. An open connection is no reason for it: a
venue that accepts connections and then drops them would be flooded with attempts otherwise.
"""

from __future__ import annotations


class Backoff:
    """The back-off of one connection. Times are in seconds; the caller supplies the clock and the random numbers."""

    __slots__ = ("_cap", "_ceiling", "_data_since", "_first", "_reset_after", "failures", "retry_at")

    def __init__(self, first: float, cap: float, reset_after: float) -> None:
        """`first` is the first ceiling and `cap` the highest one. Data must flow for `reset_after` to start again."""
        self.failures = 0
        self.retry_at = 0.0
        self._first = min(first, cap)
        self._cap = cap
        self._reset_after = reset_after
        self._ceiling = self._first
        self._data_since: float | None = None

    def failed(self, now: float, draw: float) -> float:
        """Note that an attempt or a connection failed. Returns the delay before the next attempt; `retry_at` is its
        time.

        `draw` is a random number in [0, 1).
        """
        delay = draw * self._ceiling
        self.failures += 1
        self.retry_at = now + delay
        # Doubling a capped number can't overflow, while a power of the number of failures would.
        self._ceiling = min(self._cap, self._ceiling * 2)
        return delay

    def opened(self) -> None:
        """Note that a new connection is open. The data of earlier ones no longer counts."""
        self._data_since = None

    def data(self, now: float) -> None:
        """Note that data came. When it has come for `reset_after` on this connection, the ceiling starts again."""
        if self._data_since is None:
            self._data_since = now
        if now - self._data_since >= self._reset_after:
            self.failures = 0
            self._ceiling = self._first
