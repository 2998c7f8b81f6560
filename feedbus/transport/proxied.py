"""Connections through a proxy, for WebSockets and for HTTP. May touch sockets.

Everything goes through a tunnel that the proxy is asked for, so that a proxy sees no more of our traffic than its size
and its destination, and TLS is spoken with the venue itself. feedbus/transport/tunnel.py knows how to ask.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import httpcore
import httpx
import trio

from feedbus.errors import ProxyFailed
from feedbus.proxies import Proxy
from feedbus.transport.reasons import why
from feedbus.transport.tcp import READ_SIZE
from feedbus.transport.tunnel import dialogue

KEEP_IDLE = 5.0  # seconds for which an HTTP connection without a request is kept, as httpx does
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, httpcore.NetworkError)


async def open_tcp_stream(proxy: Proxy, host: str, port: int, within: float) -> trio.SocketStream:
    """A connection to this host through the proxy, which has `within` seconds to make it.

    Raises ProxyFailed, and OSError when we can't look up the host's name for a proxy of the scheme socks5.
    """
    with _time_limit(proxy, within):
        target = await _target(proxy, host, port)
        try:
            stream = await trio.open_tcp_stream(proxy.host, proxy.port)
        except (OSError, UnicodeError) as error:
            raise _unreachable(proxy, error) from error
        try:
            await _ask(proxy, target, stream.send_all, stream.receive_some)
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
            raise
    return stream


class HttpTransport(httpx.AsyncHTTPTransport):
    """httpx's transport, with all its connections made through a proxy by our own hand.

    httpx could use proxies by itself, but its errors don't tell whether the proxy or the venue failed, and it takes an
    answer of a SOCKS5 proxy that comes in two pieces for a broken one.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Proxy, within: float) -> None:
        """The proxy has `within` seconds to make a connection."""
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, keepalive_expiry=KEEP_IDLE, network_backend=TunnelBackend(proxy, within)
        )


class TunnelBackend(httpcore.AsyncNetworkBackend):
    """Opens the connections of httpcore, on which httpx is built, through a proxy."""

    def __init__(self, proxy: Proxy, within: float) -> None:
        self._proxy = proxy
        self._within = within
        self._tcp = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to this host. Raises ProxyFailed, or httpcore.ConnectError when we can't look up its name."""
        proxy = self._proxy
        with _time_limit(proxy, self._within):
            try:
                target = await _target(proxy, host, port)
            except OSError as error:
                raise httpcore.ConnectError(error) from error
            try:
                stream = await self._tcp.connect_tcp(proxy.host, proxy.port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, UnicodeError) as error:
                raise _unreachable(proxy, error) from error
            try:
                await _ask(proxy, target, stream.write, stream.read)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await stream.aclose()
                raise
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts of httpcore's."""
        await self._tcp.sleep(seconds)


async def _ask(
    proxy: Proxy,
    target: tuple[str, int],
    send: Callable[[bytes], Awaitable[None]],
    receive: Callable[[int], Awaitable[bytes | bytearray]],
) -> None:
    """Ask the proxy for a tunnel, on a connection to it. Raises ProxyFailed."""
    asked = dialogue(proxy, *target)
    try:
        await send(asked.request)
        while not asked.established:
            if answer := asked.feed(await receive(READ_SIZE)):
                await send(answer)
    except _BROKEN as error:
        raise ProxyFailed(f"the proxy {proxy} broke the connection: {why(error)}") from error


async def _target(proxy: Proxy, host: str, port: int) -> tuple[str, int]:
    """What the proxy is asked for: an address that we look up when its scheme is socks5, otherwise the name."""
    if proxy.scheme != "socks5":
        return host, port
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return str(found[0][4][0]), port


@contextmanager
def _time_limit(proxy: Proxy, within: float) -> Iterator[None]:
    with trio.move_on_after(within) as scope:
        yield
    if scope.cancelled_caught:
        raise ProxyFailed(f"the proxy {proxy} made no connection within {within:g} s")


def _unreachable(proxy: Proxy, error: Exception) -> ProxyFailed:
    return ProxyFailed(f"the proxy {proxy} can't be reached: {why(error)}")
