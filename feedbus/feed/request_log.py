"""Logs the requests of a feed's connections that the venue didn't answer. It may log, and is told the time.

A firewall that lets the WebSocket through and not the venue's HTTP service leaves every book without its snapshot, and
hundreds of books ask again and again. So the first failure is written as it comes, with its reason, and of the minute
that it begins one line says how many more there were, and whether the last request was answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

MINUTE = 60.0  # seconds


class RequestLog:
    """The log of one feed. Times are monotonic, in seconds."""

    def __init__(self, log: logging.Logger, clean: Callable[[str], str]) -> None:
        """`log` is the feed's. `clean` takes our secrets out of a text."""
        self._log = log
        self._clean = clean
        self._ends = inf  # when the present minute is over; infinity while none has begun
        self._more = 0  # failures in the present minute after the first one
        self._last_text = ""
        self._failing = False  # whether the last request failed, as far as the log says

    def failed(self, about: str, text: str, now: float) -> None:
        """A request about an instrument failed, and will be made again."""
        self.end_minute(now)
        self._last_text = f"{about}: {text}" if about else text
        self._failing = True
        if self._ends != inf:
            self._more += 1
            return
        self._ends = now + MINUTE
        self._log.warning("a request to the venue failed, and will be made again: %s", self._clean(self._last_text))

    def answered(self) -> None:
        """A request was answered."""
        self._failing = False

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minute if it is over at `now`; without `now` it ends here."""
        if now < self._ends or self._ends == inf:
            return
        more, self._more, self._ends = self._more, 0, inf
        if self._failing:
            if more:
                last = self._clean(self._last_text)
                self._log.warning(
                    "%s more requests to the venue failed within a minute, the last one: %s", f"{more:,}", last
                )
        else:
            self._log.info("the venue answers requests again; %s had failed within a minute", f"{more + 1:,}")
