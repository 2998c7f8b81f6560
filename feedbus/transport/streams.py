"""The stream beneath a WebSocket: opening it over TCP, with or without TLS, and ending it. May touch sockets."""

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


async def abandon(stream: trio.abc.Stream) -> None:
    """Close at once, whatever is going on."""
    with trio.CancelScope(shield=True):
        await trio.aclose_forcefully(stream)


@contextmanager
def time_limit(address: Address, options: DialOptions) -> Iterator[None]:
    """Raises TimedOut when the body takes longer than connect_timeout."""
    with trio.move_on_after(options.connect_timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut(f"{address.place}: no connection within {options.connect_timeout:g} s")


async def open_stream(address: Address, options: DialOptions) -> trio.abc.Stream:
    """Connect, and shake hands by TLS where the URL says so. Raises ConnectFailed."""
    uri = address.uri
    try:
        stream = TcpStream(await trio.open_tcp_stream(uri.host, uri.port), options.rounds)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{address.place}: {why(error)}") from error
    if not uri.secure:
        return stream
    async with closed_on_failure(stream, address):
        # https_compatible: whether the end was clean is said by a close frame, not by TLS.
        context = options.tls or system_tls_context()
        encrypted = trio.SSLStream(stream, context, server_hostname=uri.host, https_compatible=True)
        await encrypted.do_handshake()
    return encrypted


@asynccontextmanager
async def closed_on_failure(stream: trio.abc.Stream, address: Address) -> AsyncIterator[None]:
    """Whatever the body raises, the stream is closed; what the stream raises becomes ConnectFailed."""
    try:
        yield
    except BaseException as error:
        await abandon(stream)
        if isinstance(error, STREAM_ERRORS):
            raise ConnectFailed(f"{address.place}: {why(error)}") from error
        raise


@asynccontextmanager
async def background() -> AsyncIterator[trio.Nursery]:
    """A nursery for tasks that never raise and end with the body. What the body raises leaves as itself, not in a
    group."""
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as error:  # raised again below
            raised = error
        nursery.cancel_scope.shield = True  # or leaving would raise a group of Cancelled instead of `raised`
        nursery.cancel_scope.cancel()
    try:
        if raised is not None:
            raise raised
    finally:
        del raised  # a traceback that refers to itself would live until the next garbage collection
