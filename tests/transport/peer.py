"""The other end of a connection, by hand: it writes exact bytes, and reads what a client's frames must look like."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import trio

from feedbus.transport import DialOptions

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Frame(NamedTuple):
    """What a client sent, unmasked."""

    opcode: int
    data: bytes
    rsv: int = 0


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = b"") -> bytes:
    """One frame as a server writes it, or as it must not."""
    first = opcode | rsv << 4 | (FIN if fin else 0)
    return bytes([first]) + _length(len(data), FIN if mask else 0) + mask + _masked(data, mask)


def _length(size: int, mask_bit: int) -> bytes:
    if size < 126:
        return bytes([mask_bit | size])
    wide = 2 if size < 65536 else 8
    return bytes([mask_bit | (126 if wide == 2 else 127)]) + size.to_bytes(wide)


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if mask else data


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame; the code may be any."""
    return frame(CLOSE, code.to_bytes(2) + reason)


class ClientLeft(Exception):
    """The client closed the connection before its request was whole: its program ended, or lost patience."""


class Peer:
    """A server's side of one connection. `request` is the head of what the client asked; `up` is set by the answer."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.request = b""
        self.up = trio.Event()
        self._unread = b""

    async def read_request(self) -> None:
        while b"\r\n\r\n" not in self.request:
            data = await self.stream.receive_some()
            if not data:
                raise ClientLeft
            self.request += data

    def header(self, name: bytes) -> bytes | None:
        """A header of the request."""
        for line in self.request.split(b"\r\n"):
            if line.lower().startswith(name.lower() + b":"):
                return line.partition(b":")[2].strip()
        return None

    def accept_line(self) -> bytes:
        key = self.header(b"Sec-WebSocket-Key")
        assert key is not None
        return b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest())

    def answer(self, *lines: bytes) -> bytes:
        """The good answer, with more headers if need be."""
        head = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", self.accept_line()]
        return b"\r\n".join([*head, *lines, b"", b""])

    async def accept(self, *lines: bytes, behind: bytes = b"") -> None:
        """Take the client in, and say something in the same write."""
        await self.read_request()
        await self.stream.send_all(self.answer(*lines) + behind)
        self.up.set()

    async def say(self, *data: bytes) -> None:
        await self.stream.send_all(b"".join(data))

    async def heard(self) -> Frame | None:
        """The next frame; None at the end of the stream, wherever that is."""
        while (size := self._frame_size()) is None:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._unread += data
        start, stop = size
        raw, self._unread = self._unread[:stop], self._unread[stop:]
        return Frame(raw[0] & 0x0F, _masked(raw[start:stop], raw[start - 4 : start]), raw[0] >> 4 & 7)

    def _frame_size(self) -> tuple[int, int] | None:
        """Where the payload begins and ends, None while that isn't all here."""
        if len(self._unread) < 2:
            return None
        second = self._unread[1]
        assert second & FIN, "a client masks"
        wide = {126: 2, 127: 8}.get(second & 0x7F, 0)
        start = 2 + wide + 4
        length = int.from_bytes(self._unread[2 : 2 + wide]) if wide else second & 0x7F
        return (start, start + length) if len(self._unread) >= start + length else None

    async def heard_close(self) -> tuple[int, bytes] | None:
        """Skip to the client's close frame: code and reason. None when there is none."""
        while (heard := await self.heard()) is not None:
            if heard.opcode == CLOSE:
                return int.from_bytes(heard.data[:2]), heard.data[2:]
        return None

    async def reset(self) -> None:
        """End the connection by a TCP reset."""
        stream = self.stream
        assert isinstance(stream, trio.SocketStream)
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def dialled(transport: ModuleType, stream: trio.abc.Stream, url: str, options: DialOptions) -> AsyncIterator[Any]:
    """A connection of this transport over `stream`, which takes the place of the TCP stream that its `dial` opens."""

    async def open_stream(*_: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport, "open_stream", open_stream)
            connection = await stack.enter_async_context(transport.dial(url, options))
        yield connection


Handler = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on a free port of this machine; yields its host and port."""

    async def serve(stream: trio.SocketStream) -> None:
        if context is None:
            with suppress(ClientLeft):
                await handler(Peer(stream))
            return
        encrypted = trio.SSLStream(stream, context, server_side=True)
        try:
            await encrypted.do_handshake()
        except trio.BrokenResourceError:
            return  # the client didn't like our certificate
        with suppress(ClientLeft):
            await handler(Peer(encrypted))

    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    place = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield place
        nursery.cancel_scope.cancel()
