"""Reading in rounds: the event loop wakes up once for the data of many sockets. May touch sockets.

At low rates a message costs what waking the event loop costs, and its bytes hardly count. So the sockets of a process
are read together, in rounds, and each round reads every socket that has data. While so much comes that it pays, a round
begins `gather` seconds after the one before: many messages then share one wake-up, and none waits longer than `gather`.
While less comes, there is nothing to share, and waiting would only cost time and timers. Then a round begins as soon as
a socket has data. A running estimate decides which of the two it is (gathering.py).

The sockets are registered with an epoll that is edge-triggered (EPOLLET, see epoll(7)): each is registered once, and
neither waiting nor reading needs another call to change the registration.

A round is open from its wake-ups until every task that it woke has read all there was and waits again. The publisher
asks how far a round has come, so that it sends what was read in one round together. This module runs no code of the
publisher's: an error in it would look like an error of the socket that happens to be read just then.
"""

from __future__ import annotations

import select
from math import inf

import trio

from feedbus.transport.gathering import Gathering

# RDHUP: the peer has finished writing. HUP and ERR come unasked when the connection is closed or broken.
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
OVERDUE_AFTER = 5.0
"""Seconds by which a round may be late before the rounds count as stuck."""


class WatchedSocket:
    """One socket that is read in rounds. Only one task at a time may wait for it."""

    def __init__(self, rounds: Rounds, fd: int) -> None:
        # True when there may be something to read. It is true at first, because data may have come before the socket
        # was registered, and the kernel doesn't report that.
        self.ready = True
        self.task: trio.lowlevel.Task | None = None  # the one that waits for this socket
        # The peer has finished. The kernel reports this only once, perhaps together with the last data, so it is kept:
        # after the last data the next read must not wait, but find the end.
        self._ended = False
        self.fd = fd  # its descriptor's number, which belongs to it only until the socket is closed
        self._rounds = rounds

    async def readable(self) -> None:
        """Wait for a round in which this socket may have something to read. Cancelling loses nothing.

        The caller must read at once. When the read filled its buffer, the caller must set `ready`, because the kernel
        may have more data and doesn't report it again. Raises trio.BusyResourceError when another task waits for this
        socket.
        """
        if self.task is not None or self._rounds.leader is self:
            raise trio.BusyResourceError("another task waits for this socket")
        if self.ready or self._ended:
            await trio.lowlevel.checkpoint()
        else:
            # This task has read all there was, so its part in the open round is over.
            self._rounds.leave(self)
            await self._rounds.lead(self)
            if not self.ready:
                self.task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._give_up)
        self.ready = False

    def wake(self, *, ended: bool = False) -> None:
        """Note that there may be something to read, and wake the task that waits. `ended` says that the peer has
        finished or that the connection has broken."""
        self.ready = True
        self._ended = self._ended or ended
        if self.task is not None:
            task, self.task = self.task, None
            self._rounds.join(self)
            trio.lowlevel.reschedule(task)

    def forget(self) -> None:
        """Stop watching the socket, just before it is closed. A task that waits is woken, and finds it closed.

        A second call does no harm, even when the system has given the number of the descriptor to a new socket by then.
        """
        self._rounds.forget(self)
        self.wake(ended=True)
        self._rounds.leave(self)  # otherwise the open round would wait for a task that reads no more

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Rounds:
    """The sockets of a process that are read in rounds. No task is woken unless `run` is running."""

    def __init__(self, gather: float) -> None:
        """`gather` is the time between two rounds while data keeps coming, in seconds."""
        self._gather = gather
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedSocket] = {}
        self._reading: set[WatchedSocket] = set()  # their tasks were woken by the open round and don't wait again yet
        self._to_wake: set[trio.Event] = set()  # events to set at the end of the open round
        self._held = 0  # how many rounds have been held
        self._last = -inf  # when the last one began
        # What came in it, as the estimate counts it: messages in a round that waited, else pieces. What comes in one
        # piece has nothing to wait for.
        self._came = 0
        self._waited = False  # whether it waited
        self._gathering = Gathering(gather)
        # `run` has left the rounds to the task of the only socket, until this event is set.
        self._left: trio.Event | None = None
        self.leader: WatchedSocket | None = None  # the socket for which its task waits itself
        # How many had been held when a call of `overdue` first found that a socket has something, and its time.
        self._stands = (0, inf)

    def watch(self, fd: int) -> WatchedSocket:
        """Begin to watch a connected, non-blocking socket. Raises OSError when the kernel can't watch any more."""
        self._epoll.register(fd, EVENTS)
        self._take_back()
        watched = self._watched[fd] = WatchedSocket(self, fd)
        return watched

    def forget(self, watched: WatchedSocket) -> None:
        """Stop watching this socket. It does no harm when it is not watched any more, or when the rounds are closed."""
        # The number alone doesn't tell whose it is: a new socket gets the number of one that was closed.
        if self._watched.get(watched.fd) is watched:
            del self._watched[watched.fd]
            self._epoll.unregister(watched.fd)
            self._take_back()

    def took(self, messages: int) -> None:
        """Note that a connection has found so many messages in what it has read in this round."""
        if self._waited:
            self._came += messages

    # How far the present round has come

    def is_open(self) -> bool:
        """Return True from the wake-ups of a round to its end."""
        return bool(self._reading)

    def more_to_come(self) -> bool:
        """Return True if more will be read in the open round: by other tasks, or by the only one that is left."""
        if len(self._reading) > 1:
            return True
        for watched in self._reading:
            return watched.ready
        return False

    def wake_at_end(self, event: trio.Event) -> None:
        """Set this event when the open round ends."""
        self._to_wake.add(event)

    def cancel_wake(self, event: trio.Event) -> None:
        """Undo `wake_at_end`. It does no harm when the event was never registered."""
        self._to_wake.discard(event)

    def join(self, watched: WatchedSocket) -> None:
        """Add a socket, whose task has just been woken, to the open round; the first one opens it."""
        self._reading.add(watched)

    def leave(self, watched: WatchedSocket) -> None:
        """Take a socket out of the open round: its task waits again, or it is closed. The last one ends the round."""
        if watched in self._reading:
            self._reading.remove(watched)
            if self._to_wake and not self._reading:
                for event in self._to_wake:
                    event.set()  # this only schedules tasks: their code runs later, and can't fail here
                self._to_wake.clear()

    # Holding rounds

    async def run(self) -> None:
        """Hold the rounds until cancelled. When it is run again, nothing that came in between is lost."""
        while True:
            if self._can_leave():
                await self._leave()
                continue
            # An epoll is itself readable when one of its sockets has something, so trio can wait for all at once.
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            now = trio.current_time()
            if now - self._last < self._gather and self._gathering.pays():
                await self._hold_rounds()
            else:
                self._round(now, waited=False)

    async def _hold_rounds(self) -> None:
        """Hold one round `gather` seconds after another, while that pays, until one finds nothing to read."""
        found = 1
        while found and self._gathering.pays():
            await trio.sleep_until(self._last + self._gather)
            found = self._round(trio.current_time(), waited=True)

    # A socket alone

    def _can_leave(self) -> bool:
        """Return whether the rounds can be left to the task of the only socket. It must not wait to be woken by one."""
        if len(self._watched) != 1 or self._gathering.pays():
            return False
        [watched] = self._watched.values()
        return watched.task is None

    async def _leave(self) -> None:
        """Leave the rounds to the task of the only socket, until there are others or waiting pays."""
        self._left = trio.Event()
        try:
            await self._left.wait()
        finally:
            self._take_back()

    def _take_back(self) -> None:
        """Have `run` hold the rounds again. It does no harm when it holds them."""
        if self._left is not None:
            self._left.set()
            self._left = None
            if self.leader is not None:
                trio.lowlevel.notify_closing(self.leader.fd)  # wakes its task

    async def lead(self, watched: WatchedSocket) -> None:
        """Wait for this socket alone, as long as `run` leaves the rounds to its task; such a wait is a round."""
        while self._left is not None and not watched.ready:
            self.leader = watched
            try:
                await trio.lowlevel.wait_readable(watched.fd)
            except trio.ClosedResourceError:
                continue  # `run` has taken the rounds back; perhaps it has left them again since
            finally:
                self.leader = None
            self._begin_round(trio.current_time(), waited=False)
            self._came = 1
            watched.ready = True
            self.join(watched)
            if self._gathering.pays():
                self._take_back()

    def overdue(self, now: float) -> str | None:
        """Describe what is overdue at `now` (seconds of trio's clock); None when nothing is.

        A round is overdue when no call has found one held for OVERDUE_AFTER seconds, although sockets have data. So
        this has to be called every few seconds.
        """
        poll = select.poll()
        poll.register(self._epoll.fileno(), select.POLLIN)
        # What has come to a socket alone is nobody's business but its task's, and the epoll tells it for ever.
        if self._left is not None or not poll.poll(0):  # milliseconds
            self._stands = (self._held, inf)
        elif self._stands[0] != self._held or self._stands[1] == inf:
            self._stands = (self._held, now)
        return "rounds: the sockets are not read" if now > self._stands[1] + OVERDUE_AFTER else None

    def close(self) -> None:
        """Close the epoll's descriptor. Sockets that are still watched may be forgotten later."""
        self._watched.clear()
        self._epoll.close()

    def _round(self, now: float, *, waited: bool) -> int:
        """Wake every task whose socket has something to read. Returns the number of these sockets."""
        self._begin_round(now, waited=waited)
        found = self._epoll.poll(0)  # seconds: take what is there, and never block the event loop
        for fd, events in found:
            watched = self._watched.get(fd)
            if watched is not None:
                watched.wake(ended=bool(events & ENDED))
        self._came = 0 if waited else len(found)
        return len(found)

    def _begin_round(self, now: float, *, waited: bool) -> None:
        self._gathering.note(self._came, now - self._last)  # the round before has brought all that it brings
        self._held += 1
        self._last = now
        self._waited = waited
