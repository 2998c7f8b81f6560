"""When the next snapshot of one book is asked for: one at a time, with longer pauses the more are of no use. Pure."""

from __future__ import annotations

from math import inf

RETRY_FIRST, RETRY_CAP = 0.25, 60.0
"""Seconds until a snapshot is asked for again that failed or doesn't fit. Each further time doubles them."""

CALM_AFTER = 30.0
"""Seconds for which a book must have been right before the pauses begin with the shortest one again."""


class SnapshotTurns:
    """`asked` says whether an answer is awaited. Times are `now`, in seconds."""

    __slots__ = ("_attempts", "_calm_at", "asked", "due_at")

    def __init__(self) -> None:
        self.asked = False
        self.due_at = inf
        """When the next one is to be asked for."""
        self._attempts = 0
        self._calm_at = inf

    def want(self, now: float) -> None:
        """One is needed: at once, or after a pause when the last ones were of no use."""
        if now >= self._calm_at:
            self._attempts = 0
        self._calm_at = inf
        if self.due_at == inf:
            self.due_at = now + self._pause()
            self._attempts += 1

    def again(self, now: float) -> None:
        """The one that was asked for is of no use, or didn't come."""
        self._attempts = max(1, self._attempts)
        self.want(now)

    def begin(self) -> None:
        """It is asked for now."""
        self.asked, self.due_at = True, inf

    def succeeded(self, now: float) -> None:
        """The book is right: it needs none, and if it stays so, the pauses are forgotten."""
        self.due_at = inf
        self._calm_at = now + CALM_AFTER

    def is_due(self, now: float) -> bool:
        """Whether one is to be asked for now."""
        return not self.asked and now >= self.due_at

    @property
    def wake_at(self) -> float:
        """When `is_due` becomes true; infinity while that depends on an answer."""
        return inf if self.asked else self.due_at

    def _pause(self) -> float:
        return min(RETRY_CAP, RETRY_FIRST * 2 ** min(self._attempts - 1, 16)) if self._attempts else 0.0
