"""The clock of the simulators: the wall clock as it was at the start, and from then on a clock that never jumps.

Simulated venues measure by it how long a token lives and how many messages come within a second. Setting the wall clock
of the machine must not expire a token or make a flood of a few messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class SimClock:
    """Tells the time in nanoseconds since the epoch."""

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._offset = wall_ns() - monotonic_ns()

    def __call__(self) -> int:
        """Returns the time now."""
        return self._offset + self._monotonic_ns()


now_ns = SimClock()
"""The one clock of all simulators in this process."""
