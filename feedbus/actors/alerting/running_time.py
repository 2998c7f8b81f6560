"""A clock that only runs while this process does. Pure: it is told trio's time, and reads no clock itself.

Rules judge what doesn't come: data, or the states of connections. When the process itself stood still (SIGSTOP, a
paused virtual machine, a swapped-out host), nothing could come, and that time says nothing about the venue.
"""

from __future__ import annotations

LONGEST_STEP = 2.0
"""Seconds. The clock is read at least every second as long as the process runs. When it wasn't read for longer than
this, the process stood still."""


class RunningTime:
    """Nanoseconds since the first reading, without the process's own pauses."""

    def __init__(self) -> None:
        self.stood_still = 0.0
        """Seconds of all pauses so far."""
        self._last: float | None = None
        self._elapsed = 0.0

    def read(self, now: float) -> int:
        """The time at `now`, which is trio's, in seconds. It goes forward by LONGEST_STEP at most since the last
        reading."""
        step = 0.0 if self._last is None else now - self._last
        self._last = now
        if step > LONGEST_STEP:
            self.stood_still += step - LONGEST_STEP
            step = LONGEST_STEP
        self._elapsed += step
        return round(self._elapsed * 1e9)
