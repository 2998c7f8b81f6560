"""How late the event loop is: a timer of one second, and by how much it was missed. Reads trio's clock.

Everything in the process waits as long as this timer does, so it is the first number to look at when data is late.
"""

from __future__ import annotations

from collections import deque

import trio

TICK = 1.0  # seconds
KEPT = 60  # ticks that `worst` looks back over, so that a scrape a minute misses none


class LoopLag:
    """The delays of the last minute. `ticks` and `seconds` are totals since the start."""

    def __init__(self) -> None:
        self.ticks = 0
        self.seconds = 0.0
        self._kept: deque[float] = deque(maxlen=KEPT)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tick until cancelled."""
        task_status.started()
        while True:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self.ticks += 1
            self.seconds += late
            self._kept.append(late)

    def worst(self) -> float:
        """The longest delay of the last minute in seconds; 0 before the first tick."""
        return max(self._kept, default=0.0)
