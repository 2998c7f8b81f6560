"""Logs the subscriptions of a feed whose data wasn't right and that are got anew. It may log, and is told the time.

A venue that loses messages may make hundreds of books wrong at once. So of each minute, which begins with its first
line, the first LINES are written as they come, and one line sums up the others, by their reasons. So it is with those
that are right again after a long time.
"""

from __future__ import annotations

import logging
from collections import Counter
from math import inf

from feedbus.schema.events import TRUST_REASONS
from feedbus.text import time_span

LINES = 5
MINUTE = 60.0  # seconds
MOST_REASONS = 10  # that are told apart within a minute
OTHER = "for other reasons"


class LossLog:
    """The log of one feed. Times are monotonic, in seconds."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._ends = inf  # when the present minute is over; infinity while none has begun
        self._shown = self._shown_right = 0
        self._more_right = 0
        self._more: Counter[str] = Counter()  # those without a line of their own, by reason

    def lost(self, what: str, reason: str, now: float) -> None:
        """What a subscription has brought isn't right, for this reason."""
        self._begin_minute(now)
        if self._shown < LINES:
            self._shown += 1
            self._log.warning("%s isn't right and is got anew: %s", what, _words(reason))
        else:
            self._more[reason if reason in self._more or len(self._more) < MOST_REASONS else OTHER] += 1

    def right(self, what: str, after_s: float, now: float) -> None:
        """It is right again, after so many seconds."""
        self._begin_minute(now)
        if self._shown_right < LINES:
            self._shown_right += 1
            self._log.warning("%s is right again, after %s", what, time_span(after_s))
        else:
            self._more_right += 1

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minute if it is over at `now`; without `now` it ends here."""
        if now < self._ends or self._ends == inf:
            return
        more, self._more, self._shown, self._ends = self._more, Counter(), 0, inf
        right, self._more_right, self._shown_right = self._more_right, 0, 0
        if more:
            reasons = "; ".join(f"{_words(reason)}: {count:,}" for reason, count in more.most_common())
            self._log.warning("%s more were got anew within a minute (%s)", f"{more.total():,}", reasons)
        if right:
            self._log.warning("%s more are right again, after a long time", f"{right:,}")

    def _begin_minute(self, now: float) -> None:
        self.end_minute(now)
        if self._ends == inf:
            self._ends = now + MINUTE


def _words(reason: str) -> str:
    return TRUST_REASONS.get(reason, reason)
