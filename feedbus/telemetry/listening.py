"""Listening for TCP connections, also while the process has no descriptors left. May touch sockets.

When the system can't give us another descriptor, the clients wait in the kernel's queue. trio's own serve_listeners
would try again ten times a second and log a traceback each time. Here one descriptor is held in reserve, so that a
client is served also then: whoever asks how the process is must get an answer just when something is wrong. When the
reserve is used up, too, that is logged in one line, and in another one when it is over.
"""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress

import trio

RETRY = 0.1  # seconds between two attempts; nothing tells when a descriptor becomes free
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""The errors by which the system says that it can't give us another socket at present, see accept(2)."""


class PatientListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts connections, one at a time while the process has no descriptors left, and waits while the system has no
    room for another one."""

    def __init__(self, listener: trio.abc.Listener[trio.SocketStream], log: logging.Logger) -> None:
        self._listener = listener
        self._log = log
        self._reserve: int | None = None  # a descriptor that is given up for a client when there is no other
        self._keep_reserve()

    async def accept(self) -> trio.SocketStream:
        """Wait for a client. Raises what trio's listener raises, except that there is no room at present."""
        since: float | None = None
        self._keep_reserve()
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                if self._reserve is not None:
                    self._give_up_reserve()  # for the client that waits
                    continue
                if since is None:
                    since = trio.current_time()
                    self._log.error("no connection can be accepted at present: %s", os.strerror(error.errno))
                await trio.sleep(RETRY)
                self._keep_reserve()
            else:
                if since is not None:
                    self._log.warning("connections are accepted again, after %.1f s", trio.current_time() - since)
                return stream

    async def aclose(self) -> None:
        """Stop listening."""
        self._give_up_reserve()
        await self._listener.aclose()

    def _keep_reserve(self) -> None:
        if self._reserve is None:
            with suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _give_up_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
