"""Whether a book has been crossed for longer than is normal. Pure.

In continuous trading a bid at or above the best ask is filled at once; a picture made between the two may show both. In
an auction books are crossed for minutes. A book that was found to be crossed for too long is found so again as soon as
it comes anew and is still crossed.
"""

from __future__ import annotations

from math import inf

from feedbus.trust.market_phase import MarketPhase

CROSSED_FOR = 5.0
"""Seconds in continuous trading."""

CROSSED_UNKNOWN = 1800.0
"""Seconds where the venue hasn't said whether the instrument is in an auction: no auction takes longer."""


class BookCrossing:
    """The book of one instrument."""

    __slots__ = ("_again", "_since", "_told", "_was", "phase")

    def __init__(self, phase: MarketPhase) -> None:
        self.phase = phase
        self._since: float | None = None  # since when it is crossed
        self._was: bool | None = None  # whether trading was continuous when that was last looked at
        self._told = False  # it was found to be crossed for too long, and hasn't been got anew since
        self._again = False  # it has been got anew since, and hasn't been seen uncrossed yet

    @property
    def due_at(self) -> float:
        """When it will have been crossed for too long (`now` in seconds), unless it changes before; infinity: never."""
        if self._since is None or self._told or self.phase.continuous is False:
            return inf
        if self._again:
            return self._since
        return self._since + (CROSSED_FOR if self.phase.continuous else CROSSED_UNKNOWN)

    def reset(self) -> None:
        """The book is got anew."""
        self._again = self._again or self._told
        self._told = False
        self._since = None

    def uncrossed(self) -> None:
        """A book that isn't crossed has come."""
        self._since = None
        self._again = self._told = False

    def crossed(self, now: float) -> None:
        """A crossed book has come."""
        if self._since is None:
            self._since = now

    def found(self, now: float) -> str:
        """Says how long it has been crossed, once that is too long; "" before that and after it."""
        if self._was is not self.phase.continuous:
            self._was = self.phase.continuous
            if self._since is not None and not self._again:
                self._since = now
        since = self._since
        if since is None or now < self.due_at:
            return ""
        self._told = True
        return "the book is still crossed" if self._again else f"the book has been crossed for {now - since:.1f} s"
