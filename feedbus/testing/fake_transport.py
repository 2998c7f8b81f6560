"""A transport that a test plays the venue on: `FakeDial` is handed to a feed in place of a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf

import trio

from feedbus.errors import ClosedByPeer, VenueError
from feedbus.transport import DialOptions

Received = tuple[list[bytes | bytearray], int]


class FakeConnection:
    """One connection: what we sent is in `sent`, what comes is what the test delivers."""

    def __init__(self, url: str, options: DialOptions) -> None:
        self.url = url
        self.options = options
        self.sent: list[bytes | str] = []
        self.closed = False
        self.bytes_received = 0
        self.messages_received = 0
        self._deliver, self._received = trio.open_memory_channel[Received | VenueError](inf)

    def deliver(self, *messages: bytes, ts_recv: int = 0) -> None:
        """These messages come in one read."""
        self._deliver.send_nowait((list(messages), ts_recv))

    def fail(self, error: VenueError) -> None:
        """The connection ends with this error, after all that was delivered before."""
        self._deliver.send_nowait(error)

    async def receive(self) -> Received:
        """What was delivered next."""
        received = await self._received.receive()
        if isinstance(received, VenueError):
            raise received
        self.messages_received += len(received[0])
        self.bytes_received += sum(map(len, received[0]))
        return received

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Note what is sent."""
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise ClosedByPeer(1006)
        self.sent += messages


class FakeDial:
    """A Dial that makes FakeConnections, or fails as the test says."""

    def __init__(self, refuse: Callable[[int], VenueError | None] = lambda _: None) -> None:
        """`refuse` is asked for each attempt, numbered from 0, whether it fails."""
        self.attempts: list[float] = []
        """When each attempt was made."""
        self.connections: list[FakeConnection] = []
        self.refuse = refuse

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[FakeConnection]:
        """Open a FakeConnection."""
        number = len(self.attempts)
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        error = self.refuse(number)
        if error is not None:
            raise error
        connection = FakeConnection(url, options)
        self.connections.append(connection)
        try:
            yield connection
        finally:
            connection.closed = True
