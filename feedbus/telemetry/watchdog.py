"""The service's health, told to systemd and to the log: READY, STATUS, and signs of life while every part makes
progress. Knows trio, the log and a Notifier.

A part is late when it has something to do and misses its own deadline for it; to wait with nothing to do is progress.
While any part is late the sign of life is withheld, and systemd restarts the service when that goes on for WatchdogSec.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import trio

from feedbus.telemetry.systemd import Notifier

STATUS_EVERY = 1.0  # seconds between two looks at the status
CHECK_EVERY = 5.0  # seconds between two looks at the parts when systemd asks for no signs of life

_log = logging.getLogger("feedbus.watchdog")


class HasDeadline(Protocol):
    """A part with deadlines."""

    def overdue(self, now: float) -> str | None:
        """In words: what misses its deadline at `now` (trio's clock), None when nothing does.

        The words stay the same while the same thing is late (no durations): each change of them is logged."""


class Watchdog:
    """Looks after the parts. `checks` and `withheld` count looks, in all and with somebody late."""

    def __init__(
        self,
        notifier: Notifier,
        parts: Callable[[], Iterable[HasDeadline]],
        status: Callable[[], str],
        first_attempts: Callable[[], Awaitable[object]],
    ) -> None:
        """`parts` is asked at each look, `status` once a second: a short line for an operator. READY goes when
        `first_attempts()` (an event's `wait`, say) has come back."""
        self.checks = 0
        self.withheld = 0
        self._notifier = notifier
        self._parts = parts
        self._status = status
        self._first_attempts = first_attempts
        self._said = ""
        self._late: list[str] = []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Begun anew it says READY anew, which does no harm."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            task_status.started()
            await self._first_attempts()
            self._said = self._status()
            self._notifier.ready(self._said)
            nursery.start_soon(self._tell_status)

    def overdue(self) -> list[str]:
        """What is late now, a line each; what /healthz says."""
        now = trio.current_time()
        return [text for part in self._parts() if (text := part.overdue(now)) is not None]

    async def _watch(self) -> None:
        period = CHECK_EVERY if self._notifier.watchdog is None else self._notifier.watchdog / 2
        while True:
            self._check()
            await trio.sleep(period)

    def _check(self) -> None:
        late = self.overdue()
        self.checks += 1
        if late:
            self.withheld += 1
        elif self._notifier.watchdog is not None:
            self._notifier.alive()
        if late != self._late:
            self._say(late)
            self._late = late

    def _say(self, late: list[str]) -> None:
        for text in late:
            if text not in self._late:
                _log.error("overdue: %s", text)
        if not late:
            _log.info("nothing is overdue any more")

    async def _tell_status(self) -> None:
        while True:
            await trio.sleep(STATUS_EVERY)
            text = self._status()
            if text != self._said:
                self._said = text
                self._notifier.status(text)
