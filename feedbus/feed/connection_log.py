"""Logs the ends and the logins of a feed's connections. It may log, and is told the time.

When a venue goes away, every connection of the feed fails again and again. Such a storm is to be one line a minute with
its numbers, and not thousands of lines. So the first LINES of a minute, which begins with the first one, are written as
they come, each with the name of its connection. When the minute is over and there were more, one line sums all of them
up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from math import inf

LINES = 5  # lines about single connections that a feed writes within a minute
MINUTE = 60.0  # seconds


class ConnectionLog:
    """The log of all connections of one feed. Times are monotonic, in seconds."""

    def __init__(self, log: logging.Logger, standing: Callable[[], str]) -> None:
        """`log` is the feed's. `standing` says how many of its connections are up."""
        self._log = log
        self._standing = standing
        self._ends = inf  # when the present minute is over; infinity while nothing has happened
        self._failures: Counter[str] = Counter()  # in the present minute, by cause
        self._logins = 0  # in the present minute

    def failed(self, log: logging.Logger, cause: str, text: str, delay: float, now: float) -> None:
        """A connection was lost, or an attempt has failed; `log` is the connection's. The next attempt follows after
        `delay` seconds.
        """
        if self._is_shown(now):
            log.warning("%s; next attempt in %.1f s", text, delay)
        self._failures[cause] += 1

    def logged_in(self, log: logging.Logger, now: float) -> None:
        """A connection has logged in; `log` is the connection's."""
        if self._is_shown(now):
            log.info("online")
        self._logins += 1

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minute if it is over at `now`; without `now` it ends here."""
        if now < self._ends:
            return
        failures, logins = self._failures, self._logins
        self._failures, self._logins, self._ends = Counter(), 0, inf
        if failures.total() + logins <= LINES:
            return
        seen = []
        if failures:
            causes = ", ".join(f"{cause} {count:,}" for cause, count in failures.most_common())
            seen.append(f"{failures.total():,} attempts failed or connections were lost ({causes})")
        if logins:
            seen.append(f"{logins:,} connections logged in")
        level = logging.WARNING if failures else logging.INFO
        text = "within a minute %s; the first %d of these have lines of their own; %s"
        self._log.log(level, text, " and ".join(seen), LINES, self._standing())

    def _is_shown(self, now: float) -> bool:
        """Return True if a line about a single connection is to be written now."""
        self.end_minute(now)
        if self._ends == inf:
            self._ends = now + MINUTE
        return self._failures.total() + self._logins < LINES
