"""Looks after the bus socket's file: when it was deleted, the socket is bound again within two heartbeats."""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from feedbus.errors import BusError

CHECK_EVERY = 1.0
"""Seconds between two looks at the file: as often as a publisher's heartbeat."""

log = logging.getLogger("feedbus.bus")


class LosableSocket(Protocol):
    """What is looked after (feedbus.bus.nng.PubSocket)."""

    address: str

    def lost(self) -> str | None:
        """Return why nobody can join at the address any more, for people; None while all is well."""

    def bind_again(self) -> None:
        """Bind the address again, which was lost. Those who have joined stay. Raises BusError when it is impossible."""


class SocketGuard:
    """Looks after one socket.

    When another process has taken the address, that process isn't disturbed: the log and /healthz say so, and the
    address is bound again once it is free.
    """

    def __init__(self, socket: LosableSocket) -> None:
        self._socket = socket
        self._said = ""  # what is wrong by the last log line

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after the socket until cancelled."""
        task_status.started()
        while True:
            self._look()
            await trio.sleep(CHECK_EVERY)

    def overdue(self, now: float) -> str | None:  # noqa: ARG002 - what is wrong now is looked at, and not how long it is
        """Describe what is wrong with the socket, None when nothing is."""
        lost = self._socket.lost()
        return None if lost is None else f"the bus: nobody can subscribe at {self._socket.address}: {lost}"

    def _look(self) -> None:
        lost = self._socket.lost()
        if lost is None:
            self._said = ""
            return
        try:
            self._socket.bind_again()
        except BusError as error:
            if self._said != str(error):
                self._said = str(error)
                log.error("%s, and %s", lost, error)
            return
        self._said = ""
        log.error("%s: it is bound again at %s", lost, self._socket.address)
