"""Moments that the timers of a process share, so that it wakes up once for many of them. Pure.

A process that sleeps pays mostly for waking up: a ping of one connection by itself costs three times what it costs
beside those of others. What is done again and again, and needn't be exact to the second, is done at whole ticks of the
process's clock. Connections that were opened at different times keep different ticks, so that not all of them speak at
the same moment.
"""

from __future__ import annotations

from math import inf

TICK = 1.0  # seconds
LEAST_PERIOD = 10 * TICK  # what is done more often than this is done exactly when it is due


def shared(due: float, period: float) -> float:
    """Return when to do what is due at `due` (seconds of the process's clock) and again after every `period` seconds.

    That is less than a TICK too early and never too late, so what is promised to happen within a time happens within
    it. A period below LEAST_PERIOD, or without an end, isn't touched.
    """
    return due // TICK * TICK if LEAST_PERIOD <= period < inf else due
