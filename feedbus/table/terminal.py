"""Reads single keys from a terminal. This is the only file that changes the terminal's mode.

Ctrl-C still sends SIGINT. Ctrl-S, which normally stops a terminal's output, is switched off: the next write would
block, and the whole event loop with it.
"""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio

LONGEST_KEY = 64
"""Bytes that are read at once; the sequence of any special key is shorter."""
IFLAG = 0
"""The index of the input flags in the list that termios.tcgetattr returns."""

NORMAL_SCREEN = b"\x1b[?1049l\x1b[?25h"
"""Leaves the alternate screen and shows the cursor (xterm's control sequences)."""


def as_it_is() -> Callable[[], None]:
    """Note the mode of the terminal at standard input, and return a function that sets it again and leaves the whole
    screen that the table fills. The function is for a process that is ended too suddenly for `single_keys` to do it. It
    does nothing where there is no terminal.
    """
    modes: list[tuple[int, list[Any]]] = []
    with suppress(AttributeError, OSError, ValueError, termios.error):
        fd = sys.stdin.fileno()
        modes.append((fd, termios.tcgetattr(fd)))

    def restore() -> None:
        for fd, mode in modes:
            with suppress(termios.error):
                termios.tcsetattr(fd, termios.TCSANOW, mode)
        with suppress(AttributeError, OSError, ValueError):
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), NORMAL_SCREEN)

    return restore


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
