"""A clock for trio that only runs while this process does.

Deadlines judge others: a pong that doesn't come, a request that isn't answered, a connection that stays down. When the
process itself stood still (SIGSTOP, a paused virtual machine, a suspended laptop, a swapped-out host), what the others
said meanwhile waits in the sockets, and nobody has missed anything. So the time for which the process stood still
doesn't count: no deadline passes because of it, and what has come is read before anybody is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

LONGEST_STEP = 2.0
"""Seconds. A running process reads the clock whenever trio has run its tasks or wakes up. When that happens this much
later than it should, the process stood still. Shorter delays count as time, as those of a busy event loop do."""
CATCH_UP = 1.0
"""Seconds before the next deadline at which the clock goes on after a pause, so that what has come is read first."""


def suspended() -> float:
    """Return for how many seconds the machine has been suspended since its start; CLOCK_MONOTONIC leaves them out."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class RunningClock(trio.abc.Clock):
    """trio's time without the process's own pauses, in seconds from 0. `stood_still` is the sum of those pauses that
    CLOCK_MONOTONIC counts, which are all but the suspensions of the machine.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.stood_still = 0.0
        self._now = now
        self._offset = now()
        self._asleep = 0.0  # how long trio means to sleep before it reads the clock again
        self._late_at = self._offset + LONGEST_STEP  # a reading after this time comes after a pause
        self._suspended_before = suspended()

    def start_clock(self) -> None:
        """Do nothing: the clock has run since it was made."""

    def current_time(self) -> float:
        """Return the time. After a pause it is at most what trio meant to sleep later than before, less CATCH_UP."""
        now = self._now()  # trio calls this many times for each frame, so it is short
        if now > self._late_at:
            self._leave_out(now)
        self._late_at = now + LONGEST_STEP
        self._asleep = 0.0
        return now - self._offset

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the seconds for which trio may sleep until this deadline. trio calls it just before it sleeps."""
        asleep = max(0.0, deadline - self.current_time())
        self._asleep = asleep
        self._late_at += asleep
        return asleep

    def all_pauses(self) -> float:
        """Return for how many seconds the process has stood still so far, while the machine was suspended included."""
        # The two clocks behind it are read one after the other, so a difference of microseconds is none.
        suspension = suspended() - self._suspended_before
        return self.stood_still + (suspension if suspension > LONGEST_STEP else 0.0)

    def _leave_out(self, now: float) -> None:
        """Leave out the pause that ends now."""
        last = self._late_at - LONGEST_STEP - self._asleep
        pause = now - last - max(0.0, self._asleep - CATCH_UP)
        self.stood_still += pause
        self._offset += pause


def stood_still() -> float:
    """Return for how many seconds this process has stood still so far; 0 when trio runs by another clock."""
    clock = trio.lowlevel.current_clock()
    return clock.all_pauses() if isinstance(clock, RunningClock) else 0.0
