"""Clients of the simulated venues over real sockets: well-behaved WebSockets, and raw TCP for those that are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

import pytest
import trio
import trio_websocket

Frame = bytes | str


class Serve(Protocol):
    """Serves until it is cancelled, and starts with its URL."""

    async def __call__(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None: ...


@asynccontextmanager
async def serving(*servers: Serve) -> AsyncIterator[tuple[list[str], trio.CancelScope]]:
    """The URLs of these servers, and the scope whose cancelling stops them all while clients stay."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            scope, stopped = trio.CancelScope(), trio.Event()

            async def run(task_status: trio.TaskStatus[list[str]]) -> None:
                with scope:
                    async with trio.open_nursery() as inner:
                        task_status.started([await inner.start(server) for server in servers])
                stopped.set()

            yield await nursery.start(run), scope
            scope.cancel()
            await stopped.wait()


async def tcp(url: str) -> trio.SocketStream:
    place = urlsplit(url)
    return await trio.open_tcp_stream(str(place.hostname), place.port or 0)


@asynccontextmanager
async def websocket(
    url: str, target: str = "", subprotocols: Sequence[str] = ()
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A connection to the URL, or to another target at its address. Its TCP stream is closed for certain, which the
    library forgets when the peer closes."""
    target = target or urlsplit(url).path
    async with await tcp(url) as stream, trio.open_nursery() as nursery:
        socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", target, subprotocols=subprotocols)
        yield socket
        with trio.move_on_after(2):
            await socket.aclose()
        nursery.cancel_scope.cancel()


async def closed_with(socket: trio_websocket.WebSocketConnection) -> tuple[list[Frame], int]:
    """What still comes until the peer closes the connection, and its close code."""
    frames: list[Frame] = []
    with pytest.raises(trio_websocket.ConnectionClosed) as closed:
        await _read_on(socket, frames)
    assert closed.value.reason is not None
    return frames, closed.value.reason.code


async def _read_on(socket: trio_websocket.WebSocketConnection, frames: list[Frame]) -> None:
    while True:
        frames.append(await socket.get_message())


def upgrade(target: str) -> bytes:
    """A client's handshake."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def status(url: str, target: str = "") -> int:
    """The HTTP status with which a client's handshake is answered."""
    async with await tcp(url) as stream:
        await stream.send_all(upgrade(target or urlsplit(url).path))
        return int((await stream.receive_some()).split()[1])


def masked(message: Frame) -> bytes:
    """A message as a client sends it, under a mask of zeros."""
    data = message.encode() if isinstance(message, str) else message
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return (b"\x81" if isinstance(message, str) else b"\x82") + size + bytes(4) + data


async def raw_websocket(url: str, target: str = "", said: Sequence[Frame] = ()) -> trio.SocketStream:
    """A connection after its handshake, on which these messages were sent and nothing is read."""
    stream = await tcp(url)
    await stream.send_all(upgrade(target or urlsplit(url).path))
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(1)
    for message in said:
        await stream.send_all(masked(message))
    return stream
