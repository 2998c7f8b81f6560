"""The supervisor starts its children in order, restarts each one that ends, and stops them in reverse order.

The rules and the terms are those of Erlang/OTP's supervisor (https://www.erlang.org/doc/system/sup_princ.html) with the
strategy one_for_one: a child that ends is restarted alone, and the others don't notice. One difference comes from trio,
in which no task can be killed. A child that doesn't end within its grace is reported as stuck, the others are stopped
without it, and it isn't restarted before it has really ended.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterable
from typing import NoReturn

import trio

from feedbus.errors import Escalated, FeedbusError, StartFailed
from feedbus.runtime.child import Child, Life, describe, must_leave


class _Slot:
    """A child's place in the order of the children, which it keeps over restarts."""

    __slots__ = ("child", "life", "removed", "starts")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.life: Life | None = None  # the present run; None when it has ended and that has been dealt with
        self.removed = False
        self.starts = 0

    def is_missing(self) -> bool:
        """Return True when the child has to be started."""
        return self.life is None and not self.removed


class Supervisor:
    """Keeps children running. `run` can itself be the start function of a child, so supervisors form a tree.

    After more than `intensity` restarts within `period` seconds it gives up: it stops all children and raises
    Escalated, which its own supervisor sees as a crash. Counters are totals since the supervisor was made.
    """

    def __init__(
        self,
        name: str,
        children: Iterable[Child],
        *,
        intensity: int = 5,
        period: float = 60.0,
        together: bool = False,
    ) -> None:
        """With `together`, all children are told to stop at the same time, as OTP does for simple_one_for_one, and
        their graces run in parallel. Raises ValueError when two children have the same name.
        """
        self.name = name
        self.restarts: Counter[str] = Counter()  # by child: how often it was restarted, for whatever reason
        self.crashes: Counter[str] = Counter()  # by child: how often it raised, or failed to start
        self.stuck_stops = 0
        self.escalations = 0
        self._intensity = intensity
        self._period = period
        self._together = together
        self._slots: list[_Slot] = []
        self._exits: deque[tuple[_Slot, Life]] = deque()  # ended runs that haven't been dealt with yet, in order
        self._woken = trio.Event()
        self._restarted_at: deque[float] = deque()
        self._leaving: BaseException | None = None
        self._nursery: trio.Nursery
        self._log = logging.getLogger(f"feedbus.{name}")
        for child in children:
            self.add(child)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the children until cancelled. `started()` is called when all of them are up.

        Raises StartFailed when a child can't start at first, and Escalated after too many restarts. The children have
        been stopped by then. It may be run again after that.
        """
        self._reset()
        async with trio.open_nursery() as self._nursery:
            try:
                await self._supervise(task_status)
            except BaseException as error:  # mostly Cancelled; raised again below, after the children
                outcome = error
            if must_leave(outcome):
                self._leave(outcome)
            with trio.CancelScope(shield=True):
                await self._stop(self._slots)
        try:
            raise self._leaving or outcome
        finally:
            del outcome  # its traceback refers to this frame: without `del` this cycle waits for the garbage collector

    def add(self, child: Child) -> None:
        """Add a child behind the others. A running supervisor starts it soon, and this call doesn't wait for that.

        A failed start counts as a crash. Raises ValueError for a name that is in use, also by a removed child that
        hasn't ended yet.
        """
        if any(slot.child.name == child.name for slot in self._slots):
            raise ValueError(f"{self.name} has a child {child.name!r} already")
        self._slots.append(_Slot(child))
        self._woken.set()

    async def remove(self, name: str) -> None:
        """Stop a child within its grace, and forget it when it has ended. Raises KeyError for an unknown name."""
        slot = next((slot for slot in self._slots if slot.child.name == name and not slot.removed), None)
        if slot is None:
            raise KeyError(name)
        slot.removed = True
        await self._stop([slot])
        if slot.life is None and slot in self._slots:
            self._slots.remove(slot)

    def names(self) -> list[str]:
        """Return the names of the children, in their order."""
        return [slot.child.name for slot in self._slots]

    def counts(self) -> dict[str, int]:
        """Return the numbers for the metrics, by name."""
        return {
            "children": len(self._slots),
            "running": sum(life.is_up() for life in self._lives()),
            "crashes": self.crashes.total(),
            "restarts": self.restarts.total(),
            "stuck_stops": self.stuck_stops,
            "escalations": self.escalations,
        }

    def stuck(self) -> list[str]:
        """Return the names of the children that didn't end within their grace and still haven't ended."""
        return [life.child.name for life in self._lives() if life.stuck and not life.ended.is_set()]

    def overdue(self, now: float) -> str | None:
        """Describe which children miss a deadline at `now` (seconds of trio's clock); None when none does."""
        late = [text for life in self._lives() if (text := life.overdue(now)) is not None]
        return f"{self.name}: {'; '.join(late)}" if late else None

    def _lives(self) -> list[Life]:
        return [slot.life for slot in self._slots if slot.life is not None]

    # Supervising. One task deals with one event after another, so that two restarts never overlap.

    def _reset(self) -> None:
        self._slots = [slot for slot in self._slots if not slot.removed]
        for slot in self._slots:
            slot.life, slot.starts = None, 0
        self._exits.clear()
        self._restarted_at.clear()
        self._leaving = None

    async def _supervise(self, task_status: trio.TaskStatus[None]) -> NoReturn:
        for slot in tuple(self._slots):
            if slot.is_missing():
                await self._start_first(slot)
        task_status.started()
        while True:
            if self._exits:
                self._settle(*self._exits.popleft())
            await self._start_missing()
            if not self._exits:
                await self._woken.wait()
                self._woken = trio.Event()

    def _settle(self, slot: _Slot, life: Life) -> None:
        """Deal with the end of a run."""
        if slot.life is not life:
            return  # `_stop` has dealt with it since then
        slot.life = None
        if slot.removed:
            self._slots.remove(slot)
        elif life.stop_by is not None:
            self._log.warning("%s has ended after it was stuck", slot.child.name)  # so it may be started again
        else:
            self._permit_restart(life)

    def _permit_restart(self, life: Life) -> None:
        """Count a restart. Raises Escalated when there were too many within the period."""
        now = trio.current_time()
        self._restarted_at.append(now)
        while now - self._restarted_at[0] > self._period:
            self._restarted_at.popleft()
        if len(self._restarted_at) > self._intensity:
            self.escalations += 1
            limit = f"more than {self._intensity} restarts within {self._period:g} s"
            raise Escalated(f"{self.name} gives up: {limit}; the last: {self._story(life)}") from life.error

    def _story(self, life: Life) -> str:
        """Describe how a run ended."""
        name, how = life.child.name, "returned" if life.error is None else describe(life.error)
        return how if how.startswith((f"{name} ", f"{name}:")) else f"{name}: {how}"  # some name themselves

    async def _start_missing(self) -> None:
        for slot in tuple(self._slots):
            if slot.is_missing():
                await self._start(slot)

    # One child

    async def _start(self, slot: _Slot) -> Life:
        """Start a child and wait until it is up or has ended."""
        if slot.starts:
            self.restarts[slot.child.name] += 1
            self._log.info("%s is started again", slot.child.name)
        slot.starts += 1
        slot.life = life = Life(slot.child, trio.current_time())
        self._nursery.start_soon(self._live, slot, life, name=f"{self.name}/{slot.child.name}")
        await life.settled.wait()
        return life

    async def _start_first(self, slot: _Slot) -> None:
        """Start a child for the first time. Raises StartFailed when that fails, so that a bad start is noticed."""
        life = await self._start(slot)
        if not life.is_started and not slot.removed:
            raise StartFailed(f"{self.name} can't start: {self._story(life)}") from life.error

    async def _live(self, slot: _Slot, life: Life) -> None:
        """Run a child in a task of its own, and report its end."""
        await life.run()
        if life.error is not None and must_leave(life.error):
            self._leave(life.error)
        elif life.error is not None:
            self.crashes[slot.child.name] += 1
            if isinstance(life.error, FeedbusError):
                self._log.error("%s", self._story(life))
            else:
                self._log.error("%s crashed: %s", slot.child.name, describe(life.error))
            self._log.debug("%s crashed", slot.child.name, exc_info=life.error)
        elif life.stop_by is None:
            self._log.info("%s returned", slot.child.name)
        self._exits.append((slot, life))
        self._woken.set()

    async def _stop(self, slots: Iterable[_Slot]) -> None:
        """Stop these children, the last one first. One that doesn't end within its grace is left behind as stuck."""
        slots = tuple(slots)
        if self._together:
            for told in (slot.life for slot in slots if slot.life is not None):
                told.stop(trio.current_time())
        for slot in reversed(slots):
            if (life := slot.life) is None:
                continue
            with trio.move_on_at(life.stop(trio.current_time())):
                await life.ended.wait()
            if life.ended.is_set():
                slot.life = None
            elif not life.stuck:
                life.stuck = True
                self.stuck_stops += 1
                self._log.error(
                    "%s is stuck: it has not ended %g s after it was told to stop", slot.child.name, slot.child.grace
                )

    def _leave(self, error: BaseException) -> None:
        """Cancel all children at once, in no order, because the program must end."""
        self._leaving = error
        for life in self._lives():
            life.stop(trio.current_time())
        self._nursery.cancel_scope.cancel()
