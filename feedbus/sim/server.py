"""A simulated venue's WebSocket server on trio. It reads the clock, but knows no venue and no protocol's state.

One task advances the market. Each connection has a reader, and a writer that empties its outbox, so that a client which
doesn't read holds up nobody else. A client whose outbox is full misses steps and is sent the newest state next, or its
connection is cut if the venue does so.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from feedbus.sim.client_controls import ClientControls
from feedbus.sim.clock import now_ns
from feedbus.sim.seam import Conversation, Frame, MarketClock, ServerCounters
from feedbus.telemetry.listening import PatientListener

__all__ = ["Converse", "WebSocketSettings", "serve"]

Converse = Callable[[str, int], Conversation | int | None]
"""Makes the conversation with a client that asks for this target (path and query), at this time (ns since the epoch, by
feedbus.sim.clock). A number refuses the client with this HTTP status, None with 404."""

OUTBOX = 4096
"""How many frames may wait for a client. When its outbox is full, steps are left out and nothing is read from it."""
CATCH_UP_S = 2.0
"""How late the market may be. When it is later it catches up with the clock, and sends nothing for the steps
between."""
CLOSE_S = 0.7  # for the goodbye and the closing handshakes, when the server stops
HANDSHAKE_S = 10.0
PONG_S = 60.0
STUCK_S = 0.25
"""How long a client with a full outbox may take no frame before it is cut, if the venue does so."""
_log = logging.getLogger("feedbus.sim")
_CODES = {"": 1000, "close": 1000, "refuse": 1008}


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a venue's WebSocket server."""

    path: str
    """The path of the URL to connect to. Which targets are accepted is up to `converse`."""
    subprotocols: tuple[str, ...] = ()
    """The first subprotocol that a client offers and that is one of these is chosen."""
    max_message: int = 64 * 1024
    """The largest message taken from a client, in bytes."""
    ping_every: float | None = None
    """Seconds between pings to a client, whose connection is dropped when a pong takes a minute; None: no pings."""
    most_unsent: int | None = None
    """When this many frames wait for a client that takes none for a quarter of a second, its connection is cut without
    a closing frame. The delay makes sure that the client is too slow, not the server. None: connections aren't cut."""


