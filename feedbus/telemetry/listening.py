"""Listening for TCP connections, also while the process has no descriptors left. May touch sockets.

When the system can't give us another descriptor, the clients wait in the kernel's queue. trio's own serve_listeners
would try again ten times a second and log a traceback each time. Here the trouble is logged in one line when it begins,
and in another one when it is over.
"""

from __future__ import annotations

import errno
import logging
import os

import trio

RETRY = 0.1  # seconds between two attempts; nothing tells when a descriptor becomes free
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""The errors by which the system says that it can't give us another socket at present, see accept(2)."""


class PatientListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts connections, and waits while the system has no room for another one."""

    def __init__(self, listener: trio.abc.Listener[trio.SocketStream], log: logging.Logger) -> None:
        self._listener = listener
        self._log = log

    async def accept(self) -> trio.SocketStream:
        """Wait for a client. Raises what trio's listener raises, except that there is no room at present."""
        since: float | None = None
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                if since is None:
                    since = trio.current_time()
                    self._log.error("no connection can be accepted at present: %s", os.strerror(error.errno))
                await trio.sleep(RETRY)
            else:
                if since is not None:
                    self._log.warning("connections are accepted again, after %.1f s", trio.current_time() - since)
                return stream

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()
