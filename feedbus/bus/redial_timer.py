"""A timer that is a file descriptor, so that whoever waits for messages also wakes up to dial again. May touch files.

Python has timerfd_create(2) from 3.13 on only, so it is called through ctypes here.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # TFD_CLOEXEC and TFD_NONBLOCK are the same numbers


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _ItimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


_libc = ctypes.CDLL(None, use_errno=True)


class RedialTimer:
    """Its descriptor `fd` is readable again and again while the timer is on."""

    def __init__(self, every_ms: int) -> None:
        """It goes off every `every_ms` milliseconds. Raises OSError when the system has no descriptor left."""
        self.fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._every = _TimeSpec(every_ms // 1000, every_ms % 1000 * 1_000_000)
        self._on = False

    def switch(self, on: bool) -> None:
        """Switch it on or off. Switching it to what it is does nothing."""
        if on != self._on:
            self._on = on
            every = self._every if on else _TimeSpec(0, 0)
            _libc.timerfd_settime(self.fd, 0, ctypes.byref(_ItimerSpec(every, every)), None)

    def clear(self) -> None:
        """Make the descriptor unreadable until the timer goes off again."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
