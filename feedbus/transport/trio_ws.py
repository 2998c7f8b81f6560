"""The transport `trio-websocket`: the library of that name behind our seam. May touch sockets.

`dial` is a feedbus.transport.Dial. The library runs in a background task of ours, which catches whatever it raises. It
reads from a GuardedStream, which ends the library's reader by raising a VenueError of ours. The library offers no
compression to clients.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.frame_protocol import CloseReason, FrameProtocol
from wsproto.utilities import RemoteProtocolError

from feedbus import ticks
from feedbus.errors import BadData, ClosedByPeer, ConfigError, ConnectFailed, TimedOut, VenueError
from feedbus.text import one_line
from feedbus.transport import DialOptions
from feedbus.transport.frames import ABNORMAL, PLACE
from feedbus.transport.guarded import GuardedStream
from feedbus.transport.handshake import Address, parse_address
from feedbus.transport.reasons import why
from feedbus.transport.streams import abandon, background, closed_on_failure, open_stream, time_limit
from feedbus.transport.tcp import READ_SIZE

QUEUE = 1
"""How many messages the library may read ahead of `receive`: the least possible. What is not read stays in the socket,
so that TCP slows down a peer that sends faster than we receive."""


@asynccontextmanager
async def dial(url: str, options: DialOptions) -> AsyncIterator[TrioWebSocket]:
    """Open a connection to `url`. Raises ConfigError for a bad URL or when the options ask for compression,
    ConnectFailed or TimedOut."""
    address = _checked(url, options)
    async with background() as nursery:
        with time_limit(address, options):
            stream = await open_stream(address, options)
            connection = await _open(nursery, stream, address, options)
        async with _closing(nursery, connection):
            yield connection


def _checked(url: str, options: DialOptions) -> Address:
    if options.compression:
        raise ConfigError("trio-websocket has no compression for clients; use the transport sansio")
    return parse_address(url)


async def _open(
    nursery: trio.Nursery, stream: trio.abc.Stream, address: Address, options: DialOptions
) -> TrioWebSocket:
    async with closed_on_failure(stream, address):
        connection = TrioWebSocket(stream, address, options)
        nursery.start_soon(connection.run_library)
        await connection.wait_opened()
    nursery.start_soon(connection.keep_alive)
    return connection


@asynccontextmanager
async def _closing(nursery: trio.Nursery, connection: TrioWebSocket) -> AsyncIterator[None]:
    """Close the connection when the body ends, however that is."""
    try:
        yield
    finally:
        # When we are being cancelled, the close frame is sent, but the peer's isn't waited for.
        cancelled = trio.current_effective_deadline() <= trio.current_time()
        # The library's reader must live until it has received the peer's close frame.
        nursery.cancel_scope.shield = True
        await connection.close(await_peer=not cancelled)


class TrioWebSocket:
    """One WebSocket of trio-websocket. feedbus.transport.Connection describes what its methods promise."""

    def __init__(self, stream: trio.abc.Stream, address: Address, options: DialOptions) -> None:
        self.messages_received = 0
        self._stream = GuardedStream(stream, address.place, options.max_message_size, options.control_sent)
        self._raw = stream
        self._address = address
        self._options = options
        self._ws: WebSocketConnection  # it is set when the handshake has succeeded
        self._is_open = False
        self._opened = trio.Event()  # the handshake is over, with success or not
        self._ended = trio.Event()  # the library's reader has ended
        self._failure: VenueError | None = None
        self._send_lock = trio.Lock()
        self._receiving = False
        self._pong = trio.Event()
        # The code and reason of the close frame that we shall send.
        self._close_frame = (int(CloseReason.NORMAL_CLOSURE), "")

    @property
    def bytes_received(self) -> int:
        """The bytes that have come from the socket since the handshake."""
        return self._stream.bytes_received

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, None when it chose none."""
        subprotocol: str | None = self._ws.subprotocol
        return subprotocol

    async def run_library(self) -> None:
        """Run the library's tasks from the handshake to the end of its reader. What they raise becomes our failure."""
        try:
            async with trio.open_nursery() as nursery:
                self._ws = await self._shake_hands(nursery)
                self._is_open = True
                self._stream.attach(self._ws)
                self._opened.set()
        except* Exception as group:
            self._end(self._verdict(group))
        finally:
            self._ended.set()
            self._opened.set()
        # The reader ended because the peer violated the protocol: tell it at once, whether or not a task receives.
        if self._close_frame[0] != CloseReason.NORMAL_CLOSURE:
            await self._send_close()

    async def _shake_hands(self, nursery: trio.Nursery) -> WebSocketConnection:
        options = self._options
        return await wrap_client_stream(
            nursery,
            self._stream,  # type: ignore[arg-type]  # the annotation is too narrow: any stream will do
            self._address.host_header,
            self._address.uri.resource_name,
            subprotocols=options.subprotocols,
            extra_headers=[(name.encode(), value.encode()) for name, value in self._address.headers],
            message_queue_size=QUEUE,
            max_message_size=options.max_message_size,
            receive_buffer_size=READ_SIZE,
        )

    async def wait_opened(self) -> None:
        """Wait until the handshake is over. Raises ConnectFailed when it failed."""
        await self._opened.wait()
        if self._failure is not None and not self._is_open:
            raise self._failure

    def _verdict(self, raised: BaseException) -> VenueError:
        """Return why the library's reader ended. Mostly that is the VenueError which our GuardedStream raised."""
        while isinstance(raised, BaseExceptionGroup):
            raised = raised.exceptions[0]
        if isinstance(raised, BadData):
            self._close_frame = (self._close_code(), raised.reason)
        if isinstance(raised, VenueError):
            return raised
        if not self._is_open:
            return ConnectFailed(f"{self._address.place}: {_refusal(raised)}")
        self._close_frame = (int(CloseReason.PROTOCOL_ERROR), "")
        return BadData(PLACE, f"the library could not cope: {why(raised)}")

    def _close_code(self) -> int:
        """Return the close code for the peer's violation: the library's, or 1009 when it exceeded a limit of ours."""
        closed = self._ws.closed if self._is_open else None
        return int(closed.code if closed is not None else CloseReason.MESSAGE_TOO_BIG)

    async def receive(self) -> tuple[list[bytes | bytearray], int]:
        """Return one message, and the time at which the last of its bytes was read."""
        self._receiving = True
        try:
            message = await self._ws.get_message()
        except ConnectionClosed:
            await self._ended.wait()
            raise self._end(ClosedByPeer(ABNORMAL)) from None
        finally:
            self._receiving = False
        self.messages_received += 1
        if self._options.rounds is not None:
            self._options.rounds.took(1)
        return [message.encode() if isinstance(message, str) else message], self._stream.times.popleft()

    async def send(self, messages: Sequence[bytes | bytearray | str]) -> None:
        """Write these messages in one write. One that is cancelled half-way ends the connection."""
        async with self._send_lock:
            if self._failure is not None:
                raise self._failure
            # The library writes each message by itself: hold them back, and write them all together.
            self._stream.hold_writes()
            try:
                for message in messages:
                    await self._ws.send_message(message if isinstance(message, str) else bytes(message))
                await self._stream.write_held()
            except ConnectionClosed:
                await self._ended.wait()
                raise self._end(ClosedByPeer(ABNORMAL)) from None
            except VenueError as error:
                raise self._failure or error from error.__cause__
            finally:
                self._stream.discard_held()

    async def keep_alive(self) -> None:
        """Send a ping every ping_interval, and end the connection when a pong is overdue."""
        number = 0
        interval = self._options.ping_interval
        next_ping = trio.current_time() + interval
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep_until(ticks.shared(next_ping, interval))
                next_ping = trio.current_time() + interval
                if self._failure is not None:
                    return
                number += 1
                self._pong = trio.Event()
                nursery.start_soon(self._ping, b"%d" % number)
                if await self._is_overdue():
                    # The failure is set first: closing the stream wakes `receive`, which must report this failure.
                    self._end(TimedOut(f"no pong within {self._options.ping_timeout:g} s"))
                    await abandon(self._raw)
                    return

    async def _ping(self, payload: bytes) -> None:
        try:
            await self._ws.ping(payload)
        except ConnectionClosed:
            return  # `receive` raises what ended the connection
        self._pong.set()

    async def _is_overdue(self) -> bool:
        """Wait for the pong. Returns True when it is overdue.

        While no task receives, the library may stop reading, and then notices no pong. So a pong is overdue only if a
        task receives now and did so when we began to wait, or if the ping itself could not be written; otherwise we
        wait once more.
        """
        while True:
            watched = self._receiving
            with trio.move_on_after(self._options.ping_timeout):
                await self._pong.wait()
            if self._pong.is_set():
                return False
            stuck = self._stream.writing_for() > self._options.ping_timeout / 2
            if stuck or (watched and self._receiving):
                return True

    async def close(self, *, await_peer: bool) -> None:
        """Do the closing handshake (RFC 6455, section 7.1.2) within close_timeout, then close the stream in any case.

        `await_peer` says whether to wait for the peer's close frame. No failure of the peer is raised.
        """
        try:
            with trio.move_on_after(self._options.close_timeout, shield=True):
                if self._failure is None or isinstance(self._failure, BadData):
                    self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
                    await self._send_close()
                    if await_peer:
                        await self._await_close()
        finally:
            await abandon(self._raw)

    async def _send_close(self) -> None:
        # The library's own aclose() also waits for the peer, which isn't always wanted: so the frame is made here.
        code, reason = self._close_frame
        await self._stream.send_last(bytes(FrameProtocol(client=True, extensions=[]).close(code, reason)))

    async def _await_close(self) -> None:
        """Wait for the peer's close frame or the end of the stream. All other data is discarded."""
        if not self._ended.is_set():
            try:
                while True:
                    await self._ws.get_message()
            except ConnectionClosed:
                await self._ended.wait()
        else:
            await self._stream.drain()

    def _end(self, failure: VenueError) -> VenueError:
        """Note a failure. The first one counts, because the others mostly follow from it. Returns the first one."""
        self._failure = self._failure or failure
        return self._failure


def _refusal(raised: BaseException) -> str:
    """Describe why the library refused the response to our request.

    Having refused it, the library tries to send an HTTP error, which only a server may do. That raises another error,
    so the reason is found in the chain of contexts behind it.
    """
    error: BaseException | None = raised
    while error is not None and not isinstance(error, RemoteProtocolError):
        error = error.__context__
    reason = one_line(str(error or raised))
    if reason.startswith("unrecognized"):
        return f"the server chose what we did not offer: {reason}"
    if reason == "Bad HTTP message":
        return f"no WebSocket server: {reason}"
    return f"bad answer to the handshake: {reason}"
