"""The WebSocket transport: opening and leaving connections over TCP, with or without TLS. May touch sockets.

`dial` is the seam's Dial; `wrap` is the same over a stream that somebody else connected.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from feedbus.errors import ConnectFailed, TimedOut
from feedbus.transport import Options
from feedbus.transport.connection import STREAM_ERRORS, Opened, WebSocketConnection, abandon
from feedbus.transport.handshake import Address, Handshake, parse_address
from feedbus.transport.reasons import why
from feedbus.transport.tcp import READ_SIZE, TcpStream
from feedbus.transport.tls import system_tls_context, tls_context

__all__ = ["dial", "tls_context", "wrap"]


@asynccontextmanager
async def dial(url: str, options: Options) -> AsyncIterator[WebSocketConnection]:
    """Open a connection to `url`. Raises ConfigError for a bad URL, and what the seam says."""
    address = parse_address(url)
    with _time_limit(address, options):
        stream = await _open_stream(address, options)
        opened = await _shake_hands(stream, address, options)
    async with _running(opened, options) as connection:
        yield connection


@asynccontextmanager
async def wrap(stream: trio.abc.Stream, url: str, options: Options) -> AsyncIterator[WebSocketConnection]:
    """The same over a stream that is connected, and encrypted if it is to be. It is closed in the end, always."""
    try:
        address = parse_address(url)
        with _time_limit(address, options):
            opened = await _shake_hands(stream, address, options)
        async with _running(opened, options) as connection:
            yield connection
    finally:
        await abandon(stream)


@contextmanager
def _time_limit(address: Address, options: Options) -> Iterator[None]:
    with trio.move_on_after(options.connect_timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut(f"{address.place}: no connection within {options.connect_timeout:g} s")


async def _open_stream(address: Address, options: Options) -> trio.abc.Stream:
    uri = address.uri
    try:
        stream = TcpStream(await trio.open_tcp_stream(uri.host, uri.port))
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{address.place}: {why(error)}") from error
    if not uri.secure:
        return stream
    async with _closed_on_failure(stream, address):
        # https_compatible: whether the end was clean is said by a close frame, not by TLS.
        context = options.tls or system_tls_context()
        encrypted = trio.SSLStream(stream, context, server_hostname=uri.host, https_compatible=True)
        await encrypted.do_handshake()
    return encrypted


async def _shake_hands(stream: trio.abc.Stream, address: Address, options: Options) -> Opened:
    handshake = Handshake(address, options)
    async with _closed_on_failure(stream, address):
        await stream.send_all(handshake.request)
        while True:
            data = await stream.receive_some(READ_SIZE)
            ts_recv = time.time_ns()
            early = handshake.feed(data)
            if early is not None:
                return Opened(stream, handshake.protocol, early, ts_recv)


@asynccontextmanager
async def _closed_on_failure(stream: trio.abc.Stream, address: Address) -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        await abandon(stream)
        if isinstance(error, STREAM_ERRORS):
            raise ConnectFailed(f"{address.place}: {why(error)}") from error
        raise


@asynccontextmanager
async def _running(opened: Opened, options: Options) -> AsyncIterator[WebSocketConnection]:
    """The life of an open connection. What the body raises leaves as itself, not in a nursery's group."""
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        connection = WebSocketConnection(opened, options, nursery)
        nursery.start_soon(connection.keep_alive)
        try:
            yield connection
        except BaseException as error:  # raised again below
            raised = error
        cancelled = trio.current_effective_deadline() <= trio.current_time()
        nursery.cancel_scope.shield = True  # or leaving would raise a group of Cancelled instead of `raised`
        await connection.close(await_peer=not cancelled)
        nursery.cancel_scope.cancel()
    try:
        if raised is not None:
            raise raised
    finally:
        del raised  # a traceback that refers to itself would live until the next garbage collection
