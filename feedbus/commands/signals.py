"""Ending by a signal: SIGINT (Ctrl-C), SIGTERM (systemd) and SIGHUP (a closed terminal) all mean the same.

The first signal asks a command to end in good order. Who sends a second one doesn't want to wait for that, perhaps
because something hangs, so the second one ends the process at once. This holds from the first moment of the process to
its last. While nothing has been started that would have to be put in order, the first signal ends the process as well.
SIGQUIT (Ctrl-\\) ends it at once, as a second signal does, and the terminal is put in order first.

This module imports nothing that takes long, because a signal may come while the rest is being imported.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import trio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HANDLED = (*STOP_SIGNALS, signal.SIGQUIT)
SAME_WISH = 0.2
"""Seconds within which several signals count as one. timeout(1) sends SIGTERM twice, a terminal that is closed sends
SIGHUP once itself and once through the shell, and nobody presses Ctrl-C twice within this time out of impatience."""

T = TypeVar("T")


class StopHandler:
    """Handles the stop signals of this process.

    `ask` is called by the first signal, in the midst of whatever the process is doing, and asks it to end. `cleanups`
    are called just before the process is ended at once; they may only use what can't wait or fail for long.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], None] = _leave
        self.cleanups: list[Callable[[], None]] = []
        self._asked_at: float | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked_at is not None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal, as Python calls a handler."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self.ask()
        elif now - self._asked_at > SAME_WISH:
            self.end_at_once(number)

    def install(self) -> None:
        """Handle the stop signals from now on. An ignored SIGHUP stays ignored, as nohup(1) wants it."""
        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)
        signal.signal(signal.SIGQUIT, self.end_at_once)

    def end_at_once(self, number: int, _frame: FrameType | None = None) -> None:
        """End the process by the signal itself, so that whoever started it sees why it ended."""
        for cleanup in reversed(self.cleanups):
            with suppress(Exception):
                cleanup()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def begin() -> None:
    """Handle the stop signals from now on. This is the first thing that a process of feedbus does."""
    StopHandler().install()


def run_until_stopped(command: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a command in trio, which learns by `stop_signal` that it has to end, and return its result.

    Before and after the command's own handling the first signal does nothing: before it is only noted, and afterwards
    the process prints its final words and ends anyway. trio's time is that of a RunningClock.
    """
    import trio

    from feedbus.runtime.running_clock import RunningClock

    handler = _handler() or StopHandler()
    handler.install()  # trio puts a handler of its own in place of Python's
    handler.ask = _note
    return trio.run(command, *arguments, clock=RunningClock())


@contextmanager
def stop_signal() -> Iterator[trio.Event]:
    """An event that is set by the first stop signal, also by one that came since `run_until_stopped` was called. Enter
    this context before anything else is started.
    """
    import trio

    token = trio.lowlevel.current_trio_token()
    stop = trio.Event()
    # A signal handler may run between any two instructions; this is the one way from there into trio.
    with _asked_by(lambda: token.run_sync_soon(stop.set)) as handler:
        if handler.asked:
            stop.set()
        yield stop


@contextmanager
def interrupted_by_signal() -> Iterator[None]:
    """Inside this context the first stop signal raises KeyboardInterrupt. It is for commands without trio."""
    with _asked_by(_interrupt):
        yield


@contextmanager
def before_sudden_end(cleanup: Callable[[], None]) -> Iterator[None]:
    """Inside this context `cleanup` is called when a second signal ends the process at once, while whatever hangs still
    does. It must not wait. What it raises is passed over.
    """
    handler = _handler()
    if handler is None:
        yield
        return
    handler.cleanups.append(cleanup)
    try:
        yield
    finally:
        handler.cleanups.remove(cleanup)


@contextmanager
def _asked_by(ask: Callable[[], None]) -> Iterator[StopHandler]:
    """Inside this context the first signal calls `ask`. On leaving, everything is as it was before."""
    found = _handler()
    handler = found or StopHandler()
    before = handler.ask, {number: signal.getsignal(number) for number in HANDLED}
    handler.ask = ask
    handler.install()
    try:
        yield handler
    finally:
        handler.ask = before[0]
        for number, previous in before[1].items():
            signal.signal(number, previous)


def _handler() -> StopHandler | None:
    """The handler of this process; None before there is one."""
    found = signal.getsignal(signal.SIGTERM)
    return found if isinstance(found, StopHandler) else None


def _leave() -> None:
    """End the process: nothing has been started yet. An exception could get lost in the module that is being imported
    just now."""
    os._exit(0)


def _note() -> None:
    """Do nothing but what the handler does: it remembers that a signal has come."""


def _interrupt() -> None:
    raise KeyboardInterrupt
