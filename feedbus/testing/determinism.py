"""Runs of trio programs that can be repeated exactly: with a virtual clock, and with seeds for every random choice.

trio shuffles the tasks that become ready at the same time, so that no program relies on their order; here that shuffle
is seeded. A program that takes its time from trio, and its random numbers from its argument, then does the same things
in the same order in every run with the same seed. Other seeds try other orders.

A test must keep out what still depends on the machine: sockets, threads, the wall clock, and the order of sets. (The
order of a set of strings depends on PYTHONHASHSEED, that of other objects on their addresses in memory.)

No other module uses trio's private names.
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
"""What `wall_ns` returns while trio's clock is at 0: 2023-11-14 22:13:20 UTC, in ns since the epoch."""


@contextmanager
def seeded_run_queue(seed: int) -> Iterator[None]:
    """Let trio schedule by this seed, until the context is left. It has to be entered outside of trio.run."""
    allowed, state = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()
    _allow(True)
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        _allow(allowed)
        trio_run._r.setstate(state)


def _allow(deterministic: bool) -> None:
    # Without this switch trio only reverses the ready tasks at random. They would stay in the order in which they were
    # woken, which may be the order of a set. With it trio sorts them before it shuffles.
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic  # type: ignore[misc]


def run_deterministically(async_fn: Callable[[random.Random], Awaitable[T]], *, seed: int) -> T:
    """Run `async_fn` under trio, on a clock that jumps whenever all tasks wait, and return what it returns.

    The clock begins at 0 s. The function's argument is to be the program's only source of random numbers.
    """
    with seeded_run_queue(seed):
        return trio.run(async_fn, random.Random(f"injected {seed}"), clock=MockClock(autojump_threshold=0))


def wall_ns() -> int:
    """The time of a wall clock that moves with trio's clock, in nanoseconds since the epoch."""
    return EPOCH_NS + round(trio.current_time() * 1e9)
