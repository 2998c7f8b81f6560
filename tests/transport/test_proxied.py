"""Both transports and HTTP reach a venue through real proxies, and an error says in what way a proxy failed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, get_args

import pytest
import trio
import trustme

from feedbus.errors import ConnectFailed, ProxyFailed, VenueError
from feedbus.proxies import Proxy, Scheme
from feedbus.transport import Dial, DialOptions, http, trio_ws, websocket
from feedbus.transport.rounds import Rounds
from feedbus.transport.streams import background
from tests.transport.peer import Peer, listening
from tests.transport.proxy import PASSWORD, USER, ProxyServer, proxying

PATIENCE = 20  # seconds for what takes milliseconds
VENUE = "feed.venue"  # no resolver knows it but the proxy, and our own one when it is asked for a socks5 proxy
ADDRESS = "192.0.2.7"  # what our resolver says, where nobody is (RFC 5737)
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrest"
LOGIN = (USER, PASSWORD)


class Resolver(trio.abc.HostnameResolver):
    """Our own resolver: it knows the venue and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def getaddrinfo(self, host: Any, port: Any, *_: Any) -> Any:
        self.asked.append(host.decode())
        if host.decode() != VENUE:
            raise OSError(-2, "Name or service not known")
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (ADDRESS, port))]

    async def getnameinfo(self, sockaddr: Any, flags: Any) -> Any:
        raise AssertionError("nobody asks for that")


@pytest.fixture
async def looked_up() -> list[str]:
    """The names that our own resolver was asked for."""
    resolver = Resolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver.asked


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, name: str = VENUE) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's with a certificate for this name, and the client's that trusts its authority."""
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def venue(peer: Peer) -> None:
    """Answers a WebSocket's request with a message, and any other with PAGE."""
    await peer.read_request()
    if peer.header(b"Upgrade") is None:
        await peer.say(PAGE)
        return
    await peer.say(peer.answer(), b"\x82\x04tick")
    await peer.heard_close()


Ask = Callable[[str, Proxy, ssl.SSLContext | None, float], Awaitable[bytes]]


async def over_ws(dial: Dial, place: str, proxy: Proxy, tls: ssl.SSLContext | None, within: float) -> bytes:
    options = DialOptions(proxy=proxy, tls=tls, connect_timeout=2 * within, close_timeout=0.01)
    async with dial(f"{'wss' if tls else 'ws'}://{place}/?token=s3cr3t", options) as connection:
        return bytes((await connection.receive())[0][0])


async def in_rounds(place: str, proxy: Proxy, tls: ssl.SSLContext | None, within: float) -> bytes:
    rounds = Rounds(0.001)
    try:
        async with background() as nursery:
            nursery.start_soon(rounds.run)
            options = DialOptions(proxy=proxy, tls=tls, connect_timeout=2 * within, close_timeout=0.01, rounds=rounds)
            async with websocket.dial(f"{'wss' if tls else 'ws'}://{place}/", options) as connection:
                return bytes((await connection.receive())[0][0])
    finally:
        rounds.close()


async def over_http(place: str, proxy: Proxy, tls: ssl.SSLContext | None, within: float) -> bytes:
    base = f"{'https' if tls else 'http'}://{place}"
    async with http.client(base, tls=tls, proxy=proxy, answer_within=2 * within) as client:
        return (await client.get("/x?token=s3cr3t")).body


WAYS: dict[str, Ask] = {
    "sansio": partial(over_ws, websocket.dial),
    "sansio in rounds": in_rounds,
    "trio-websocket": partial(over_ws, trio_ws.dial),
    "http": over_http,
}


@pytest.fixture(params=WAYS)
async def ask(request: pytest.FixtureRequest, looked_up: list[str]) -> Ask:
    return WAYS[request.param]


@pytest.fixture(params=get_args(Scheme))
def scheme(request: pytest.FixtureRequest) -> Scheme:
    return request.param  # type: ignore[no-any-return]


async def answer(ask: Ask, proxy: Proxy, tls: ssl.SSLContext | None = None, within: float = PATIENCE) -> bytes:
    with trio.fail_after(PATIENCE):
        return await ask(f"{VENUE}:4430", proxy, tls, within)


async def failure(ask: Ask, proxy: Proxy, tls: ssl.SSLContext | None = None, within: float = PATIENCE) -> VenueError:
    with pytest.raises(VenueError) as caught:
        await answer(ask, proxy, tls, within)
    text = f"{caught.value!r} {caught.value}"
    assert "s3cr3t" not in text
    assert USER not in text
    assert f"{VENUE}:4430" in text
    return caught.value


