"""Whether the messages of one subscription to MOEX come in order, where they only say what has changed. Pure.

An old message that comes again would undo what newer ones have changed, so it is refused before it changes anything.
One that was overtaken by newer ones can't be applied any more, and is missing. Numbers leave others out, and nobody
promises that they only grow: a smaller one whose time isn't older is sound.
"""

from __future__ import annotations

from collections import deque

from feedbus.errors import BadData
from feedbus.venues.moex.tables import Properties
from feedbus.venues.sessions import OutOfStep

NUMBERS_KEPT = 64
"""How many of the last sequence numbers are known."""


class StaleMessage(BadData):
    """A message that came before, and that newer ones have superseded."""


class MessageOrder:
    """The order of the messages of one subscription."""

    __slots__ = ("_last", "_recent", "_time")

    def __init__(self) -> None:
        self._last = -1
        self._time = 0  # ms since the epoch
        self._recent: deque[int] = deque(maxlen=NUMBERS_KEPT)

    def stepped_back(self, properties: Properties, place: str) -> bool:
        """A message of these properties is about to be applied. Returns whether its number is smaller than the last.
        Raises StaleMessage for one that came before, and OutOfStep for one that was overtaken: the subscription has to
        be made anew."""
        seqnum, time, last = properties.seqnum, properties.timestamp, self._last
        if seqnum < last and time < self._time:
            if seqnum in self._recent:
                raise StaleMessage(place, f"the message of number {seqnum} came again after {last}")
            raise OutOfStep(place, f"the message of number {seqnum} came after {last}, which is newer")
        self._last = seqnum
        self._time = time
        self._recent.append(seqnum)
        return seqnum < last
