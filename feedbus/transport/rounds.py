"""Reading in rounds: the event loop wakes up once for all that many sockets have received. May touch sockets.

At low rates it is the wake-up that a message costs, not its bytes. So what comes to a quiet set of sockets is read at
once; but while data keeps coming, the sockets are read in rounds that are `gather` seconds apart, and each round reads
all sockets that have something. Many messages then share one wake-up, and none waits longer than `gather` for its
round. The kernel watches edge-triggered: it is told of a socket once, and waiting and reading need no further call.

A round is open from its wake-ups until every task that it woke has read all there was, and waits again. Rounds only
tell how far a round is: what to do with what was read is for others to decide. So nothing of theirs runs here, where an
error of theirs would become an error of the socket that happens to be read.
"""

from __future__ import annotations

import select
from math import inf

import trio

ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class WatchedSocket:
    """One socket that is read in rounds. One task may wait for it."""

    def __init__(self, rounds: Rounds, fd: int) -> None:
        # There may be something to read. True at first, because data may have come before the kernel watched.
        self.ready = True
        self.task: trio.lowlevel.Task | None = None
        # The peer has finished. The kernel tells this only once, perhaps together with the last data, and it stays so.
        self._ended = False
        self._rounds = rounds
        self._fd = fd

    async def readable(self) -> None:
        """Wait for the round in which this socket may have something to read. Safe to cancel.

        The caller has to read at once; if the read was a full one it sets `ready`, since the kernel may have more and
        doesn't tell again. Raises trio.BusyResourceError when another task waits for this socket.
        """
        if self.task is not None:
            raise trio.BusyResourceError("another task waits for this socket")
        if self.ready or self._ended:
            await trio.lowlevel.checkpoint()
        else:
            self._rounds.leave(self)
            self.task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        self.ready = False

    def wake(self, *, ended: bool = False) -> None:
        """There may be something to read: the task that waits is to try. `ended`: the end, or an error, has come."""
        self.ready = True
        self._ended = self._ended or ended
        if self.task is not None:
            task, self.task = self.task, None
            self._rounds.join(self)
            trio.lowlevel.reschedule(task)

    def forget(self) -> None:
        """Stop watching, before the socket is closed. The task that waits is woken, and finds the socket closed."""
        self._rounds.forget(self._fd)
        self.wake(ended=True)
        self._rounds.leave(self)

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Rounds:
    """All sockets of a process that are read in rounds. Nobody is woken while `run` doesn't run."""

    def __init__(self, gather: float) -> None:
        """`gather` is seconds."""
        self.rounds = 0
        self.reads = 0  # sockets that had something, over all rounds
        self._gather = gather
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedSocket] = {}
        self._reading: set[WatchedSocket] = set()  # whose tasks the open round has woken, and that don't wait again yet
        self._to_wake: set[trio.Event] = set()  # at the end of the open round

    def watch(self, fd: int) -> WatchedSocket:
        """Begin to watch a connected, non-blocking socket."""
        watched = self._watched[fd] = WatchedSocket(self, fd)
        self._epoll.register(fd, EVENTS)
        return watched

    def forget(self, fd: int) -> None:
        """Stop watching this one; done twice it does no harm."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    # How far a round is

    def is_open(self) -> bool:
        """True from a round's wake-ups to its end."""
        return bool(self._reading)

    def more_to_come(self) -> bool:
        """True if, in an open round, somebody else is still to read, or the one that is left has more to read."""
        return len(self._reading) > 1 or any(watched.ready for watched in self._reading)

    def wake_at_end(self, event: trio.Event) -> None:
        """Set this event when the open round ends."""
        self._to_wake.add(event)

    def let_sleep(self, event: trio.Event) -> None:
        """Don't set this event at the end of the round; it need not be known."""
        self._to_wake.discard(event)

    def join(self, watched: WatchedSocket) -> None:
        """The task of this socket has been woken."""
        self._reading.add(watched)

    def leave(self, watched: WatchedSocket) -> None:
        """The task of this socket waits again, or the socket is forgotten. The round ends with the last one."""
        if watched in self._reading:
            self._reading.remove(watched)
            if self._to_wake and not self._reading:
                for event in self._to_wake:
                    event.set()  # this only schedules tasks, so nothing of theirs can fail here
                self._to_wake.clear()

    # Holding rounds

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
        """Hold one round after the other, until one finds nothing to read."""
        while True:
            await trio.sleep_until(due)
            if not self._round():
                return
            due = trio.current_time() + self._gather

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()

    def _round(self) -> int:
        """Wake every task whose socket has something to read; returns how many sockets that were."""
        found = self._epoll.poll(0)
        for fd, events in found:
            watched = self._watched.get(fd)
            if watched is not None:
                watched.wake(ended=bool(events & ENDED))
        self.rounds += 1
        self.reads += len(found)
        return len(found)
