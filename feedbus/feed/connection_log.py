"""Logs the ends and the logins of a feed's connections. It may log, and is told the time.

When a venue goes away, every connection of the feed fails again and again. Such a storm is to be one line a minute with
its numbers, and not thousands of lines. So of each minute, which begins with its first line, the first LINES failures
and the first LINES logins are written as they come, each with the name of its connection, and so are failures whose
text is new. When the minute is over and there were more, one line sums all of them up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from math import inf

LINES = 5  # failures, and as many logins, about which a feed writes single lines within a minute
MOST_LINES = 10  # failures with single lines within a minute, where their texts differ
MINUTE = 60.0  # seconds


class ConnectionLog:
    """The log of all connections of one feed. Times are monotonic, in seconds."""

    def __init__(self, log: logging.Logger, standing: Callable[[], str]) -> None:
        """`log` is the feed's. `standing` says how many of its connections are up."""
        self._log = log
        self._standing = standing
        self._ends = inf  # when the present minute is over; infinity while nothing has happened
        self._failures: Counter[str] = Counter()  # in the present minute, by cause
        self._texts: list[str] = []  # those of the failures that had lines of their own in the present minute
        self._last_text = ""
        self._logins = 0  # in the present minute

    def failed(self, log: logging.Logger, cause: str, text: str, delay: float, now: float) -> None:
        """A connection was lost, or an attempt has failed; `log` is the connection's. The next attempt follows after
        `delay` seconds.
        """
        self._begin_minute(now)
        most = LINES if text in self._texts else MOST_LINES
        if len(self._texts) < most:
            self._texts.append(text)
            log.warning("%s; next attempt in %.1f s", text, delay)
        self._failures[cause] += 1
        self._last_text = text

    def logged_in(self, log: logging.Logger, now: float) -> None:
        """A connection has logged in; `log` is the connection's."""
        self._begin_minute(now)
        if self._logins < LINES:
            log.info("online")
        self._logins += 1

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minute if it is over at `now`; without `now` it ends here."""
        if now < self._ends:
            return
        failures, logins, shown = self._failures, self._logins, len(self._texts)
        self._failures, self._logins, self._texts, self._ends = Counter(), 0, [], inf
        if failures.total() <= shown and logins <= LINES:
            return
        seen = []
        if failures:
            causes = ", ".join(f"{cause} {count:,}" for cause, count in failures.most_common())
            seen.append(
                f"{failures.total():,} attempts failed or connections were lost ({causes}), the last one because of "
                f"{self._last_text}"
            )
        if logins:
            seen.append(f"{logins:,} connections logged in")
        level = logging.WARNING if failures else logging.INFO
        self._log.log(level, "within a minute %s; %s", "; ".join(seen), self._standing())

    def _begin_minute(self, now: float) -> None:
        self.end_minute(now)
        if self._ends == inf:
            self._ends = now + MINUTE