@pytest.mark.parametrize("login", [None, LOGIN], ids=["no login", "login"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_the_venue_answers_through_the_proxy(
    ask: Ask,
    scheme: Scheme,
    encrypted: bool,
    login: tuple[str, str] | None,
    authority: trustme.CA,
    looked_up: list[str],
) -> None:
    server, client = contexts(authority) if encrypted else (None, None)
    async with listening(venue, server) as place:
        names = {VENUE: place} if scheme != "socks5" else {ADDRESS: place}
        proxy_server = ProxyServer(names, login=login, dribble=True)
        async with proxying(proxy_server, scheme, *login or ()) as proxy:
            assert await answer(ask, proxy, client) in (b"tick", b"rest")
    assert proxy_server.asked == [(VENUE if scheme != "socks5" else ADDRESS, 4430)]
    assert proxy_server.logins == ([login] if login else [])
    assert looked_up == ([VENUE] if scheme == "socks5" else [])


async def test_the_certificate_must_be_the_venue_s(ask: Ask, scheme: Scheme, authority: trustme.CA) -> None:
    server, client = contexts(authority, "127.0.0.1")  # the proxy's own name
    async with (
        listening(venue, server) as place,
        proxying(ProxyServer({VENUE: place, ADDRESS: place}), scheme) as proxy,
    ):
        error = await failure(ask, proxy, client)
    assert type(error) is ConnectFailed
    assert "certificate verify failed" in str(error)


@pytest.mark.parametrize(
    ("shown", "login", "reasons"),
    [
        ((), LOGIN, {"wants a login (HTTP 407)", "wants a login"}),
        ((USER, "s3cr3t-wrong"), LOGIN, {"refuses the login (HTTP 407)", "refuses the login"}),
        (
            LOGIN,
            None,
            {"refuses the connection (HTTP 502)", "can't reach the host, or doesn't know its name"},
        ),
    ],
    ids=["no login", "wrong login", "unknown host"],
)
async def test_a_refusal_is_the_proxy_s(
    ask: Ask, scheme: Scheme, shown: tuple[str, ...], login: tuple[str, str] | None, reasons: set[str]
) -> None:
    async with proxying(ProxyServer({}, login=login), scheme, *shown) as proxy:
        error = await failure(ask, proxy)
    assert type(error) is ProxyFailed
    assert str(error).partition(f"the proxy {proxy} ")[2] in reasons


async def test_a_proxy_that_is_not_there_is_named(ask: Ask, scheme: Scheme) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(scheme, "127.0.0.1", listener.socket.getsockname()[1], USER, PASSWORD)
    await listener.aclose()
    error = await failure(ask, proxy)
    assert type(error) is ProxyFailed
    assert str(error).endswith(f"the proxy {proxy} can't be reached: Connection refused")


async def test_a_proxy_s_name_that_nobody_knows_is_the_proxy_s_failure(ask: Ask) -> None:
    error = await failure(ask, Proxy("http", "proxy.invalid", 3128))
    assert type(error) is ProxyFailed
    assert "the proxy http://proxy.invalid:3128 can't be reached: Name or service not known" in str(error)


async def test_a_venue_s_name_that_we_do_not_know_is_no_failure_of_a_socks5_proxy(ask: Ask) -> None:
    with pytest.raises(ConnectFailed, match="Name or service not known") as caught:
        await ask("other.invalid:1", Proxy("socks5", "127.0.0.1", 9), None, PATIENCE)
    assert type(caught.value) is ConnectFailed


@asynccontextmanager
async def saying(data: bytes, *, stay: bool) -> AsyncIterator[tuple[str, int]]:
    """A proxy that reads a little, says this, and ends or stays silent."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with suppress(trio.BrokenResourceError):  # the client has had enough
            await stream.send_all(data)
        if stay:
            await trio.sleep_forever()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield listener.socket.getsockname()[:2]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scheme", "said", "reason"),
    [
        ("http", b"", "ended the connection before it had answered"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\nhello", "sent more than its answer"),
        ("http", b"s3cr3t\r\n\r\n", "gave an answer that isn't HTTP"),
        ("http", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "gave an answer that isn't HTTP"),
        ("socks5h", b"", "ended the connection before it had answered"),
        ("socks5h", b"\x04\x00", "gave an answer that isn't SOCKS5"),
        ("socks5h", b"\x05\x09", "gave an answer that isn't SOCKS5"),
        ("socks5h", b"HTTP/1.1 400 Bad Request\r\n\r\n", "sent more than its answer"),
    ],
)
async def test_what_is_no_proxy_is_told(ask: Ask, scheme: Scheme, said: bytes, reason: str) -> None:
    async with saying(said, stay=False) as (host, port):
        error = await failure(ask, Proxy(scheme, host, port, USER, PASSWORD))
    assert type(error) is ProxyFailed
    # A proxy that ends while we still write may break the connection instead.
    assert reason in str(error) or "broke the connection" in str(error)


async def test_a_silent_proxy_is_told_from_a_silent_venue(ask: Ask, scheme: Scheme) -> None:
    async with saying(b"", stay=True) as (host, port):
        error = await failure(ask, Proxy(scheme, host, port), within=0.05)
    assert type(error) is ProxyFailed
    assert "made no connection within 0.05 s" in str(error)


async def test_requests_share_a_tunnel(authority: trustme.CA) -> None:
    async def pages(peer: Peer) -> None:
        for _ in range(3):
            await peer.read_request()
            peer.request = b""
            await peer.say(PAGE)

    async with listening(pages) as place:
        server = ProxyServer({VENUE: place})
        async with proxying(server, "http") as proxy, http.client(f"http://{VENUE}", proxy=proxy) as client:
            assert [(await client.get("/")).body for _ in range(3)] == [b"rest"] * 3
    assert server.asked == [(VENUE, 80)]


async def test_cancelling_leaves_no_connection_behind(ask: Ask, scheme: Scheme) -> None:
    ended = trio.Event()
    asked = trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        asked.set()
        assert await stream.receive_some() == b""
        ended.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
        proxy = Proxy(scheme, "127.0.0.1", listener.socket.getsockname()[1])
        async with trio.open_nursery() as asking:
            asking.start_soon(answer, ask, proxy)
            await asked.wait()
            asking.cancel_scope.cancel()
        with trio.fail_after(PATIENCE):
            await ended.wait()
        nursery.cancel_scope.cancel()
