"""Dialling over real loopback sockets, and real servers."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio_websocket
import trustme
from trio.testing import memory_stream_pair
from websockets.http11 import Request
from websockets.server import ServerProtocol

from feedbus.errors import ClosedByPeer, ConfigError, ConnectFailed, TimedOut
from feedbus.transport import Connection, Dial, Options
from feedbus.transport.websocket import dial, tls_context, wrap

Handler = Callable[[trio.SocketStream], Awaitable[None]]
DIAL: Dial = dial


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[int]:
    """A TCP server that does what the handler does; yields its port."""
    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw_tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Shakes hands as far as the client lets it."""

    async def handler(stream: trio.SocketStream) -> None:
        encrypted = trio.SSLStream(stream, context, server_side=True)
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            await encrypted.do_handshake()
            await encrypted.receive_some()

    async with raw_server(handler) as port:
        yield port


class EchoServer:
    """trio-websocket's server. It takes the first subprotocol offered and answers each message by itself, the text
    "close" by a close frame. `closed_with` is the last connection's close code, once `closed` is set."""

    def __init__(self) -> None:
        self.port = 0
        self.closed = trio.Event()
        self.closed_with: int | None = None

    async def converse(self, request: trio_websocket.WebSocketRequest) -> None:
        offered = request.proposed_subprotocols
        socket = await request.accept(subprotocol=offered[0] if offered else None)
        try:
            while True:
                message = await socket.get_message()
                if message == "close":
                    await socket.aclose(4000, "as you wish")
                else:
                    await socket.send_message(message)
        except trio_websocket.ConnectionClosed as closed:
            self.closed_with = closed.reason.code if closed.reason else None
            self.closed.set()


@asynccontextmanager
async def echo_server(context: ssl.SSLContext | None = None) -> AsyncIterator[EchoServer]:
    server = EchoServer()
    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio_websocket.serve_websocket, server.converse, "127.0.0.1", 0, context)
        server.port = (await nursery.start(serve)).port
        yield server
        nursery.cancel_scope.cancel()


async def receive(connection: Connection, count: int) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < count:
        messages += [bytes(message) for message in (await connection.receive())[0]]
    return messages


async def test_a_conversation_over_tcp() -> None:
    async with echo_server() as server:
        async with DIAL(f"ws://127.0.0.1:{server.port}/feed", Options(subprotocols=("STOMP",))) as connection:
            await connection.send([b"bytes", "слова", b"x" * 104_000])
            assert await receive(connection, 3) == [b"bytes", "слова".encode(), b"x" * 104_000]
        with trio.fail_after(5):
            await server.closed.wait()
        assert server.closed_with == 1000


async def test_a_conversation_over_tls(authority: trustme.CA, ca_file: str) -> None:
    async with echo_server(server_context(authority)) as server:
        options = Options(subprotocols=("STOMP",), tls=tls_context(ca_file))
        async with dial(f"wss://127.0.0.1:{server.port}/feed", options) as connection:
            assert connection.subprotocol == "STOMP"
            sent = [b"%d" % number for number in range(100)] + [b"x" * 104_000]
            await connection.send(sent)
            assert await receive(connection, 101) == sent


@pytest.mark.parametrize("secure", [False, True])
async def test_the_venue_closes_with_code_and_reason(secure: bool, authority: trustme.CA, ca_file: str) -> None:
    async with echo_server(server_context(authority) if secure else None) as server:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{server.port}/"
        with pytest.raises(ClosedByPeer, match="4000 as you wish"):  # noqa: PT012
            async with dial(url, Options(tls=tls_context(ca_file))) as connection:
                assert connection.subprotocol is None
                await connection.send(["close"])
                await connection.receive()


async def accept(stream: trio.abc.Stream) -> None:
    """The server's part of the handshake."""
    protocol = ServerProtocol()
    protocol.receive_data(await stream.receive_some())
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    await stream.send_all(b"".join(protocol.data_to_send()))


