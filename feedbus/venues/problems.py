"""What of one message can't be used: the first few things are told in words, and the rest is counted. Pure.

A message may be large and hold nothing that can be used. What is said about it must not cost more than reading it, so
no text is made for anything beyond the first few.
"""

from __future__ import annotations

from feedbus.errors import BadData
from feedbus.text import quoted

MAX_PROBLEMS = 8
"""How many errors are told of one message, the one that counts the rest included."""


class Problems:
    """The problems of one message, or of one list that comes in several. `place` says which: a channel and symbol.

    It is true when there is any problem.
    """

    __slots__ = ("_first", "count", "place")

    def __init__(self, place: str) -> None:
        self.place = place
        self.count = 0
        self._first: list[BadData] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def note(self, where: str, what: str, *value: object) -> None:
        """Note one problem: where in the message it is ("" for no place in particular), what is wrong, and with which
        value."""
        self.count += 1
        if self.count <= MAX_PROBLEMS:
            reason = f"{what}: {quoted(value[0])}" if value else what
            self._first.append(BadData(f"{self.place} {where}" if where else self.place, reason))

    def errors(self) -> list[BadData]:
        """At most MAX_PROBLEMS errors; the last one says how many more there are."""
        if self.count <= MAX_PROBLEMS:
            return list(self._first)
        more = BadData(self.place, f"{self.count - MAX_PROBLEMS + 1} more of its rows or cells can't be used")
        return [*self._first[: MAX_PROBLEMS - 1], more]
