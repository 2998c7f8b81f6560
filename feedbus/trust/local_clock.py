"""Notices when this machine's wall clock is set. Pure: the readings of the clocks are arguments.

A wall clock is set by an operator, by NTP when it is far off, or by a virtual machine that was paused. Beside it there
is a clock that can't be set, and between two settings the two move at the same rate (Linux's CLOCK_BOOTTIME and
CLOCK_REALTIME do, also while NTP lets them run faster or slower, and while the machine is suspended). So what the wall
clock shows more or less than this says by how much it was set.
"""

from __future__ import annotations

STEP = 10_000_000
"""Nanoseconds. The two clocks are read one after the other, so they never agree quite. Smaller steps than this count
once they have added up to it."""


class LocalClock:
    """Is given readings of both clocks in nanoseconds, in the order of time. `steps` counts how often the wall clock
    was set, and `stepped` is by how much in all since the first reading: forward is positive."""

    __slots__ = ("_apart", "stepped", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.stepped = 0
        self._apart: int | None = None  # wall clock minus steady clock, since the last step

    def read(self, wall_ns: int, steady_ns: int) -> int:
        """Take in a reading. Returns by how many nanoseconds the wall clock was set since the last one, 0 if it wasn't.

        What is returned is exact but for the time that passed between the two readings of a pair.
        """
        apart = wall_ns - steady_ns
        if self._apart is None:
            self._apart = apart
        step = apart - self._apart
        if -STEP < step < STEP:
            return 0
        self._apart = apart
        self.steps += 1
        self.stepped += step
        return step
