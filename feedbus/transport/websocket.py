"""The transport `sansio`: opening and leaving connections over TCP, with or without TLS. May touch sockets.

`dial` is a feedbus.transport.Dial. The protocol is the Sans-I/O layer of `websockets`; the reading and writing is ours.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from feedbus.transport import DialOptions
from feedbus.transport.connection import Opened, WebSocketConnection
from feedbus.transport.handshake import Address, Handshake, parse_address
from feedbus.transport.streams import background, closed_on_failure, open_stream, time_limit
from feedbus.transport.tcp import READ_SIZE


@asynccontextmanager
async def dial(url: str, options: DialOptions) -> AsyncIterator[WebSocketConnection]:
    """Open a connection to `url`. Raises ConfigError for a bad URL, ConnectFailed or TimedOut."""
    address = parse_address(url)
    with time_limit(address, options):
        stream = await open_stream(address, options)
        opened = await _shake_hands(stream, address, options)
    async with _running(opened, options) as connection:
        yield connection


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
    """Run the background tasks of an open connection, and close it in the end."""
    async with background() as nursery:
        connection = WebSocketConnection(opened, options, nursery)
        nursery.start_soon(connection.keep_alive)
        try:
            yield connection
        finally:
            # When we are being cancelled, the close frame is sent, but the peer's isn't waited for.
            cancelled = trio.current_effective_deadline() <= trio.current_time()
            nursery.cancel_scope.shield = True  # `close` writes the answers that are still due, within close_timeout
            await connection.close(await_peer=not cancelled)
