"""What a supervisor knows of one child: how it is to be run, and one run of it. trio alone."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from traceback import walk_tb
from typing import Protocol

import msgspec
import trio

GRACE = 5.0  # seconds
MAX_TEXT = 500  # characters of an exception that are logged


class Start(Protocol):
    """Runs a child until it is cancelled, or done; calls `task_status.started()` once it is up."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[object]:
        """What it raises is a bug, and ends the child."""


class Child(msgspec.Struct, frozen=True):
    """A child of a supervisor, which is started again however it ended. Times are seconds.

    `grace` is how long its stop may take before the supervisor goes on without it; a child that is itself a supervisor
    needs more than all its own children together, or infinity. A start that takes longer than `start_within` is
    overdue; with None it never is.
    """

    name: str
    start: Start
    grace: float = GRACE
    start_within: float | None = None

    def __post_init__(self) -> None:
        # A child has to be given a turn to end in: nothing can be killed under trio.
        if self.grace <= 0:
            raise ValueError(f"{self.name}: a grace of {self.grace:g} s; it must be more than 0")


class Life:
    """One run of a child: what it is to its supervisor, and the `task_status` that the child itself is handed.

    `settled` is set when it called started() or ended, whichever came first. `stop_by` is a time of trio's clock.
    """

    __slots__ = ("began", "child", "ended", "error", "is_started", "scope", "settled", "stop_by", "stuck")

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.began = now
        self.scope = trio.CancelScope(shield=True)  # it ends when its supervisor says so, in its turn
        self.is_started = False
        self.settled = trio.Event()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self.stop_by: float | None = None
        self.stuck = False  # it has not ended within its grace

    def started(self, value: object = None) -> None:  # noqa: ARG002 - trio's signature
        """The child is up."""
        if self.is_started:
            raise RuntimeError("called started() twice")
        self.is_started = True
        self.settled.set()

    async def run(self) -> None:
        """Run the child to its end; what it raised is then in `error`."""
        try:
            with self.scope:
                await self.child.start(task_status=self)
            if not self.is_started and self.stop_by is None:
                raise RuntimeError("returned before it called started()")
        except BaseException as error:
            self.error = error
        self.ended.set()
        self.settled.set()

    def stop(self, now: float) -> float:
        """Cancel it; the time by which it has to have ended. Later calls change nothing."""
        if self.stop_by is None:
            self.stop_by = now + self.child.grace
            self.scope.cancel()
        return self.stop_by

    def is_up(self) -> bool:
        """True from its started() until it ends, or is told to."""
        return self.is_started and self.stop_by is None and not self.ended.is_set()

    def overdue(self, now: float) -> str | None:
        """What it should have done by now and has not; None when it is on time."""
        if self.ended.is_set():
            return None
        if self.stop_by is not None:
            late = now > self.stop_by
            return f"{self.child.name} has not ended within its grace of {self.child.grace:g} s" if late else None
        within = self.child.start_within
        if within is not None and not self.is_started and now > self.began + within:
            return f"{self.child.name} has not started within {within:g} s"
        return None


def must_leave(error: BaseException) -> bool:
    """True for what is no failure of a child but an order to the program: KeyboardInterrupt, SystemExit and the like.

    A Cancelled that comes here is none: a child's own cancellation ends in its own scope.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(must_leave, error.exceptions))
    return not isinstance(error, Exception | trio.Cancelled)


def describe(error: BaseException) -> str:
    """An exception in one line: type, text, and the place of the last frame. A group of one is that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_TEXT].removesuffix(": ")
    place = None
    for frame, line in walk_tb(error.__traceback__):
        place = f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line}"
    return text if place is None else f"{text} ({place})"
