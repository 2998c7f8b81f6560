"""The first and last trade id of aggregate trades, on their way from a venue's reader to a checker. Pure.

An event has no room for them, and nobody but the checker needs them. So the reader puts them aside for each symbol that
has a checker, and the checker takes them when it gets the event. Of a symbol without a checker nothing is kept.
"""

from __future__ import annotations

from collections import deque

MOST_SPANS = 1024
"""How many are kept of a symbol: more than the trades that one read from a socket holds. Beyond that the oldest go, and
the checker begins anew with the next."""

Span = tuple[int, int, int]
"""(id of the aggregate trade, the first trade's, the last trade's)."""


class TradeSpans:
    """Those of all symbols of an account."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Span]] = {}

    def watch(self, symbol: str) -> deque[Span]:
        """Those of this symbol are wanted from now on: returns where they come, the oldest first."""
        return self._waiting.setdefault(symbol, deque(maxlen=MOST_SPANS))

    def forget(self, symbol: str) -> None:
        """Those of this symbol aren't wanted any more."""
        self._waiting.pop(symbol, None)

    def put(self, symbol: str, aggregate: int, first: int, last: int) -> None:
        """The reader has read this one."""
        if (waiting := self._waiting.get(symbol)) is not None:
            waiting.append((aggregate, first, last))
