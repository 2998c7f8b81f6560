"""The event loop's lag: how much later than asked a timer of one second wakes up.

Every task in the process waits at least as long as this timer does, so the lag is the first number to look at when
data is late. A lag of several seconds means that the whole process stood still. trio's clock leaves such a pause out,
so that nobody is judged by it; here it counts, and the log says it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import trio

TICK = 1.0  # seconds between two measurements
KEPT = 60  # ticks that `worst` looks back over: one minute, so that a scrape each minute misses no delay

log = logging.getLogger("feedbus.loop")


class LoopLag:
    """Measures the lag. `ticks` counts measurements since the start, and `seconds` is the sum of their delays.

    `pauses` counts how often the process stood still, and `paused` is for how many seconds in all.
    """

    def __init__(
        self, stood_still: Callable[[], float] = lambda: 0.0, each_second: Callable[[], object] = lambda: None
    ) -> None:
        """`stood_still` returns for how many seconds, left out by trio's clock, the process has stood still so far.
        `each_second` is called at each tick: it is for what has to be looked at about once a second, such as whether
        the machine's clock was set.
        """
        self.pauses = 0
        self.paused = 0.0
        self._stood_still = stood_still
        self._each_second = each_second
        self.ticks = 0
        self.seconds = 0.0
        self._kept: deque[float] = deque(maxlen=KEPT)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure until cancelled."""
        task_status.started()
        while True:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            late = trio.current_time() - due + self._new_pause()
            self.ticks += 1
            self.seconds += late
            self._kept.append(late)
            self._each_second()

    def _new_pause(self) -> float:
        """Note a pause since the last tick, and return its length in seconds."""
        pause = self._stood_still() - self.paused
        if pause:
            self.pauses += 1
            self.paused += pause
            log.warning(
                "this process stood still for %.1f s, as if stopped or suspended: no deadline counts that time", pause
            )
        return pause

    def worst(self) -> float:
        """The longest delay of the last minute, in seconds; 0 before the first measurement."""
        return max(self._kept, default=0.0)
