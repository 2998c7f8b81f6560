"""How late MOEX's data is, by the trades that it tells of. Pure.

The times of messages (`timestamp`) may be those at which they were sent, also where what they tell is a quarter of an
hour old, as for guests. The cell TIME of `securities` is the time of the last trade: "09:51:20", Moscow's, in whole
seconds and without a date. An update in which NUMTRADES has grown tells of a new trade, so the data is as late as that
trade is old, less the second that TIME is cut off by. Of several trades the youngest counts. One of more than an hour
ago says nothing: the venue may send rows of the past at the beginning of a session.
"""

from __future__ import annotations

import re

from feedbus.schema.events import OLD_PICTURE
from feedbus.venues.trading_days import DAY, MOSCOW_AHEAD

RESOLUTION = 1_000_000_000
"""Nanoseconds that TIME is cut off to."""

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)", re.ASCII)


class TradeTimes:
    """Takes in the times of new trades of all instruments of a connection."""

    __slots__ = ("_least",)

    def __init__(self) -> None:
        self._least: int | None = None

    def add(self, time: object, sent: int, ts_recv: int) -> None:
        """Take in the cell TIME of a message that tells of a new trade. `sent` is the time of the message, which says
        the date, and `ts_recv` that of its receipt, both in nanoseconds since the epoch. What is no time of a day is
        passed over.
        """
        found = _TIME.fullmatch(time) if type(time) is str else None
        if found is None:
            return
        hours, minutes, seconds = map(int, found.groups())
        of_day = (hours * 3600 + minutes * 60 + seconds) * 1_000_000_000
        # The day on which the trade is nearest to the message: one from before midnight may come behind it.
        since = (sent + MOSCOW_AHEAD - of_day + DAY // 2) % DAY - DAY // 2
        late = ts_recv - sent + since - RESOLUTION
        if late < OLD_PICTURE and (self._least is None or late < self._least):
            self._least = late

    def take(self) -> int | None:
        """By how many nanoseconds the data is late at least, by the trades since the last call; None where there were
        none."""
        least, self._least = self._least, None
        return least
