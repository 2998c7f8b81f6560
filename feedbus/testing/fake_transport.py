"""A transport without a network: a test gives a `FakeDial` to a feed and plays the venue itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf

import trio

from feedbus.errors import ClosedByPeer, VenueError
from feedbus.transport import DialOptions

Received = tuple[list[bytes | bytearray], int]


class FakeConnection:
    """One connection. `sent` holds what feedbus sent, and feedbus receives what the test delivers."""

    def __init__(self, url: str, options: DialOptions) -> None:
        self.url = url
        self.options = options
        self.sent: list[bytes | str] = []
        self.closed = False
        self.bytes_received = 0
        self.messages_received = 0
        self._deliver, self._received = trio.open_memory_channel[Received | VenueError](inf)

    def deliver(self, *messages: bytes, ts_recv: int = 0) -> None:
        """Let these messages arrive in one read, at `ts_recv` (ns since the epoch)."""
        self._deliver.send_nowait((list(messages), ts_recv))

    def fail(self, error: VenueError) -> None:
        """Let the connection end with this error, after everything that was delivered before has been read."""
        self._deliver.send_nowait(error)

    async def receive(self) -> Received:
        """Wait for the next delivery. Raises the VenueError with which the test ended the connection."""
        received = await self._received.receive()
        if isinstance(received, VenueError):
            raise received
        self.messages_received += len(received[0])
        self.bytes_received += sum(map(len, received[0]))
        return received

    async def send(self, messages: Sequence[bytes | str]) -> None:
        """Append the messages to `sent`. Raises ClosedByPeer when the connection is closed."""
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise ClosedByPeer(1006)
        self.sent += messages


class FakeDial:
    """A Dial whose connections are FakeConnections, which are kept in `connections`."""

    def __init__(self, refuse: Callable[[int], VenueError | None] = lambda _: None) -> None:
        """`refuse` gets the number of each attempt, from 0, and returns the error with which it fails, or None."""
        self.attempts: list[float] = []
        """The time of each attempt, in seconds of trio's clock."""
        self.connections: list[FakeConnection] = []
        self.opened = trio.Event()  # set when a connection is opened; a test may replace it to wait for the next one
        self.refuse = refuse

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[FakeConnection]:
        """Open a FakeConnection. Raises what `refuse` returns."""
        number = len(self.attempts)
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        error = self.refuse(number)
        if error is not None:
            raise error
        connection = FakeConnection(url, options)
        self.connections.append(connection)
        self.opened.set()
        try:
            yield connection
        finally:
            connection.closed = True
