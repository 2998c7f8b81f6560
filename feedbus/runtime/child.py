"""What a supervisor knows of one child: how it is to be run (Child), and one run of it (Life)."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from traceback import walk_tb
from typing import Protocol

import msgspec
import trio

from feedbus.errors import FeedbusError
from feedbus.text import one_line, shortened

GRACE = 5.0  # seconds that a child has for its stop, unless it is given another grace
MAX_TEXT = 500  # characters of an exception's description
MAX_SHOWN = 3  # exceptions of a group that are described


class Start(Protocol):
    """The start function of a child: it runs until it is cancelled, and calls `task_status.started()` once it is up."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[object]:
        """Run the child. An exception that it raises counts as a crash."""


class Child(msgspec.Struct, frozen=True):
    """A child of a supervisor, which is started again however it ended. Times are in seconds.

    grace         how long its stop may take before the supervisor goes on without it. A child that is itself a
                  supervisor needs more than all its own children together, or infinity
    start_within  how long its start may take before it is overdue; None means that it never is
    """

    name: str
    start: Start
    grace: float = GRACE
    start_within: float | None = None

    def __post_init__(self) -> None:
        # trio can't kill a task. A cancelled child needs at least one turn of the event loop to end.
        if self.grace <= 0:
            raise ValueError(f"{self.name}: the grace is {self.grace:g} s, and must be more than 0")


class Life:
    """One run of a child. It is also the `task_status` that the child is given, so that it learns of `started()`.

    began    when the run began, in seconds of trio's clock
    settled  an event that is set when the child has called started() or has ended, whichever comes first
    stop_by  the time of trio's clock by which the child has to end; None until it is told to stop
    error    what the child raised, None when it returned
    stuck    True when it didn't end within its grace
    """

    __slots__ = ("began", "child", "ended", "error", "is_started", "scope", "settled", "stop_by", "stuck")

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.began = now
        # Children are stopped in order: when the supervisor is cancelled, it must not cancel them all at once.
        self.scope = trio.CancelScope(shield=True)
        self.is_started = False
        self.settled = trio.Event()
        self.ended = trio.Event()
        self.error: BaseException | None = None
        self.stop_by: float | None = None
        self.stuck = False

    def started(self, value: object = None) -> None:  # noqa: ARG002 - trio's signature
        """Note that the child is up. The child calls this, as trio's nursery.start() requires."""
        if self.is_started:
            raise RuntimeError("it called started() twice")
        self.is_started = True
        self.settled.set()

    async def run(self) -> None:
        """Run the child to its end. What it raised is in `error` then; nothing is raised here."""
        try:
            with self.scope:
                await self.child.start(task_status=self)
            if not self.is_started and self.stop_by is None:
                raise RuntimeError("it returned before it called started()")
        except BaseException as error:
            self.error = error
        self.ended.set()
        self.settled.set()

    def stop(self, now: float) -> float:
        """Cancel the child. Returns the time by which it has to end. Later calls change nothing."""
        if self.stop_by is None:
            self.stop_by = now + self.child.grace
            self.scope.cancel()
        return self.stop_by

    def is_up(self) -> bool:
        """Return True from the call of started() until the child ends or is told to stop."""
        return self.is_started and self.stop_by is None and not self.ended.is_set()

    def overdue(self, now: float) -> str | None:
        """Describe what is overdue at `now` (seconds of trio's clock); None when nothing is."""
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
    """Return True for an exception that must end the program: KeyboardInterrupt, SystemExit and the like.

    trio.Cancelled is no such exception, although it isn't an Exception either. One that gets here is a fault of the
    child, because a proper cancellation ends in the scope that was cancelled.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(must_leave, error.exceptions))
    return not isinstance(error, Exception | trio.Cancelled)


def describe(error: BaseException) -> str:
    """Describe an exception in one line for people.

    An error that feedbus raises on purpose is described by its own text, which says what to do. Anything else is a bug:
    it is described by its type, its text, and the file and line where it was raised. A group of one exception is
    described as that exception, and a larger group by its exceptions, the first ones of them.
    """
    if isinstance(error, BaseExceptionGroup):
        shown = "; ".join(dict.fromkeys(describe(each) for each in error.exceptions[:MAX_SHOWN]))
        left = len(error.exceptions) - MAX_SHOWN
        return shortened(f"{shown}; and {left} more" if left > 0 else shown, MAX_TEXT)
    if isinstance(error, FeedbusError) and str(error):
        return shortened(one_line(str(error), 2 * MAX_TEXT), MAX_TEXT)
    text = f"{type(error).__name__}: {one_line(str(error), 2 * MAX_TEXT)}".removesuffix(": ")
    text = shortened(text, MAX_TEXT)
    place = None
    for frame, line in walk_tb(error.__traceback__):
        place = f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line}"
    return text if place is None else f"{text} ({place})"
