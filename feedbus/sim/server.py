"""A simulated venue's WebSocket server on trio. Reads the clock; knows no venue and keeps no state of a protocol.

One task steps the market. Each connection has a reader, and a writer that empties its outbox: a client that
doesn't read stops nobody but itself, and when its outbox is full it misses steps (it gets the newest state next) or,
where the venue does so, is cut off.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from feedbus.sim.seam import Conversation, Frame, MarketClock, ServerCounters

__all__ = ["Converse", "Endpoint", "serve"]

Converse = Callable[[str, int], Conversation | int | None]
"""Begins the conversation with a client that asks for this target (path and query), at this time. A number is the HTTP
status that refuses it; None: 404."""

OUTBOX = 4096
"""Frames that may wait for a client; at a full outbox a step is left out, and no more is read from the client."""
CATCH_UP_S = 2.0
"""How late the market's steps may be sent. Beyond that it hurries on to the present, sending nothing on the way."""
CLOSE_S = 0.7
HANDSHAKE_S = 10.0
PONG_S = 60.0
STUCK_S = 0.25
"""How long a client with a full outbox may take nothing, where the venue cuts such clients off."""
_CODES = {"": 1000, "close": 1000, "refuse": 1008}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue's WebSocket connections are like."""

    path: str
    """What the URL to connect to ends in; which targets are taken is up to `converse`."""
    subprotocols: tuple[str, ...] = ()
    """Of those that a client offers, the first one that is here is chosen."""
    max_message: int = 64 * 1024
    """The largest message taken from a client, in bytes."""
    ping_every: float | None = None
    """Seconds between pings to a client, which is dropped when its pong takes a minute; None: no pings."""
    most_unsent: int | None = None
    """A client for which so many frames wait, and that takes none of them for a quarter of a second, is cut without a
    closing frame: it is not the server that is too slow. None: it isn't."""


async def serve(
    market: MarketClock,
    converse: Converse,
    endpoint: Endpoint,
    host: str,
    port: int,
    *,
    counters: ServerCounters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to."""
    server = _WebSocketServer(market, converse, endpoint, counters or ServerCounters())
    listeners = await trio.open_tcp_listeners(port, host=host)
    async with trio.open_nursery() as nursery:
        connections = await nursery.start(_outlive_cancellation)
        try:
            async with trio.open_nursery() as inner:
                inner.start_soon(server.step_market)
                accept = partial(trio.serve_listeners, server.connection, listeners, handler_nursery=connections)
                await inner.start(accept)
                task_status.started(f"ws://{_place(listeners[0], host)}{endpoint.path}")
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await server.close()
            connections.cancel_scope.cancel()


async def _outlive_cancellation(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """A nursery for connections, which goes on for a moment when the server is cancelled: to say goodbye."""
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.shield = True
        task_status.started(nursery)
        await trio.sleep_forever()


def _place(listener: trio.SocketListener, host: str) -> str:
    port = listener.socket.getsockname()[1]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


class _WebSocketServer:
    """The market's clock and the open connections."""

    def __init__(self, market: MarketClock, converse: Converse, endpoint: Endpoint, counters: ServerCounters) -> None:
        self._market = market
        self._converse_with = converse
        self._endpoint = endpoint
        self._counters = counters
        self._links: set[_ServerLink] = set()
        self._opened = trio.Event()
        self._opened_at = 0.0
        self._empty = trio.Event()
        self._closing = False

    def handled(self) -> None:
        """A client came, or its message was handled; that may have set the market going."""
        if self._market.opened and not self._opened.is_set():
            self._opened_at = trio.current_time()
            self._opened.set()

    async def step_market(self) -> None:
        await self._opened.wait()
        market = self._market
        step_s = market.step_ns / 1e9
        hurry = False
        while True:
            await trio.sleep_until(self._opened_at + (market.step + 1) * step_s)
            market.advance()
            self._counters.steps += 1
            late = trio.current_time() - self._opened_at - market.step * step_s
            hurry = late > (step_s if hurry else CATCH_UP_S)
            if hurry:
                self._counters.steps_skipped += 1
                continue
            for link in self._links:
                link.step()

    async def connection(self, stream: trio.SocketStream) -> None:
        """One client, from TCP to its end. Whatever it does to the connection ends here."""
        self._counters.connections += 1
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(HANDSHAKE_S):
                    limit = self._endpoint.max_message
                    request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=limit)
                await self._answer(request)
                nursery.cancel_scope.cancel()
        except* (
            trio_websocket.ConnectionClosed,
            trio_websocket.HandshakeError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.TooSlowError,
            ProtocolError,
        ):
            self._counters.connections_broken += 1
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, request: trio_websocket.WebSocketRequest) -> None:
        conversation = self._converse_with(request.path, time.time_ns())
        if conversation is None or isinstance(conversation, int):
            await request.reject(conversation or 404)
            return
        self._counters.connections_open += 1  # already, as a venue may limit how many there are
        socket = None
        try:
            self.handled()
            offered = request.proposed_subprotocols
            chosen = next((name for name in offered if name in self._endpoint.subprotocols), None)
            with trio.fail_after(HANDSHAKE_S):
                socket = await request.accept(subprotocol=chosen)
        finally:
            self._counters.connections_open -= socket is None
        await self._converse(socket, conversation)

    async def _converse(self, socket: trio_websocket.WebSocketConnection, conversation: Conversation) -> None:
        link = _ServerLink(self, socket, conversation, self._endpoint, self._counters)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            self._counters.connections_open -= 1
            if conversation.ending != "abort" and not link.cut:
                with trio.move_on_after(CLOSE_S):
                    await self._part(link, socket)
            if not self._links:
                self._empty.set()

    async def _part(self, link: _ServerLink, socket: trio_websocket.WebSocketConnection) -> None:
        """Close in the way that the conversation, or the server's own end, calls for."""
        if self._closing:
            await link.say_goodbye()
            await socket.aclose(1001)
        else:
            await socket.aclose(_CODES[link.conversation.ending])

    async def close(self) -> None:
        """Tell every client that the server goes away, and wait until all have gone."""
        self._closing = True
        self._empty = trio.Event()
        if self._links:
            for link in self._links:
                link.stop()
            await self._empty.wait()


