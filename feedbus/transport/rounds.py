"""Reading in rounds: the event loop wakes up once for the data of many sockets. May touch sockets.

At low rates a message costs what waking the event loop costs, and its bytes hardly count. So while so much comes that
it pays, the sockets of a process are read together, in rounds: a round begins `gather` seconds after the one before and
reads every socket that has data. Many messages then share one wake-up, and none waits longer than `gather`.

While less comes, there is nothing to share, and waiting would only cost time and timers. Then the task of each socket
waits for its own, so that no other is woken. The first task that wakes begins a round, which takes in all sockets that
have data by then. A running estimate decides which of the two it is (gathering.py).

The sockets are registered with an epoll that is edge-triggered (EPOLLET, see epoll(7)): each is registered once, and
neither waiting for a round nor reading in it needs another call to change the registration.

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
RELEASED_AT_ONCE = 20
"""How many tasks are told to wait for their own sockets before other tasks get their turn."""
OVERDUE_AFTER = 5.0
"""Seconds by which a round may be late before the rounds count as stuck."""


class WatchedSocket:
    """One socket that is read in rounds. Only one task at a time may wait for it."""

    def __init__(self, rounds: Rounds, fd: int) -> None:
        # True when there may be something to read. It is true at first, because data may have come before the socket
        # was registered, and the kernel doesn't report that.
        self.ready = True
        self.fd = fd  # its descriptor's number, which belongs to it only until the socket is closed
        self._task: trio.lowlevel.Task | None = None  # the one that waits for a round
        self._waits_alone = False  # whether a task waits for the socket itself
        # The peer has finished. The kernel reports this only once, perhaps together with the last data, so it is kept:
        # after the last data the next read must not wait, but find the end.
        self._ended = False
        self._rounds = rounds

    async def readable(self) -> None:
        """Wait until this socket may have something to read. Cancelling loses nothing.

        The caller must read at once. When the read filled its buffer, the caller must set `ready`, because the kernel
        may have more data and doesn't report it again. Raises trio.BusyResourceError when another task waits for this
        socket.
        """
        if self._task is not None or self._waits_alone:
            raise trio.BusyResourceError("another task waits for this socket")
        if self.ready or self._ended:
            await trio.lowlevel.checkpoint()
        else:
            # This task has read all there was, so its part in the open round is over.
            self._rounds.leave(self)
            while not self.ready:
                if self._rounds.gathers:
                    self._task = trio.lowlevel.current_task()
                    await trio.lowlevel.wait_task_rescheduled(self._give_up)
                else:
                    await self._wait_alone()
        self.ready = False

    def wake(self, *, ended: bool = False) -> None:
        """Note that there may be something to read, and wake the task that waits for a round. One that waits for the
        socket itself wakes up anyhow. `ended` says that the peer has finished or that the connection has broken."""
        self.ready = True
        self._ended = self._ended or ended
        if self._task is not None or self._waits_alone:
            self._rounds.join(self)
        self.release()

    def release(self) -> None:
        """Have the task no longer wait for a round, if one does."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def forget(self) -> None:
        """Stop watching the socket, just before it is closed. A task that waits is woken, and finds it closed.

        A second call does no harm, even when the system has given the number of the descriptor to a new socket by then.
        """
        self._rounds.forget(self)
        self.wake(ended=True)
        self._rounds.leave(self)  # otherwise the open round would wait for a task that reads no more
        if self._waits_alone:
            self._waits_alone = False  # it is told once, since the number may soon belong to another socket
            trio.lowlevel.notify_closing(self.fd)  # wakes the task

    async def _wait_alone(self) -> None:
        self._waits_alone = True
        try:
            await trio.lowlevel.wait_readable(self.fd)
        except trio.ClosedResourceError:
            return  # it was forgotten
        except trio.Cancelled:
            self._rounds.leave(self)  # the round of another task may count on this one
            raise
        finally:
            self._waits_alone = False
        if not self.ready:
            self._rounds.begin_with(self)

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Rounds:
    """The sockets of a process that are read in rounds, while that pays and while `run` is running.

    gathers  whether rounds are held just now; otherwise each socket is read as soon as it has something
    """

    def __init__(self, gather: float) -> None:
        """`gather` is the time between two rounds while data keeps coming, in seconds."""
        self.gathers = False
        self._gather = gather
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedSocket] = {}
        self._reading: set[WatchedSocket] = set()  # their tasks were woken by the open round and don't wait again yet
        self._to_wake: set[trio.Event] = set()  # events to set at the end of the open round
        self._pays: trio.Event | None = None  # set when rounds are to be held; None while `run` isn't running
        self._held = 0  # how many rounds have been held
        self._last = -inf  # when the last one began
        # What came in it, as the estimate counts it: messages in a round that waited, else pieces. What comes in one
        # piece has nothing to wait for.
        self._came = 0
        self._waited = False  # whether it waited
        self._gathering = Gathering(gather)
        # How many had been held when a call of `overdue` first found that a socket has something, and its time.
        self._stands = (0, inf)

    def watch(self, fd: int) -> WatchedSocket:
        """Begin to watch a connected, non-blocking socket. Raises OSError when the kernel can't watch any more."""
        self._epoll.register(fd, EVENTS)
        watched = self._watched[fd] = WatchedSocket(self, fd)
        return watched

    def forget(self, watched: WatchedSocket) -> None:
        """Stop watching this socket. It does no harm when it is not watched any more, or when the rounds are closed."""
        # The number alone doesn't tell whose it is: a new socket gets the number of one that was closed.
        if self._watched.get(watched.fd) is watched:
            del self._watched[watched.fd]
            self._epoll.unregister(watched.fd)

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
        """Hold rounds while that pays, until cancelled. It can be run again. While it isn't running, sockets are read
        as soon as they have something."""
        pays: trio.Event | None = None
        try:
            while True:
                pays = self._pays = trio.Event()  # `begin_with` sets it
                self.gathers = False
                await self._release_all()
                await pays.wait()
                await self._hold_rounds()
        finally:
            if self._pays is pays:  # otherwise it has been run again already
                self._pays = None
                self.gathers = False
                for watched in self._watched.values():
                    watched.release()

    async def _hold_rounds(self) -> None:
        """Hold one round `gather` seconds after another, while that pays. A round that comes late anyway waits for
        nothing."""
        found = 1
        while self._gathering.still_pays():
            if not found:
                # An epoll is itself readable when one of its sockets has something, so trio can wait for all at once.
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            due = self._last + self._gather
            waits = trio.current_time() < due
            if waits:
                await trio.sleep_until(due)
            found = self._round(waited=waits)

    async def _release_all(self) -> None:
        """Have each task that waits for a round wait for its own socket, unless rounds are to be held again."""
        for number, watched in enumerate(list(self._watched.values()), 1):
            if self.gathers:
                return
            watched.release()
            if number % RELEASED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def begin_with(self, watched: WatchedSocket) -> None:
        """Begin a round, because a socket has something whose task waited for it alone."""
        if self.gathers:
            # It has waited since before rounds were held, and is read between two of them. `took` counts what it
            # brings, if the last one waited.
            self._came += not self._waited
        elif len(self._watched) > 1:
            self._round(waited=False)
        else:
            self._begin_round(waited=False)
            self._came = 1
        watched.ready = True
        self.join(watched)
        if self._pays is not None and self._gathering.pays():
            self.gathers = True
            self._pays.set()

    def overdue(self, now: float) -> str | None:
        """Describe what is overdue at `now` (seconds of trio's clock); None when nothing is.

        A round is overdue when no call has found one held for OVERDUE_AFTER seconds, although sockets have data and
        their tasks wait for it. So this has to be called every few seconds.
        """
        poll = select.poll()
        poll.register(self._epoll.fileno(), select.POLLIN)
        if not self.gathers or not poll.poll(0):  # milliseconds
            self._stands = (self._held, inf)
        elif self._stands[0] != self._held or self._stands[1] == inf:
            self._stands = (self._held, now)
        return "rounds: the sockets are not read" if now > self._stands[1] + OVERDUE_AFTER else None

    def close(self) -> None:
        """Close the epoll's descriptor. Sockets that are still watched may be forgotten later."""
        self._watched.clear()
        self._epoll.close()

    def _round(self, *, waited: bool) -> int:
        """Wake every task whose socket has something to read. Returns the number of these sockets."""
        self._begin_round(waited=waited)
        found = self._epoll.poll(0)  # seconds: take what is there, and never block the event loop
        for fd, events in found:
            watched = self._watched.get(fd)
            if watched is not None:
                watched.wake(ended=bool(events & ENDED))
        self._came = 0 if waited else len(found)
        return len(found)

    def _begin_round(self, *, waited: bool) -> None:
        now = trio.current_time()
        self._gathering.note(self._came, now - self._last)  # the round before has brought all that it brings
        self._held += 1
        self._last = now
        self._waited = waited
