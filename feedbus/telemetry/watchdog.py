"""Tells systemd and the log about the service's health: READY, STATUS, and signs of life while all parts make progress.

A part is late when it has work to do and misses its own deadline for it; a part that waits with nothing to do is not
late. While any part is late, the watchdog sends no sign of life, and systemd restarts the service when none has come
for WatchdogSec.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import trio

from feedbus.telemetry.systemd import Notifier

STATUS_EVERY = 1.0  # seconds between two updates of the status
CHECK_EVERY = 5.0  # seconds between two checks of the parts when systemd asks for no signs of life

_log = logging.getLogger("feedbus.watchdog")


class HasDeadline(Protocol):
    """A part that knows whether it misses a deadline."""

    def overdue(self, now: float) -> str | None:
        """Describe what misses its deadline at `now`, in seconds of trio's clock; None when nothing does.

        The text must stay the same while the same thing is late, so it holds no durations: each change is logged.
        """


class Watchdog:
    """Checks the parts. `checks` counts all checks, and `withheld` those that found a part late."""

    def __init__(
        self,
        notifier: Notifier,
        parts: Callable[[], Iterable[HasDeadline]],
        status: Callable[[], str],
        first_attempts: Callable[[], Awaitable[object]],
    ) -> None:
        """`parts` is called at each check. `status` is called once a second; it returns a short line for an operator.
        READY is sent when `first_attempts()` has returned; it may be the `wait` of an event."""
        self.checks = 0
        self.withheld = 0
        self._notifier = notifier
        self._parts = parts
        self._status = status
        self._first_attempts = first_attempts
        self._said = ""
        self._late: list[str] = []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. When a supervisor runs it again, it sends READY again, which does no harm."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            task_status.started()
            await self._first_attempts()
            self._said = self._status()
            self._notifier.ready(self._said)
            nursery.start_soon(self._tell_status)

    def overdue(self) -> list[str]:
        """Describe what is late now, one line each. /healthz shows these lines."""
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
            self._log_changes(late)
            self._late = late

    def _log_changes(self, late: list[str]) -> None:
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
