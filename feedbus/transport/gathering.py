"""Decides whether it pays to wait for more messages before the next read. Pure: time is an argument.

Waking up costs the same for one message as for ten. So where many come, waiting for some of them saves CPU time. Where
few come, there is nothing to share: waiting would only cost time, and the timers for it cost more than they save.
"""

from __future__ import annotations

PAYS_ABOVE = 1.2
"""Messages that must come in the time that we would wait. With one, waiting costs a little more than it saves, and with
1.25 it saves, over one connection (docs/benchmarks.md). The system's timers round up, so a round of a millisecond
gathers about half as much again."""
GOES_ON_ABOVE = 1.0
"""Messages that must come in the time that we do wait, so that we go on. It is less, because changing between the two
costs something for each connection."""
KEPT = 0.9
"""How much of its weight what came earlier keeps with each `note`: about ten of them are remembered."""
LONGEST = 10.0
"""A pause counts as no more than this many waits, so that a burst behind it is noticed within a few messages."""


class Gathering:
    """A running estimate of how many messages come during one wait."""

    def __init__(self, wait: float) -> None:
        """`wait` is how long we would wait, in seconds."""
        self._wait = wait
        # What has come lately, and in which time: sums in which what is older weighs less. Their ratio is the estimate.
        self._came = 0.0
        self._in = LONGEST * wait

    def note(self, came: int, seconds: float) -> None:
        """Note that so many messages came in so many seconds.

        Messages that came in one piece count as one while we don't wait, since they had nothing to wait for.
        """
        self._came = self._came * KEPT + came
        self._in = self._in * KEPT + min(seconds, LONGEST * self._wait)

    def pays(self) -> bool:
        """Return whether to begin to wait, by what has come lately."""
        return self._came * self._wait > self._in * PAYS_ABOVE

    def still_pays(self) -> bool:
        """Return whether to go on waiting, by what has come lately."""
        return self._came * self._wait > self._in * GOES_ON_ABOVE
