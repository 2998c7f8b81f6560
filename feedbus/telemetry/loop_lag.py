"""The event loop's lag: how much later than asked a timer of one second wakes up, by trio's clock.

Every task in the process waits at least as long as this timer does, so the lag is the first number to look at when
data is late.
"""

from __future__ import annotations

from collections import deque

import trio

TICK = 1.0  # seconds between two measurements
KEPT = 60  # ticks that `worst` looks back over: one minute, so that a scrape each minute misses no delay


class LoopLag:
    """Measures the lag. `ticks` counts measurements since the start, and `seconds` is the sum of their delays."""

    def __init__(self) -> None:
        self.ticks = 0
        self.seconds = 0.0
        self._kept: deque[float] = deque(maxlen=KEPT)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure until cancelled."""
        task_status.started()
        while True:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self.ticks += 1
            self.seconds += late
            self._kept.append(late)

    def worst(self) -> float:
        """The longest delay of the last minute, in seconds; 0 before the first measurement."""
        return max(self._kept, default=0.0)
