"""The WebSocket transport: opening and leaving connections over TCP, with or without TLS. May touch sockets.

`dial` is the seam's Dial; `wrap` is the same over a stream that somebody else connected.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from feedbus.transport import DialOptions
from feedbus.transport.connection import Opened, WebSocketConnection
from feedbus.transport.handshake import Address, Handshake, parse_address
from feedbus.transport.streams import abandon, background, closed_on_failure, open_stream, time_limit
from feedbus.transport.tcp import READ_SIZE
from feedbus.transport.tls import tls_context

__all__ = ["dial", "tls_context", "wrap"]


@asynccontextmanager
async def dial(url: str, options: DialOptions) -> AsyncIterator[WebSocketConnection]:
    """Open a connection to `url`. Raises ConfigError for a bad URL, and what the seam says."""
    address = parse_address(url)
    with time_limit(address, options):
        stream = await open_stream(address, options)
        opened = await _shake_hands(stream, address, options)
    async with _running(opened, options) as connection:
        yield connection


@asynccontextmanager
async def wrap(stream: trio.abc.Stream, url: str, options: DialOptions) -> AsyncIterator[WebSocketConnection]:
    """The same over a stream that is connected, and encrypted if it is to be. It is closed in the end, always."""
    try:
        address = parse_address(url)
        with time_limit(address, options):
            opened = await _shake_hands(stream, address, options)
        async with _running(opened, options) as connection:
            yield connection
    finally:
        await abandon(stream)


async def _shake_hands(stream: trio.abc.Stream, address: Address, options: DialOptions) -> Opened:
    handshake = Handshake(address, options)
    async with closed_on_failure(stream, address):
        await stream.send_all(handshake.request)
        while True:
            data = await stream.receive_some(READ_SIZE)
            ts_recv = time.time_ns()
            early = handshake.feed(data)
            if early is not None:
                return Opened(stream, handshake.protocol, early, ts_recv)


@asynccontextmanager
async def _running(opened: Opened, options: DialOptions) -> AsyncIterator[WebSocketConnection]:
    """The life of an open connection."""
    async with background() as nursery:
        connection = WebSocketConnection(opened, options, nursery)
        nursery.start_soon(connection.keep_alive)
        try:
            yield connection
        finally:
            cancelled = trio.current_effective_deadline() <= trio.current_time()
            nursery.cancel_scope.shield = True  # what answers are still due is written in close_timeout
            await connection.close(await_peer=not cancelled)
