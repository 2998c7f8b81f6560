"""Reads single keys from a terminal. This is the only file that changes the terminal's mode.

Ctrl-C still sends SIGINT. Ctrl-S, which normally stops a terminal's output, is switched off: the next write would
block, and the whole event loop with it.
"""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio

LONGEST_KEY = 64
"""Bytes that are read at once; the sequence of any special key is shorter."""
IFLAG = 0
"""The index of the input flags in the list that termios.tcgetattr returns."""


def has_keys(fd: int) -> bool:
    """True when `fd` is a terminal and this process is in its foreground; a process in the background would be stopped
    (SIGTTOU) when it changes the terminal's mode.
    """
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def single_keys(fd: int) -> Iterator[None]:
    """Inside this context keys can be read one by one, without Enter, and aren't echoed. On leaving, whatever the
    reason, the terminal's mode is as it was before.
    """
    before: list[Any] = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        mode = termios.tcgetattr(fd)
        mode[IFLAG] &= ~termios.IXON
        termios.tcsetattr(fd, termios.TCSANOW, mode)
        yield
    finally:
        _restore(fd, before)


def _restore(fd: int, mode: list[Any]) -> None:
    """Set the terminal's mode. It is no error when the terminal was closed meanwhile."""
    with suppress(termios.error):
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)


async def wait_key(fd: int) -> str:
    """Wait for a key, and return the characters that were read: of one key, several keys, or a special key. Returns ""
    when the terminal was closed.
    """
    await trio.lowlevel.wait_readable(fd)
    try:
        return os.read(fd, LONGEST_KEY).decode(errors="replace")
    except OSError:
        return ""