async def serve(
    market: MarketClock,
    converse: Converse,
    settings: WebSocketSettings,
    host: str,
    port: int,
    *,
    counters: ServerCounters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and then close every connection within a second. Starts with the URL to connect to. Raises
    OSError when it can't listen there."""
    server = _WebSocketServer(market, converse, settings, counters or ServerCounters())
    listeners = await trio.open_tcp_listeners(port, host=host)
    patient = [PatientListener(each, _log) for each in listeners]
    async with trio.open_nursery() as nursery:
        connections = await nursery.start(_outlive_cancellation)
        try:
            async with trio.open_nursery() as inner:
                inner.start_soon(server.step_market)
                accept = partial(trio.serve_listeners, server.connection, patient, handler_nursery=connections)
                await inner.start(accept)
                task_status.started(f"ws://{_authority(listeners[0], host)}{settings.path}")
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await server.close()
            connections.cancel_scope.cancel()


async def _outlive_cancellation(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """A nursery for connections that goes on when the server is cancelled, so that they can say goodbye."""
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.shield = True
        task_status.started(nursery)
        await trio.sleep_forever()


def _authority(listener: trio.SocketListener, host: str) -> str:
    port = listener.socket.getsockname()[1]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


class _WebSocketServer:
    """The market's clock and the open connections."""

    def __init__(
        self, market: MarketClock, converse: Converse, settings: WebSocketSettings, counters: ServerCounters
    ) -> None:
        self._market = market
        self._begin = converse
        self._settings = settings
        self._counters = counters
        self._connections: set[_ClientConnection] = set()
        self._opened = trio.Event()
        self._opened_at = 0.0
        self._empty = trio.Event()
        self._closing = False

    def handled(self) -> None:
        """Start the market if it has been opened. Call it after each new conversation and each received message."""
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
            for client in self._connections:
                client.step()

    async def connection(self, stream: trio.SocketStream) -> None:
        """Serve one client until its connection ends. Whatever breaks the connection is caught here."""
        self._counters.connections += 1
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(HANDSHAKE_S):
                    limit = self._settings.max_message
                    watched = _WatchedStream(stream)
                    request = await trio_websocket.wrap_server_stream(nursery, watched, max_message_size=limit)
                await self._answer(request, watched)
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

    async def _answer(self, request: trio_websocket.WebSocketRequest, watched: _WatchedStream) -> None:
        conversation = self._begin(request.path, now_ns())
        if conversation is None or isinstance(conversation, int):
            await request.reject(conversation or 404)
            return
        self._counters.connections_open += 1  # counted before the handshake, as a venue may limit the number
        socket = None
        try:
            self.handled()
            watched.control = conversation.control
            offered = request.proposed_subprotocols
            chosen = next((name for name in offered if name in self._settings.subprotocols), None)
            with trio.fail_after(HANDSHAKE_S):
                socket = await request.accept(subprotocol=chosen)
        finally:
            self._counters.connections_open -= socket is None
        client = _ClientConnection(self, socket, conversation, self._settings, self._counters)
        watched.control = client.control
        await self._converse(socket, client)

    async def _converse(self, socket: trio_websocket.WebSocketConnection, client: _ClientConnection) -> None:
        conversation = client.conversation
        self._connections.add(client)
        try:
            await client.run()
        finally:
            self._connections.discard(client)
            self._counters.connections_open -= 1
            if conversation.ending != "abort" and not client.cut:
                with trio.move_on_after(CLOSE_S):
                    await self._close(client, socket)
            if not self._connections:
                self._empty.set()

    async def _close(self, client: _ClientConnection, socket: trio_websocket.WebSocketConnection) -> None:
        """Close a connection with the code for how the conversation ended, or with 1001 when the server stops."""
        if self._closing:
            await client.say_goodbye()
            await socket.aclose(1001)
        else:
            await socket.aclose(_CODES[client.conversation.ending])

    async def close(self) -> None:
        """Close all connections, and wait until they are closed."""
        self._closing = True
        self._empty = trio.Event()
        if self._connections:
            for client in self._connections:
                client.stop()
            await self._empty.wait()


class _WatchedStream(trio.abc.Stream):
    """The stream of one client. `control` is told of each ping and pong that comes on it; None before the handshake."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.control: Callable[[int], None] | None = None
        self._stream = stream
        self._frames = ClientControls()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if self.control is not None:
            for _ in range(self._frames.feed(data)):
                self.control(now_ns())
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ClientConnection:
    """The reader, the writer and the outbox of one connection."""

    def __init__(
        self,
        server: _WebSocketServer,
        socket: trio_websocket.WebSocketConnection,
        conversation: Conversation,
        settings: WebSocketSettings,
        counters: ServerCounters,
    ) -> None:
        self.conversation = conversation
        self.cut = False
        self._server = server
        self._socket = socket
        self._settings = settings
        self._counters = counters
        self._full = settings.most_unsent or OUTBOX
        self._taken_at = trio.current_time()
        self._outbox: deque[Frame] = deque()
        self._work = trio.Event()
        self._room = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Read and write until the client has gone, the conversation ends, or `stop` is called."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                if self._settings.ping_every is not None:
                    nursery.start_soon(self._ping, self._settings.ping_every)
                await self._read()

    def stop(self) -> None:
        self._scope.cancel()

    def control(self, now_ns: int) -> None:
        """The client sent a ping or a pong, which may be one message too many."""
        self.conversation.control(now_ns)
        self._put(())

    def step(self) -> None:
        """Put what the market's newest step brings into the outbox. When there is no room the step is left out; the
        next step with room brings the newest state."""
        if self.conversation.ending:
            return
        if len(self._outbox) < self._full:
            self._put(self.conversation.due())
        elif self._settings.most_unsent is not None and trio.current_time() - self._taken_at > STUCK_S:
            self._cut()
        else:
            self._counters.conflations += 1

    def _cut(self) -> None:
        if not self.cut:
            self.cut = True
            self._counters.connections_cut += 1
            self.stop()

    async def say_goodbye(self) -> None:
        """Send the last frames. Frames that still wait are dropped, as the client may have stopped reading."""
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
            self._put(self.conversation.receive(data, now_ns()))
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
