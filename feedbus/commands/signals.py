"""Stopping by a signal: SIGINT (Ctrl-C) and SIGTERM (systemd) both ask a command to end in good order."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

T = TypeVar("T")


def run_until_stopped(command: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a command in trio that handles the stop signals itself, by `stop_signal`, and return its result.

    Outside of the command's own handling both signals are ignored, and they stay ignored afterwards: the process only
    prints its final words then, and a second Ctrl-C must not cut those off.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    return trio.run(command, *arguments)


@contextmanager
def stop_signal() -> Iterator[trio.Event]:
    """An event that is set by the first SIGINT or SIGTERM. Enter this context before anything else is started.

    Further signals are ignored until the context is left, so that none can interrupt the shutdown that the first one
    began. On leaving, the handlers from before are put back.
    """
    token = trio.lowlevel.current_trio_token()
    stop = trio.Event()

    def handler(_number: int, _frame: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        # A signal handler may run between any two instructions; this is the one way from there into trio.
        token.run_sync_soon(stop.set)

    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
