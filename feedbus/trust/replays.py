"""When refusing what looks like a replay has to end. Pure.

An event with an older number or time than one that was published is a replay, and isn't published. But a venue may have
begun to number anew, or have put its clock back, and then it would be refused for ever. So after MOST_REFUSED events in
a row, or REFUSED_FOR seconds after the first of them, it counts as gone back for good: the instrument is resynced, and
what comes next is right whatever its number.
"""

from __future__ import annotations

MOST_REFUSED = 100
REFUSED_FOR = 5.0
"""Seconds."""


class ReplayRow:
    """The events that were refused in a row, of one instrument and kind."""

    __slots__ = ("_count", "_mark", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0
        self._mark: object = None

    def too_long(self, mark: object, now: float) -> bool:
        """One more is to be refused. Returns whether the row has become too long with it; then the next one begins a
        new row. `mark` is what the newest event that was published is known by: when it changes, a new row begins."""
        if mark != self._mark or not self._count:
            self._mark = mark
            self._count = 0
            self._since = now
        self._count += 1
        if self._count <= MOST_REFUSED and now - self._since <= REFUSED_FOR:
            return False
        self._count = 0
        return True
