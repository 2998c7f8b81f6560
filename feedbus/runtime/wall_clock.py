"""Watches whether this machine's wall clock is set, and logs each time that it is. May read the clocks.

Nobody waits for a step: whoever needs to know, because a time differs from what it should be, calls `check`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from feedbus.trust.local_clock import LocalClock

AT_ONCE = 1_000_000
"""Nanoseconds between two readings of the same clock, within which the other one has to be read. Where other processes
come between, it is tried again."""
TRIES = 5

log = logging.getLogger("feedbus.clock")


def steady_ns() -> int:
    """The time since the machine was started, in nanoseconds. It is never set, and goes on during suspensions."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class WallClock:
    """The clock of this process. `steps` counts how often it was set, `stepped` is by how many nanoseconds in all,
    forward being positive."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = steady_ns) -> None:
        """`wall_ns` is the clock that may be set, and `steady_ns` one of the same rate that can't be."""
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._local = LocalClock()
        self.check()

    @property
    def steps(self) -> int:
        """How often the clock was set."""
        return self._local.steps

    @property
    def stepped(self) -> int:
        """By how many nanoseconds it was set in all."""
        return self._local.stepped

    def now(self) -> float:
        """Seconds of the clock that can't be set."""
        return self._steady_ns() / 1e9

    def check(self) -> int:
        """Look whether the clock was set. Returns `stepped`."""
        for _ in range(TRIES):
            before, wall, after = self._steady_ns(), self._wall_ns(), self._steady_ns()
            if after - before < AT_ONCE:
                step = self._local.read(wall, before)
                if step:
                    way = "forward" if step > 0 else "back"
                    log.warning(
                        "this machine's clock was set %s by %.3f s: times of receipt before and after differ by that",
                        way,
                        abs(step) / 1e9,
                    )
                break
        return self._local.stepped