async def test_no_pong_over_a_half_open_socket() -> None:
    async def server(stream: trio.SocketStream) -> None:
        await accept(stream)
        await trio.sleep_forever()

    async with raw_server(server) as port:
        options = Options(ping_interval=0.02, ping_timeout=0.05, close_timeout=0.05)
        async with dial(f"ws://127.0.0.1:{port}/", options) as connection:
            with pytest.raises(TimedOut, match=r"no pong within 0\.05 s"):
                await connection.receive()


async def test_tls_that_ends_without_goodbye_is_an_end_without_a_close_frame(
    authority: trustme.CA, ca_file: str
) -> None:
    async def server(stream: trio.SocketStream) -> None:
        encrypted = trio.SSLStream(stream, server_context(authority), server_side=True)
        await accept(encrypted)
        await trio.aclose_forcefully(stream)

    options = Options(tls=tls_context(ca_file))
    async with raw_server(server) as port, dial(f"wss://127.0.0.1:{port}/", options) as connection:
        with pytest.raises(ClosedByPeer, match="1006 the stream ended without a close frame"):
            await connection.receive()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>", "HTTP 403"),
        (b"220 mail.example ESMTP\r\n", "no WebSocket server: "),
        (b"", "the stream ended during the handshake"),
    ],
)
async def test_another_answer_to_the_handshake_is_told(answer: bytes, reason: str) -> None:
    async def server(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.send_eof()

    async with raw_server(server) as port:
        with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: {reason}"):
            await dial(f"ws://127.0.0.1:{port}/", Options()).__aenter__()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_server_that_says_nothing_runs_into_the_time_limit(scheme: str) -> None:
    left = trio.Event()

    async def server(stream: trio.SocketStream) -> None:
        async for _ in stream:
            pass
        left.set()

    async with raw_server(server) as port:
        with pytest.raises(TimedOut, match=rf"^127\.0\.0\.1:{port}: no connection within 0\.2 s$"):
            await dial(f"{scheme}://127.0.0.1:{port}/", Options(connect_timeout=0.2)).__aenter__()
        with trio.fail_after(5):
            await left.wait()


async def test_a_refused_connection_is_told() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: Connection refused$"):
        await dial(f"ws://127.0.0.1:{port}/", Options()).__aenter__()


async def test_an_impossible_host_name_is_told() -> None:
    with pytest.raises(ConnectFailed, match=r"^x+\.example:80: "):
        await dial(f"ws://{'x' * 70}.example/", Options()).__aenter__()


async def test_an_unknown_authority_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with raw_tls_server(server_context(authority)) as port:
        for tls in (tls_context(str(other)), None):
            with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: certificate verify failed: "):
                await dial(f"wss://127.0.0.1:{port}/", Options(tls=tls)).__aenter__()


async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, ca_file: str) -> None:
    async with raw_tls_server(server_context(authority, "other.example")) as port:
        with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: certificate verify failed: .*mismatch"):
            await dial(f"wss://127.0.0.1:{port}/", Options(tls=tls_context(ca_file))).__aenter__()


async def test_a_server_without_tls_is_refused() -> None:
    async def server(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stream.receive_some()

    async with raw_server(server) as port:
        with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: TLS: "):
            await dial(f"wss://127.0.0.1:{port}/", Options()).__aenter__()


async def test_a_bad_url_is_the_operators_error_and_closes_a_wrapped_stream() -> None:
    with pytest.raises(ConfigError, match="not a WebSocket URL"):
        await dial("http://venue.example/", Options()).__aenter__()
    near, far = memory_stream_pair()
    with pytest.raises(ConfigError, match="not a WebSocket URL"):
        await wrap(near, "http://venue.example/", Options()).__aenter__()
    assert await far.receive_some() == b""


async def test_a_cancelled_opening_closes_the_stream() -> None:
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wrap(near, "ws://venue.example/", Options()).__aenter__)
        assert (await far.receive_some()).startswith(b"GET / HTTP/1.1\r\n")
        nursery.cancel_scope.cancel()
    assert await far.receive_some() == b""


async def test_a_stream_that_breaks_in_the_handshake_is_told() -> None:
    near, far = memory_stream_pair()
    await far.aclose()
    with pytest.raises(ConnectFailed, match=r"^venue\.example:80: "):
        await wrap(near, "ws://venue.example/", Options()).__aenter__()