class _ServerLink:
    """The outgoing path and the reading loop of one connection."""

    def __init__(
        self,
        server: _WebSocketServer,
        socket: trio_websocket.WebSocketConnection,
        conversation: Conversation,
        endpoint: Endpoint,
        counters: ServerCounters,
    ) -> None:
        self.conversation = conversation
        self.cut = False
        self._server = server
        self._socket = socket
        self._endpoint = endpoint
        self._counters = counters
        self._full = endpoint.most_unsent or OUTBOX
        self._taken_at = trio.current_time()
        self._outbox: deque[Frame] = deque()
        self._work = trio.Event()
        self._room = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Until the client has gone, the conversation ends, or `stop` is called."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                if self._endpoint.ping_every is not None:
                    nursery.start_soon(self._ping, self._endpoint.ping_every)
                await self._read()

    def stop(self) -> None:
        self._scope.cancel()

    def step(self) -> None:
        """The market has moved. What is left out now comes with the next step that finds room, in its newest state."""
        if self.conversation.ending:
            return
        if len(self._outbox) < self._full:
            self._put(self.conversation.due())
        elif self._endpoint.most_unsent is not None and trio.current_time() - self._taken_at > STUCK_S:
            self._cut()
        else:
            self._counters.conflations += 1

    def _cut(self) -> None:
        if not self.cut:
            self.cut = True
            self._counters.connections_cut += 1
            self.stop()

    async def say_goodbye(self) -> None:
        """What still waits is dropped: the client may have stopped reading."""
        self._outbox = deque(self.conversation.goodbye())
        await self._send_all()

    def _put(self, frames: Sequence[Frame]) -> None:
        self._outbox.extend(frames)
        if frames or self.conversation.ending:
            self._work.set()

    async def _ping(self, every: float) -> None:
        while True:
            await trio.sleep(every)
            try:
                with trio.fail_after(PONG_S):
                    await self._socket.ping()
            except trio_websocket.ConnectionClosed:
                self.stop()
                return

    async def _read(self) -> None:
        while not self.conversation.ending:
            try:
                data = await self._socket.get_message()
            except trio_websocket.ConnectionClosed:
                self.stop()
                return
            self._put(self.conversation.receive(data, time.time_ns()))
            self._server.handled()
            while len(self._outbox) >= self._full:
                self._room = trio.Event()
                await self._room.wait()

    async def _write(self) -> None:
        while True:
            await self._send_all()
            if self.conversation.ending and not self._outbox:
                self.stop()
                return
            self._work = trio.Event()
            await self._work.wait()

    async def _send_all(self) -> None:
        while self._outbox:
            frame = self._outbox.popleft()
            try:
                await self._socket.send_message(frame)
            except trio_websocket.ConnectionClosed:
                self.stop()
                return
            self._taken_at = trio.current_time()
            self._counters.frames_sent += 1
            self._counters.bytes_sent += len(frame)
        self._room.set()
