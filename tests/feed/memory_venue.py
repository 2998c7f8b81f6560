"""The simulated venues without sockets, on trio's clock: a Dial whose connections are conversations with one of them.

Each message takes LATENCY seconds in either direction, and the order on a connection is kept. What the venue counts,
limits and bans is its own affair, as on sockets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

from feedbus.errors import ClosedByPeer, RateLimited, VenueError
from feedbus.feed.feed import Feed
from feedbus.feed.fetching import Answered
from feedbus.sim.seam import Conversation, Frame, Handler, MarketClock, ServerCounters, SimRequest
from feedbus.testing.determinism import wall_ns
from feedbus.testing.fake_transport import FakeConnection
from feedbus.transport import DialOptions
from feedbus.venues.protocol import Fetch, FetchResponse

LATENCY = 0.02  # seconds
BANNED = 418

Admit = Callable[[str, int], Conversation | int | None]


class MemoryConnection(FakeConnection):
    """A connection to a conversation."""

    def __init__(self, url: str, options: DialOptions, conversation: Conversation) -> None:
        super().__init__(url, options)
        self.conversation = conversation
        self._to_venue, self._at_venue = trio.open_memory_channel[tuple[float, bytes | str]](10_000)
        self._to_client, self._at_client = trio.open_memory_channel[tuple[float, Sequence[Frame] | VenueError]](10_000)

    async def send(self, messages: Sequence[bytes | str]) -> None:
        await super().send(messages)
        for message in messages:
            self._to_venue.send_nowait((trio.current_time() + LATENCY, message))

    async def listen(self) -> None:
        async for at, message in self._at_venue:
            await trio.sleep_until(at)
            self.say(self.conversation.receive(message, wall_ns()))

    async def speak(self) -> None:
        async for at, said in self._at_client:
            await trio.sleep_until(at)
            if isinstance(said, VenueError):
                self.fail(said)
                return
            self.deliver(*[each.encode() if isinstance(each, str) else each for each in said], ts_recv=wall_ns())

    def ping(self) -> None:
        """The venue pings, and the transport answers at once."""
        self.options.control_sent()
        self.conversation.control(wall_ns())
        self.say([])

    def say(self, frames: Sequence[Frame]) -> None:
        if frames and not self.closed:
            self._to_client.send_nowait((trio.current_time() + LATENCY, frames))
        if self.conversation.ending and not self.closed:
            self.cut(ClosedByPeer(1008))

    def hang_up(self) -> None:
        self._to_venue.close()
        self._to_client.close()

    def cut(self, error: VenueError) -> None:
        self.closed = True
        self._to_client.send_nowait((trio.current_time() + LATENCY, error))


class MemoryVenue:
    """The Dial, the venue's clock, and its REST interface."""

    def __init__(self, market: MarketClock, admit: Admit, rest: Handler, counters: ServerCounters) -> None:
        self.counters = counters
        self.connections: list[MemoryConnection] = []
        self.attempts: list[float] = []
        self.moves = True  # a market that stands still costs nothing
        self._market = market
        self._admit = admit
        self._rest = rest
        self._tasks: trio.Nursery

    @asynccontextmanager
    async def __call__(self, url: str, options: DialOptions) -> AsyncIterator[MemoryConnection]:
        self.attempts.append(trio.current_time())
        await trio.sleep(2 * LATENCY)
        parts = urlsplit(url)
        conversation = self._admit(f"{parts.path}?{parts.query}", wall_ns())
        if isinstance(conversation, int) or conversation is None:
            raise RateLimited(f"HTTP {conversation}", banned=conversation == BANNED)
        self.counters.connections_open += 1
        connection = MemoryConnection(url, options, conversation)
        self.connections.append(connection)
        self._tasks.start_soon(connection.listen)
        self._tasks.start_soon(connection.speak)
        try:
            yield connection
        finally:
            connection.closed = True
            connection.hang_up()
            self.connections.remove(connection)
            self.counters.connections_open -= 1

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the connections, and let the market go on once it is open."""
        async with trio.open_nursery() as self._tasks:
            self._tasks.start_soon(self._steps)
            task_status.started()

    async def _steps(self, ping_every: float = 20.0) -> None:
        step_s = self._market.step_ns / 1e9
        next_ping = ping_every
        while True:
            await trio.sleep(step_s)
            if self._market.opened and self.moves:
                self._market.advance()
            for connection in list(self.connections):
                if self.moves and not connection.conversation.ending and not connection.closed:
                    connection.say(connection.conversation.due())
                if trio.current_time() >= next_ping and not connection.closed:
                    connection.ping()
            if trio.current_time() >= next_ping:
                next_ping = trio.current_time() + ping_every

    def cut_all(self) -> None:
        """Cut all connections at once."""
        for connection in self.connections:
            connection.cut(ClosedByPeer(1006))

    def serves(self, feed: Feed) -> None:
        """Answer this feed's requests over HTTP, at once."""

        def answer(fetch: Fetch, answered: Answered, is_wanted: Callable[[], bool] = lambda: True) -> None:
            given = self._rest(SimRequest(fetch.method, fetch.path, fetch.body, now_ns=wall_ns()))
            answered(FetchResponse(given.status, given.body, wall_ns()))

        feed.fetch = answer
        feed.instruments = None  # their list isn't asked for
