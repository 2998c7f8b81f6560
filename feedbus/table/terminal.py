"""Reads single keys from a terminal, and gives it back while the process is stopped. This is the only file that changes
the terminal's mode.

Ctrl-C still sends SIGINT. Ctrl-S, which normally stops a terminal's output, is switched off: the next write would
block, and the whole event loop with it.
"""

from __future__ import annotations

import os
import signal
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
WHOLE_SCREEN = b"\x1b[?1049h\x1b[?25l"
"""The opposite."""


def as_it_is() -> Callable[[], None]:
    """Note the mode of the terminal at standard input, and return a function that sets it again and leaves the whole
    screen that the table fills. The function is for a process that is ended too suddenly for `foreground` to do it. It
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


class Foreground:
    """Whether this process has its terminal. It doesn't while it is stopped (Ctrl-Z), or goes on in the background.

    `keys` and `screen` are the descriptors of the terminals that keys are read from and that the table fills, None
    where there is none. The terminal is handed back as it was before the process stops, and is taken again when it goes
    on in the foreground; then `taken` is called, perhaps by a handler of signals.
    """

    def __init__(self, keys: int | None, screen: int | None, taken: Callable[[], None]) -> None:
        self._keys = keys
        self._screen = screen
        self._taken = taken
        self._before: list[Any] = [] if keys is None else termios.tcgetattr(keys)
        self._away = False
        if keys is not None:
            _set_single(keys)

    def here(self) -> bool:
        """Whether the terminal may be written to and its keys may be read. Takes it again if it was handed back."""
        if self._is_anothers():
            self._away = True
        elif self._away:
            self._away = False
            if self._keys is not None:
                _set_single(self._keys)
            self._write(WHOLE_SCREEN)
            self._taken()
        return not self._away

    def hand_back(self) -> None:
        """Set the terminal as it was before, unless that has been done already, or another process has it."""
        if not self._away and not self._is_anothers():
            self._away = True
            if self._keys is not None:
                _restore(self._keys, self._before)
            self._write(NORMAL_SCREEN)

    def stop(self, _number: int, _frame: object) -> None:
        """Handle SIGTSTP: stop, as without a handler, but with the terminal handed back."""
        self.hand_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        self.go_on()

    def go_on(self, _number: int = 0, _frame: object = None) -> None:
        """Handle SIGCONT. It comes also after SIGSTOP, before which nothing can be handed back."""
        signal.signal(signal.SIGTSTP, self.stop)
        self._away = True
        self.here()

    def _is_anothers(self) -> bool:
        """True when the terminal is ours to control, but another process group is in its foreground."""
        fd = self._screen if self._keys is None else self._keys
        try:
            return fd is not None and os.tcgetpgrp(fd) != os.getpgrp()
        except OSError:
            return False  # it doesn't control us, so that no shell takes it and gives it back

    def _write(self, sequence: bytes) -> None:
        """Write past the buffered stream, which may be in use while a handler of signals runs."""
        if self._screen is not None:
            with suppress(OSError):
                os.write(self._screen, sequence)


@contextmanager
def foreground(keys: int | None, screen: int | None, taken: Callable[[], None]) -> Iterator[Foreground]:
    """Inside this context keys can be read one by one, without Enter, and aren't echoed, and Ctrl-Z and `fg` work. On
    leaving, whatever the reason, the terminal is as it was before. It is for the main thread, which handles signals.
    """
    made = Foreground(keys, screen, taken)
    before = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    try:
        if before[signal.SIGTSTP] != signal.SIG_IGN:  # as a shell without job control has it
            signal.signal(signal.SIGTSTP, made.stop)
            signal.signal(signal.SIGCONT, made.go_on)
        yield made
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        made.hand_back()


def _set_single(fd: int) -> None:
    with suppress(termios.error):
        tty.setcbreak(fd)
        mode = termios.tcgetattr(fd)
        mode[IFLAG] &= ~termios.IXON
        termios.tcsetattr(fd, termios.TCSANOW, mode)


def _restore(fd: int, mode: list[Any]) -> None:
    """Set the terminal's mode. It is no error when the terminal was closed meanwhile."""
    with suppress(termios.error):
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)


async def wait_key(fd: int, encoding: str = "utf-8") -> str:
    """Wait for a key, and return the characters that were read: of one key, several keys, or a special key. Returns ""
    when the terminal was closed.
    """
    await trio.lowlevel.wait_readable(fd)
    try:
        return os.read(fd, LONGEST_KEY).decode(encoding, errors="replace")
    except OSError:
        return ""
