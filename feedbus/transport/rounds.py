"""Reading in rounds: one wake-up of the event loop for all that many sockets have received. May touch sockets.

At low rates a wake-up is what a message costs, not its bytes. What comes to a quiet set of sockets is read at once;
while data keeps coming, the sockets are read in rounds `gather` seconds apart, in each round all that have something.
So many messages share a wake-up, and none waits longer than `gather` for its round. The kernel watches edge-triggered:
once a socket is known to it, waiting and reading need no further call about it.

A round is open from its wake-ups until everybody whom it woke has read all there was and waits again; those who gather
what was read (`at_end`) are told then, instead of guessing by a timer.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from math import inf

import trio

ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class WatchedSocket:
    """One socket in the rounds; one task may wait for it."""

    def __init__(self, rounds: Rounds, fd: int) -> None:
        self.ready = True  # there may be something to read: so it is in the beginning, and after a read of all it could
        self.task: trio.lowlevel.Task | None = None
        self._ended = False  # the peer has finished: the kernel tells once, perhaps together with the last data
        self._in_round = False
        self._rounds = rounds
        self._fd = fd

    async def readable(self) -> None:
        """Wait for the round in which this socket may have something. Safe to cancel."""
        if self.task is not None:
            raise trio.BusyResourceError("another task waits for this socket")
        if self.ready or self._ended:
            await trio.lowlevel.checkpoint()
        else:
            self._leave_round()
            self.task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        self.ready = False

    def wake(self, *, ended: bool = False) -> None:
        """There may be something; the task that waits finds out. `ended`: there will always be, an end or an error."""
        self.ready = True
        self._ended = self._ended or ended
        if self.task is not None:
            task, self.task = self.task, None
            self._in_round = True
            self._rounds.outstanding += 1
            trio.lowlevel.reschedule(task)

    def forget(self) -> None:
        """Leave the rounds, before the socket is closed. The task that waits is woken, and finds it closed."""
        self._rounds.forget(self._fd)
        self.wake(ended=True)
        self._leave_round()

    def _leave_round(self) -> None:
        if self._in_round:
            self._in_round = False
            self._rounds.left()

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Rounds:
    """The watch over all sockets of a process. While `run` doesn't run, nobody is woken."""

    def __init__(self, gather: float) -> None:
        """`gather` is seconds."""
        self.rounds = 0
        self.reads = 0  # sockets that had something, over all rounds
        self.outstanding = 0  # who was woken and isn't back
        self.at_end: list[Callable[[], None]] = []
        self._gather = gather
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedSocket] = {}

    def watch(self, fd: int) -> WatchedSocket:
        """Take a connected, non-blocking socket in."""
        watched = self._watched[fd] = WatchedSocket(self, fd)
        self._epoll.register(fd, EVENTS)
        return watched

    def forget(self, fd: int) -> None:
        """Watch this one no longer; done twice it does no harm."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def is_open(self) -> bool:
        """True from a round's wake-ups to its end."""
        return self.outstanding > 0

    def left(self) -> None:
        """One of those who were woken is back."""
        self.outstanding -= 1
        if not self.outstanding:
            for tell in self.at_end:
                tell()

    async def run(self) -> None:
        """Hold the rounds, until cancelled. It can be run again: nothing that came meanwhile is lost."""
        last = -inf
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            if trio.current_time() - last < self._gather:
                await self._hold_rounds(last + self._gather)
            else:
                self._round()
            last = trio.current_time()

    async def _hold_rounds(self, due: float) -> None:
        """One after the other, until there is one in vain."""
        while True:
            await trio.sleep_until(due)
            if not self._round():
                return
            due = trio.current_time() + self._gather

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()

    def _round(self) -> int:
        """Wake whoever has something to read; returns how many sockets that were."""
        found = self._epoll.poll(0)
        for fd, events in found:
            watched = self._watched.get(fd)
            if watched is not None:
                watched.wake(ended=bool(events & ENDED))
        self.rounds += 1
        self.reads += len(found)
        return len(found)
