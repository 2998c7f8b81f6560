"""Logs the pauses that a venue asks for, once when one begins and once when it is over. May touch the clock.

A venue that is asked too much answers every request that is under way in the same way. So during a pause only what
makes it much longer, such as a ban after a warning, has a line of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from feedbus.errors import RateLimited
from feedbus.feed.budgets import SPREAD, Hold


class PauseLog:
    """The log of one feed's pauses."""

    def __init__(self, log: logging.Logger, hold: Hold, clean: Callable[[str], str]) -> None:
        """`log` and `hold` are the feed's. `clean` takes our secrets out of a text."""
        self._log = log
        self._hold = hold
        self._clean = clean
        self._begun = trio.Event()  # set while there is a pause

    def asked(self, error: RateLimited, before: float, wait: float) -> None:
        """The venue asked for a pause: of what was asked for earlier `before` seconds were left, and now there are
        `wait`."""
        if not before or wait > 2 * before + SPREAD:
            what = "a longer pause" if before else "a pause"
            reason = self._clean(str(error))
            self._log.warning(
                "the venue asked for %s: %s; nobody of this feed asks it anything for %.1f s", what, reason, wait
            )
        self._begun.set()

    async def run(self) -> None:
        """Say of each pause when it is over, until cancelled."""
        while True:
            await self._begun.wait()
            await self._hold.wait()
            self._begun = trio.Event()
            self._log.info("the pause that the venue asked for is over")
