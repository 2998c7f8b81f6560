"""One subscriber's connection with the publisher at an ipc:// address. May touch sockets.

The subscriber reads the Unix socket itself. nng would do it in three threads that wake one another for each message.
Where messages come one by one, that takes three times the CPU and half as much time again (the floors in
docs/benchmarks.md).

What the subscriber leaves unread waits in the kernel's buffer, and then in the publisher's queue, which is bounded by
its own `stalled_bytes`.
"""

from __future__ import annotations

import os
import socket

from feedbus.bus.sp_messages import GREETING, SpMessages
from feedbus.errors import BadAddress, BusError

SCHEME = "ipc://"
MAX_PATH = 107
"""Bytes of the longest path that a Unix socket can have (unix(7))."""
READ_SIZE = 64 * 1024
"""Bytes that are taken from the socket before other tasks get their turn: at least three messages."""


class IpcPipe:
    """The connection with one address. It can be opened again when it was lost."""

    def __init__(self, address: str, prefixes: tuple[bytes, ...], max_size: int) -> None:
        """Raises BadAddress when no Unix socket can have this address."""
        self.address = address
        self.fd = -1  # the socket's descriptor, while it is open
        self._path = address.removeprefix(SCHEME)
        self._prefixes = prefixes
        self._max_size = max_size
        self._socket: socket.socket | None = None
        self._messages = SpMessages(prefixes, max_size)
        if not self._path or "\0" in self._path or len(os.fsencode(self._path)) > MAX_PATH:
            raise BadAddress(f"can't subscribe at {address}: a socket's path has 1 to {MAX_PATH} bytes")

    @property
    def connected(self) -> bool:
        """Whether a publisher has answered on the open socket."""
        return self._socket is not None and self._messages.greeted

    def open(self) -> bool:
        """Try to connect, without waiting. Returns whether the socket is open now."""
        try:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:  # no descriptor is left just now
            return False
        try:
            made.connect(self._path)
            made.send(GREETING)
        except OSError:
            made.close()
            return False
        self._socket, self.fd = made, made.fileno()
        self._messages = SpMessages(self._prefixes, self._max_size)
        return True

    def read(self) -> list[bytes] | None:
        """Return the wanted messages of one read, which may be none. None: it is over, and has to be closed."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        try:
            return self._messages.feed(data)
        except BusError:  # it isn't a publisher of ours
            return None

    def close(self) -> None:
        """Close the socket, if it is open."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self.fd = None, -1
