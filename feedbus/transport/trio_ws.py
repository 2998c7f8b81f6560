"""The transport over trio-websocket: opening, using and leaving one of its connections. May touch sockets.

`dial` is the seam's Dial; `wrap` is the same over a stream that somebody else connected. The library runs in a task of
ours, where whatever it raises ends, and over a GuardedStream, which ends its reader by a VenueError of ours. It has no
compression to offer to a client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.frame_protocol import CloseReason, FrameProtocol
from wsproto.utilities import RemoteProtocolError

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
"""How many messages the library reads ahead of `receive`."""


@asynccontextmanager
async def dial(url: str, options: DialOptions) -> AsyncIterator[TrioWebSocket]:
    """Open a connection to `url`. Raises ConfigError for a bad URL or when compression is asked, and what the seam
    says."""
    address = _checked(url, options)
    async with background() as nursery:
        with time_limit(address, options):
            stream = await open_stream(address, options)
            connection = await _open(nursery, stream, address, options)
        async with _left_cleanly(nursery, connection):
            yield connection


@asynccontextmanager
async def wrap(stream: trio.abc.Stream, url: str, options: DialOptions) -> AsyncIterator[TrioWebSocket]:
    """The same over a stream that is connected, and encrypted if it is to be. It is closed in the end, always."""
    try:
        address = _checked(url, options)
        async with background() as nursery:
            with time_limit(address, options):
                connection = await _open(nursery, stream, address, options)
            async with _left_cleanly(nursery, connection):
                yield connection
    finally:
        await abandon(stream)


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
async def _left_cleanly(nursery: trio.Nursery, connection: TrioWebSocket) -> AsyncIterator[None]:
    try:
        yield
    finally:
        cancelled = trio.current_effective_deadline() <= trio.current_time()
        nursery.cancel_scope.shield = True  # the library has to hear the peer's goodbye
        await connection.close(await_peer=not cancelled)


class TrioWebSocket:
    """One WebSocket of trio-websocket's; the seam's Connection says what its methods promise."""

    def __init__(self, stream: trio.abc.Stream, address: Address, options: DialOptions) -> None:
        self.messages_received = 0
        self._stream = GuardedStream(stream, address.place, options.max_message_size)
        self._raw = stream
        self._address = address
        self._options = options
        self._ws: WebSocketConnection  # from the end of the handshake on
        self._is_open = False
        self._opened = trio.Event()  # or failed to be
        self._ended = trio.Event()  # the library reads no more
        self._failure: VenueError | None = None
        self._send_lock = trio.Lock()
        self._receiving = False
        self._pong = trio.Event()
        self._goodbye = (int(CloseReason.NORMAL_CLOSURE), "")

    @property
    def bytes_received(self) -> int:
        """Those behind the handshake."""
        return self._stream.bytes_received

    @property
    def subprotocol(self) -> str | None:
        """What the server chose of those offered."""
        subprotocol: str | None = self._ws.subprotocol
        return subprotocol

    async def run_library(self) -> None:
        """The life of the library's tasks, from the handshake to the end of its reader. Raises nothing of theirs."""
        try:
            async with trio.open_nursery() as nursery:
                self._ws = await self._shake_hands(nursery)
                self._is_open = True
                self._stream.watch(self._ws)
                self._opened.set()
        except* Exception as group:
            self._end(self._verdict(group))
        finally:
            self._ended.set()
            self._opened.set()
        if self._goodbye[0] != CloseReason.NORMAL_CLOSURE:
            await self._say_goodbye()

    async def _shake_hands(self, nursery: trio.Nursery) -> WebSocketConnection:
        options = self._options
        return await wrap_client_stream(
            nursery,
            self._stream,  # type: ignore[arg-type]  # any stream will do
            self._address.host_header,
            self._address.uri.resource_name,
            subprotocols=options.subprotocols,
            extra_headers=[(name.encode(), value.encode()) for name, value in self._address.headers],
            message_queue_size=QUEUE,
            max_message_size=options.max_message_size,
            receive_buffer_size=READ_SIZE,
        )

    async def wait_opened(self) -> None:
        """Until the handshake is over. Raises what made it fail."""
        await self._opened.wait()
        if self._failure is not None and not self._is_open:
            raise self._failure

    def _verdict(self, raised: BaseException) -> VenueError:
        """What ended the library's reader, in our own words: mostly it is our own error coming back."""
        while isinstance(raised, BaseExceptionGroup):
            raised = raised.exceptions[0]
        if isinstance(raised, BadData):
            self._goodbye = (self._close_code(), raised.reason)
        if isinstance(raised, VenueError):
            return raised
        if not self._is_open:
            return ConnectFailed(f"{self._address.place}: {_refusal(raised)}")
        self._goodbye = (int(CloseReason.PROTOCOL_ERROR), "")
        return BadData(PLACE, f"the library could not cope: {why(raised)}")

    def _close_code(self) -> int:
        closed = self._ws.closed if self._is_open else None
        return int(closed.code if closed is not None else CloseReason.MESSAGE_TOO_BIG)

    async def receive(self) -> tuple[list[bytes | bytearray], int]:
        """One message, and when the last of its bytes came."""
        self._receiving = True
        try:
            message = await self._ws.get_message()
        except ConnectionClosed:
            await self._ended.wait()
            raise self._end(ClosedByPeer(ABNORMAL)) from None
        finally:
            self._receiving = False
        self.messages_received += 1
        return [message.encode() if isinstance(message, str) else message], self._stream.times.popleft()

    async def send(self, messages: Sequence[bytes | bytearray | str]) -> None:
        """Write these messages at once; a write that is cancelled half way ends the connection."""
        async with self._send_lock:
            if self._failure is not None:
                raise self._failure
            self._stream.gather()
            try:
                for message in messages:
                    await self._ws.send_message(message if isinstance(message, str) else bytes(message))
                await self._stream.flush()
            except ConnectionClosed:
                await self._ended.wait()
                raise self._end(ClosedByPeer(ABNORMAL)) from None
            except VenueError as error:
                raise self._failure or error from error.__cause__
            finally:
                self._stream.release()

    async def keep_alive(self) -> None:
        """Ping in intervals, and end the connection when a pong is overdue."""
        number = 0
        next_ping = trio.current_time() + self._options.ping_interval
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep_until(next_ping)
                next_ping = trio.current_time() + self._options.ping_interval
                if self._failure is not None:
                    return
                number += 1
                self._pong = trio.Event()
                nursery.start_soon(self._ping, b"%d" % number)
                if await self._is_overdue():
                    self._end(TimedOut(f"no pong within {self._options.ping_timeout:g} s"))
                    await abandon(self._raw)
                    return

    async def _ping(self, payload: bytes) -> None:
        try:
            await self._ws.ping(payload)
        except ConnectionClosed:
            return  # whoever reads learns of it
        self._pong.set()

    async def _is_overdue(self) -> bool:
        """Wait for the pong. It is overdue only if somebody would have seen it, that is receives now and did when we
        began to wait; or if the ping itself could not be written."""
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
        """Say goodbye as far as that goes in close_timeout, then close the stream. Never raises for the peer's sake."""
        try:
            with trio.move_on_after(self._options.close_timeout, shield=True):
                if self._failure is None or isinstance(self._failure, BadData):
                    self._end(ClosedByPeer(ABNORMAL, "closed on our side"))
                    await self._say_goodbye()
                    if await_peer:
                        await self._await_end()
        finally:
            await abandon(self._raw)

    async def _say_goodbye(self) -> None:
        code, reason = self._goodbye
        await self._stream.say_last(bytes(FrameProtocol(client=True, extensions=[]).close(code, reason)))

    async def _await_end(self) -> None:
        """Until the peer has said goodbye too; what it says besides is discarded."""
        if not self._ended.is_set():
            try:
                while True:
                    await self._ws.get_message()
            except ConnectionClosed:
                await self._ended.wait()
        else:
            await self._stream.drain()

    def _end(self, failure: VenueError) -> VenueError:
        """The first failure is the one that counts: it is returned."""
        self._failure = self._failure or failure
        return self._failure


def _refusal(raised: BaseException) -> str:
    """Why the library refused the answer to our request. It then tries to answer in turn, as only a server may, so
    that its reason is to be found behind the error that this makes."""
    error: BaseException | None = raised
    while error is not None and not isinstance(error, RemoteProtocolError):
        error = error.__context__
    reason = one_line(str(error or raised))
    if reason.startswith("unrecognized"):
        return f"the server chose what we did not offer: {reason}"
    if reason == "Bad HTTP message":
        return f"no WebSocket server: {reason}"
    return f"bad answer to the handshake: {reason}"
