"""The receiving end of the bus: one socket for publishers at any number of addresses. May touch sockets.

Publishers at ipc:// addresses are read by IpcPipe, all others through nng. All of them share one descriptor to wait
for.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

from feedbus.bus.ipc_pipe import SCHEME, IpcPipe
from feedbus.bus.nng import RECV_MAX_SIZE, REDIAL_MS, STALLED_BYTES, NngSubscriber
from feedbus.bus.timer_fd import TimerFd
from feedbus.errors import BusError

REDIAL_EVERY = REDIAL_MS / 1000


class SubSocket:
    """Receives the messages that begin with one of its prefixes, from any number of publishers.

    fd         is readable when a message waits, when a missing publisher has to be dialled again, at the time of `ring`
               and after `wake`. Whoever waits for it calls `drain` then
    addresses  those that it dials
    rang       whether the time of the last `ring` had come at a `drain` since then
    closed     whether it has been closed
    """

    def __init__(self, addresses: Iterable[str], prefixes: Iterable[bytes], stalled_bytes: int = STALLED_BYTES) -> None:
        """Dial the publishers, again and again while one is missing.

        `stalled_bytes` bounds what may wait here unread of publishers that nng reads. What a publisher at an ipc://
        address sends waits there. Raises BadAddress for a malformed address.
        """
        self.closed = False
        self.addresses = list(addresses)
        wanted = tuple(prefixes)
        self._nng: NngSubscriber | None = None
        self._missing: list[IpcPipe] = []
        self._open: dict[int, IpcPipe] = {}  # by descriptor
        self._epoll = select.epoll()
        self.fd = self._epoll.fileno()
        self._redial = TimerFd()
        self._alarm = TimerFd()
        self.rang = False
        for timer in (self._redial, self._alarm):
            self._epoll.register(timer.fd, select.EPOLLIN)
        self._bell: int | None = None  # the descriptor that `wake` makes readable, once that has been called
        try:
            for address in self.addresses:
                if address.startswith(SCHEME):
                    self._missing.append(IpcPipe(address, wanted, RECV_MAX_SIZE))
                else:
                    self._dial_by_nng(address, wanted, stalled_bytes)
            self._dial_missing()
        except (BusError, OSError):
            self.close()
            raise

    def connected(self) -> list[str]:
        """Return the addresses at which it is connected with a publisher now."""
        found = [] if self._nng is None else self._nng.connected()
        return found + [pipe.address for pipe in self._open.values() if pipe.connected]

    def drain(self, timeout: float = 0.0) -> list[bytes]:
        """Return messages that have come, in a bounded number; wait up to `timeout` seconds when there are none.

        Raises BusError when the socket is closed.
        """
        try:
            ready = self._epoll.poll(timeout)
        except ValueError:
            raise BusError("the bus socket is closed") from None
        messages: list[bytes] = []
        if self._nng is not None and any(fd == self._nng.fd for fd, _ in ready):
            messages += self._nng.drain()  # this comes first: when it raises, nothing that was read is lost
        for fd, _ in ready:
            pipe = self._open.get(fd)
            if pipe is not None:
                messages += self._read(fd, pipe)
            elif fd == self._redial.fd:
                self._redial.clear()
                self._dial_missing()
            elif fd == self._alarm.fd:
                self._alarm.clear()
                self.rang = True
            elif fd == self._bell:
                os.eventfd_read(fd)
        return messages

    def wake(self) -> None:
        """Make `fd` readable until the next `drain`, because whoever waits for it has something else to look at."""
        if self._bell is None:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._epoll.register(self._bell, select.EPOLLIN)
        os.eventfd_write(self._bell, 1)

    def ring(self, seconds: float) -> None:
        """Make `fd` readable in so many seconds, once, and not at the time that was set before."""
        self.rang = False
        self._alarm.once(seconds)

    def has_messages(self) -> bool:
        """Return True when a message waits here, or the end of a connection. A closed socket has none."""
        others = (self._redial.fd, self._alarm.fd, self._bell)
        return not self.closed and any(fd not in others for fd, _ in self._epoll.poll(0))

    def close(self) -> None:
        """Close the socket. The number `fd` may belong to another file from now on."""
        if self.closed:
            return
        self.closed = True
        for pipe in self._open.values():
            pipe.close()
        if self._nng is not None:
            self._nng.close()
        self._redial.close()
        self._alarm.close()
        if self._bell is not None:
            os.close(self._bell)
        self._epoll.close()

    def _dial_by_nng(self, address: str, prefixes: tuple[bytes, ...], stalled_bytes: int) -> None:
        if self._nng is None:
            self._nng = NngSubscriber(prefixes, stalled_bytes)
            self._epoll.register(self._nng.fd, select.EPOLLIN)
        self._nng.dial(address)

    def _read(self, fd: int, pipe: IpcPipe) -> list[bytes]:
        messages = pipe.read()
        if messages is not None:
            return messages
        # Closing alone would leave it in the epoll while a process that was forked from this one has a copy of it.
        self._epoll.unregister(fd)
        pipe.close()
        del self._open[fd]
        self._missing.append(pipe)
        self._redial.every(REDIAL_EVERY)
        return []

    def _dial_missing(self) -> None:
        for pipe in list(self._missing):
            if pipe.open():
                try:
                    self._epoll.register(pipe.fd, select.EPOLLIN)
                except OSError:  # the system can't watch any more just now
                    pipe.close()
                    continue
                self._missing.remove(pipe)
                self._open[pipe.fd] = pipe
        if self._missing:
            self._redial.every(REDIAL_EVERY)
        else:
            self._redial.stop()
