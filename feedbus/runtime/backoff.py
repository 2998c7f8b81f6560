"""How long to wait before the next attempt to connect: capped, exponential, full jitter. Pure.

The count of failures starts again only after data has flowed for a while, never on a mere connect: a venue that
accepts and then drops would be hammered otherwise.
"""

from __future__ import annotations


class Backoff:
    """The back-off of one connection. Times are seconds; the caller supplies the clock and the dice."""

    __slots__ = ("_cap", "_ceiling", "_data_since", "_first", "_reset_after", "failures", "retry_at")

    def __init__(self, first: float, cap: float, reset_after: float) -> None:
        self.failures = 0
        self.retry_at = 0.0
        self._first = min(first, cap)
        self._cap = cap
        self._reset_after = reset_after
        self._ceiling = self._first
        self._data_since: float | None = None

    def failed(self, now: float, draw: float) -> float:
        """Another attempt or connection failed: the delay before the next one, which `retry_at` holds as a time.

        `draw` is a random number in [0, 1).
        """
        delay = draw * self._ceiling
        self.failures += 1
        self.retry_at = now + delay
        # Doubling what is already capped can't overflow, as a power of the count would.
        self._ceiling = min(self._cap, self._ceiling * 2)
        return delay

    def opened(self) -> None:
        """A new connection is open; what an earlier one delivered no longer counts."""
        self._data_since = None

    def data(self, now: float) -> None:
        """Data came; the count starts again once it has come for `reset_after` seconds on this connection."""
        if self._data_since is None:
            self._data_since = now
        if now - self._data_since >= self._reset_after:
            self.failures = 0
            self._ceiling = self._first
