"""Runs that can be repeated: a virtual clock, a seeded run queue, a seeded source of random numbers.

trio shuffles the tasks that are ready together, so that nobody leans on an order; here the shuffle is seeded. With
one seed a program that takes its time from trio and its random numbers from its arguments does the same things in
the same order, in every run; other seeds try other orders. What is left to the machine is what a test has to keep
out: sockets, threads, the wall clock, and the order of sets (of strings: PYTHONHASHSEED; of objects: their address).

This is the one place that touches trio's private names.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio
from trio._core import _run as trio_run
from trio.testing import MockClock

T = TypeVar("T")

EPOCH_NS = 1_700_000_000_000_000_000
"""What `wall_ns` says when the virtual clock says 0: 2023-11-14 22:13:20 UTC."""


@contextmanager
def seeded_run_queue(seed: int) -> Iterator[None]:
    """trio schedules by this seed; on leaving, everything is as it was. To be entered outside of trio.run."""
    allowed, state = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()
    _allow(True)
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        _allow(allowed)
        trio_run._r.setstate(state)


def _allow(deterministic: bool) -> None:
    # Without it trio reverses the ready tasks by the toss of a coin, and leaves them in the order of their waking,
    # which may be a set's.
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic  # type: ignore[misc]


def run_deterministically(async_fn: Callable[[random.Random], Awaitable[T]], *, seed: int) -> T:
    """Run `async_fn` under trio, on a clock that jumps whenever all tasks wait, and return what it returns.

    The clock begins at 0 s. The function's argument is to be the program's only source of random numbers.
    """
    with seeded_run_queue(seed):
        return trio.run(async_fn, random.Random(f"injected {seed}"), clock=MockClock(autojump_threshold=0))


def wall_ns() -> int:
    """A wall clock that goes with the virtual one: nanoseconds since the epoch."""
    return EPOCH_NS + round(trio.current_time() * 1e9)
