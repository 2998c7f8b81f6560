"""The stream beneath a WebSocket: opening it over TCP, with or without TLS, and closing it. May touch sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from feedbus.errors import ConnectFailed, TimedOut
from feedbus.transport import DialOptions
from feedbus.transport.handshake import Address
from feedbus.transport.reasons import why
from feedbus.transport.tcp import TcpStream
from feedbus.transport.tls import system_tls_context

STREAM_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a trio stream raises when the peer or the network broke it, and when another task of ours has closed it."""


async def abandon(stream: trio.abc.Stream) -> None:
    """Close the stream at once, without any closing handshake, even while another task uses it.

    It is shielded, so that a stream is closed for certain when its owner is being cancelled.
    """
    with trio.CancelScope(shield=True):
        await trio.aclose_forcefully(stream)


@contextmanager
def time_limit(address: Address, options: DialOptions) -> Iterator[None]:
    """Run the body, and raise TimedOut when it takes longer than connect_timeout."""
    with trio.move_on_after(options.connect_timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut(f"{address.place}: no connection within {options.connect_timeout:g} s")


async def open_stream(address: Address, options: DialOptions) -> trio.abc.Stream:
    """Open a TCP connection, and encrypt it when the URL is wss://. Raises ConnectFailed."""
    uri = address.uri
    try:
        connected = await trio.open_tcp_stream(uri.host, uri.port)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{address.place}: {why(error)}") from error
    try:
        stream = TcpStream(connected, options.rounds)
    except OSError as error:  # the kernel watches a limited number of sockets for each user, see epoll(7)
        await abandon(connected)
        raise ConnectFailed(f"{address.place}: {why(error)}") from error
    if not uri.secure:
        return stream
    async with closed_on_failure(stream, address):
        # https_compatible: a peer may end the stream without TLS's close_notify, as many do. Nothing is lost by that,
        # because a WebSocket tells a clean end by its own close frame.
        context = options.tls or system_tls_context()
        encrypted = trio.SSLStream(stream, context, server_hostname=uri.host, https_compatible=True)
        await encrypted.do_handshake()
    return encrypted


@asynccontextmanager
async def closed_on_failure(stream: trio.abc.Stream, address: Address) -> AsyncIterator[None]:
    """Close the stream when the body raises anything. An error of the stream becomes ConnectFailed."""
    try:
        yield
    except BaseException as error:
        await abandon(stream)
        if isinstance(error, STREAM_ERRORS):
            raise ConnectFailed(f"{address.place}: {why(error)}") from error
        raise


@asynccontextmanager
async def background() -> AsyncIterator[trio.Nursery]:
    """A nursery for background tasks that never raise. They are cancelled when the body ends.

    A plain nursery wraps whatever the body raises in an exception group. The callers of a transport expect the
    exception itself, so it is kept here and raised again after the nursery has closed.
    """
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as error:  # it is raised again below
            raised = error
        nursery.cancel_scope.shield = True  # otherwise closing it while we are cancelled raises a group
        nursery.cancel_scope.cancel()
    try:
        if raised is not None:
            raise raised
    finally:
        del raised  # the traceback refers to this frame: without `del` this cycle waits for the garbage collector
