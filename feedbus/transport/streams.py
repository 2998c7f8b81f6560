"""The stream beneath a WebSocket: opening it over TCP, with or without TLS, and closing it. May touch sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from feedbus.errors import ConnectFailed, ProxyFailed, TimedOut
from feedbus.transport import DialOptions
from feedbus.transport.handshake import Address
from feedbus.transport.reasons import why
from feedbus.transport.tcp import TcpStream
from feedbus.transport.tls import system_tls_context

STREAM_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a trio stream raises when the peer or the network broke it, and when another task of ours has closed it."""

PROXY_SHARE = 0.5
"""The share of the time for a connection in which a proxy must have made it. A proxy that is late is told from a venue
that is late by this."""


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
    """Open a TCP connection, through the proxy if there is one, and encrypt it when the URL is wss://. The certificate
    must be the venue's, with or without a proxy. Raises ConnectFailed.
    """
    uri = address.uri
    connected = await _open_tcp(address, options)
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


async def _open_tcp(address: Address, options: DialOptions) -> trio.SocketStream:
    host, port = address.uri.host, address.uri.port
    try:
        if options.proxy is None:
            return await trio.open_tcp_stream(host, port)
        from feedbus.transport import proxied  # few need it: the others start without its libraries

        return await proxied.open_tcp_stream(options.proxy, host, port, options.connect_timeout * PROXY_SHARE)
    except ProxyFailed as error:
        raise ProxyFailed(f"{address.place}: {error}") from error
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{address.place}: {why(error)}") from error


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
