"""The simulated MOEX ISS+ venue as a WebSocket server on trio. Reads the clock; keeps no state of the protocol.

One task steps the market. Each connection has a reader, and a writer that empties its outbox: a client that
doesn't read stops nobody but itself, and when its outbox is full it misses steps (it gets the newest state next).
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from feedbus.sim.conversation import Conversation, Counters, Options, Venue

__all__ = ["PATH", "Counters", "Options", "serve"]

PATH = "/infocx/v3/websocket"
SUBPROTOCOLS = ("STOMP", "v12.stomp")
OUTBOX = 4096
"""Frames that may wait for a client; at a full outbox a step is left out, and no more is read from the client."""
CATCH_UP_S = 2.0
"""How late the market's steps may be sent. Beyond that it hurries on to the present, sending nothing on the way."""
CLOSE_S = 0.7
HANDSHAKE_S = 10.0


async def serve(
    options: Options,
    host: str,
    port: int,
    *,
    counters: Counters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then close every connection, within a second. Starts with the URL to connect to."""
    server = _Server(Venue(options, counters))
    listeners = await trio.open_tcp_listeners(port, host=host)
    async with trio.open_nursery() as nursery:
        connections = await nursery.start(_outlive_cancellation)
        try:
            async with trio.open_nursery() as inner:
                inner.start_soon(server.step_market)
                accept = partial(trio.serve_listeners, server.connection, listeners, handler_nursery=connections)
                await inner.start(accept)
                task_status.started(_url(listeners[0], host))
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


def _url(listener: trio.SocketListener, host: str) -> str:
    port = listener.socket.getsockname()[1]
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


class _Server:
    """The market's clock and the open connections."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._counters = venue.counters
        self._links: set[_Link] = set()
        self._opened = trio.Event()
        self._opened_at = 0.0
        self._empty = trio.Event()
        self._closing = False

    def received(self) -> None:
        """A client's message was handled; the first SUBSCRIBE has set the market going."""
        if self._venue.market.opened and not self._opened.is_set():
            self._opened_at = trio.current_time()
            self._opened.set()

    async def step_market(self) -> None:
        await self._opened.wait()
        market = self._venue.market
        step_s = self._venue.step_ns / 1e9
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
                    socket = await self._accept(nursery, stream)
                if socket is not None:
                    await self._converse(socket)
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

    async def _accept(
        self, nursery: trio.Nursery, stream: trio.SocketStream
    ) -> trio_websocket.WebSocketConnection | None:
        limit = self._venue.options.max_frame
        request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=limit)
        if request.path.partition("?")[0] != PATH:
            await request.reject(404)
            return None
        offered = request.proposed_subprotocols
        return await request.accept(subprotocol=next((name for name in offered if name in SUBPROTOCOLS), None))

    async def _converse(self, socket: trio_websocket.WebSocketConnection) -> None:
        link = _Link(self, socket, Conversation(self._venue), self._counters)
        self._links.add(link)
        self._counters.connections_open += 1
        try:
            await link.run()
        finally:
            self._links.discard(link)
            self._counters.connections_open -= 1
            if link.conversation.ending != "abort":
                with trio.move_on_after(CLOSE_S):
                    await socket.aclose(1001 if self._closing else 1000)
            if not self._links:
                self._empty.set()

    async def close(self) -> None:
        """Tell every client that the server goes away, and wait until all have gone."""
        self._closing = True
        self._empty = trio.Event()
        if self._links:
            for link in self._links:
                link.stop()
            await self._empty.wait()


class _Link:
    """The outgoing path and the reading loop of one connection."""

    def __init__(
        self,
        server: _Server,
        socket: trio_websocket.WebSocketConnection,
        conversation: Conversation,
        counters: Counters,
    ) -> None:
        self.conversation = conversation
        self._server = server
        self._socket = socket
        self._counters = counters
        self._outbox: deque[bytes] = deque()
        self._work = trio.Event()
        self._room = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Until the client has gone, says DISCONNECT, or `stop` is called."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read()

    def stop(self) -> None:
        self._scope.cancel()

    def step(self) -> None:
        """The market has moved. What is left out now comes with the next step that finds room, in its newest state."""
        if len(self._outbox) >= OUTBOX:
            self._counters.conflations += 1
        else:
            self._put(self.conversation.due())

    def _put(self, frames: list[bytes]) -> None:
        if frames:
            self._outbox.extend(frames)
            self._work.set()

    async def _read(self) -> None:
        while not self.conversation.ending:
            try:
                data = await self._socket.get_message()
            except trio_websocket.ConnectionClosed:
                self.stop()
                return
            self._put(self.conversation.receive(data, time.time_ns()))
            self._server.received()
            while len(self._outbox) >= OUTBOX:
                self._room = trio.Event()
                await self._room.wait()
        self._work.set()

    async def _write(self) -> None:
        while True:
            await self._send_all()
            if self.conversation.ending:
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
            self._counters.frames_sent += 1
            self._counters.bytes_sent += len(frame)
        self._room.set()
