"""A timer that is a file descriptor, so that whoever waits for messages also wakes up at its time. May touch files.

Python has timerfd_create(2) from 3.13 on only, so it is called through ctypes here.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # TFD_CLOEXEC and TFD_NONBLOCK are the same numbers
_LEAST_NS = 1_000_000  # a timer of 0 would be off


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _ItimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


_libc = ctypes.CDLL(None, use_errno=True)


def _spec(seconds: float) -> _TimeSpec:
    return _TimeSpec(*divmod(max(_LEAST_NS, int(seconds * 1e9)), 10**9))


class TimerFd:
    """Its descriptor `fd` becomes readable when the timer goes off. It is off at first."""

    def __init__(self) -> None:
        """Raises OSError when the system has no descriptor left."""
        self.fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._every = 0.0  # seconds from one time to the next while it goes off again and again

    def every(self, seconds: float) -> None:
        """Go off again and again, each time after so many seconds. If it does that already, nothing is changed."""
        if self._every != seconds:
            self._every = seconds
            self._set(_spec(seconds), _spec(seconds))

    def once(self, seconds: float) -> None:
        """Go off once, so many seconds from now, and forget what was set before."""
        self._every = 0.0
        self._set(_TimeSpec(0, 0), _spec(seconds))

    def stop(self) -> None:
        """Don't go off again and again any more."""
        if self._every:
            self._every = 0.0
            self._set(_TimeSpec(0, 0), _TimeSpec(0, 0))

    def clear(self) -> None:
        """Make the descriptor unreadable until the timer goes off again."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def _set(self, interval: _TimeSpec, value: _TimeSpec) -> None:
        _libc.timerfd_settime(self.fd, 0, ctypes.byref(_ItimerSpec(interval, value)), None)
