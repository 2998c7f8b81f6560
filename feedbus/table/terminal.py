"""Single keys from a terminal. The one place that changes the terminal's mode, and puts it back.

Ctrl-C stays what it is: a SIGINT. Ctrl-S doesn't stop the output meanwhile: it would stop the whole event loop.
"""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

LONGEST_KEY = 64
IFLAG = 0


def has_keys(fd: int) -> bool:
    """True when keys can be read: a terminal, and we are in its foreground (else changing its mode would stop us)."""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def single_keys(fd: int) -> Iterator[None]:
    """Keys arrive one by one and unechoed inside this context; the old mode is back after it, however it ends."""
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
    """A terminal that is gone has no mode to put back."""
    try:
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)
    except termios.error:
        return


async def wait_key(fd: int) -> str:
    """What was typed: a key, several, or the sequence of a special key; "" when the terminal is gone."""
    await trio.lowlevel.wait_readable(fd)
    try:
        return os.read(fd, LONGEST_KEY).decode(errors="replace")
    except OSError:
        return ""
