"""When the next snapshot of one book is asked for: one at a time, with longer pauses the more are of no use. Pure."""

from __future__ import annotations

from math import inf

RETRY_FIRST, RETRY_CAP = 0.25, 15.0
"""Seconds until a snapshot is asked for again that failed or doesn't fit. Each further time doubles them."""

REFUSED_FOR = 900.0
"""Seconds until the venue is asked again for a snapshot that it has refused."""

FREE = 3
"""How often in a row a book that was right may be lost and asked for again without a pause."""

CALM_AFTER = 5.0
"""Seconds for which a book must have been right before its losses are forgotten."""


class SnapshotTurns:
    """`asked` says whether an answer is awaited. Times are `now`, in seconds."""

    __slots__ = ("_calm_at", "_losses", "_useless", "asked", "due_at")

    def __init__(self) -> None:
        self.asked = False
        self.due_at = inf
        """When the next one is to be asked for."""
        self._losses = 0  # since the book was last right for long
        self._useless = 0  # snapshots of no use since the book was last right
        self._calm_at = inf

    def lost(self, now: float) -> None:
        """The book isn't right any more: one is needed at once, or after a pause when that happens again and again."""
        if self.due_at != inf:
            return  # it is wanted already
        if now >= self._calm_at:
            self._losses = 0
        self._calm_at = inf
        self._losses += 1
        self._want(now)

    def again(self, now: float) -> None:
        """The one that was asked for is of no use, or didn't come."""
        self._useless += 1
        self._want(now)

    def refused(self, now: float) -> None:
        """The venue says that there is none. It is asked again much later, since that may change."""
        self.due_at = now + REFUSED_FOR

    def begin(self) -> None:
        """It is asked for now."""
        self.asked, self.due_at = True, inf

    def succeeded(self, now: float) -> None:
        """The book is right: it needs none, and if it stays so, its losses are forgotten."""
        self.due_at = inf
        self._useless = 0
        self._calm_at = min(self._calm_at, now + CALM_AFTER)

    def is_due(self, now: float) -> bool:
        """Whether one is to be asked for now."""
        return not self.asked and now >= self.due_at

    @property
    def wake_at(self) -> float:
        """When `is_due` becomes true; infinity while that depends on an answer."""
        return inf if self.asked else self.due_at

    def _want(self, now: float) -> None:
        if self.due_at == inf:
            self.due_at = now + _pause(max(self._losses - FREE, self._useless))


def _pause(times: int) -> float:
    return min(RETRY_CAP, RETRY_FIRST * 2 ** min(times - 1, 16)) if times > 0 else 0.0
