"""The simulated venue over real sockets on this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from urllib.parse import urlparse

import pytest
import trio
import trio_websocket

from feedbus.sim import server
from feedbus.sim.moex import server as moex
from feedbus.sim.moex.server import MoexSimOptions, ServerCounters, serve
from feedbus.venues.moex import stomp

START_NS = 1_719_825_533_789_000_000
HANDSHAKE = (
    f"GET {moex.PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
CONNECT = b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0"


@asynccontextmanager
async def venue(options: MoexSimOptions | None = None) -> AsyncIterator[tuple[str, ServerCounters]]:
    counters = ServerCounters()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(
                partial(serve, options or MoexSimOptions(rate=20), "127.0.0.1", 0, counters=counters)
            )
            yield url, counters
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def websocket(url: str, subprotocols: Sequence[str] = ()) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A client's connection whose TCP stream is surely closed, which the library's own forgets when the peer closes."""
    async with await tcp(url) as stream, trio.open_nursery() as nursery:
        socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", moex.PATH, subprotocols=subprotocols)
        yield socket
        with trio.move_on_after(2):
            await socket.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    async with websocket(url, ["STOMP"]) as socket:
        await socket.send_message(CONNECT)
        assert (await frame(socket)).command == "CONNECTED"
        yield socket


async def frame(socket: trio_websocket.WebSocketConnection) -> stomp.StompFrame:
    data = await socket.get_message()
    assert isinstance(data, bytes)
    (only,) = stomp.parse(data)
    return only


def subscribe(key: str, ticker: str, stream: str = "orderbooks") -> bytes:
    headers = {"destination": f"MXSE.{stream}", "id": key, "receipt": key, "selector": f'TICKER="MXSE.{ticker}"'}
    return stomp.build("SUBSCRIBE", headers)


async def tcp(url: str) -> trio.SocketStream:
    place = urlparse(url)
    return await trio.open_tcp_stream(str(place.hostname), place.port or 0)


async def first_bytes(options: MoexSimOptions, count: int) -> list[str]:
    """The first messages after a fixed set of requests."""
    async with venue(options) as (url, _), connected(url) as socket:
        for key, stream in (("a", "orderbooks"), ("b", "securities")):
            await socket.send_message(subscribe(key, "TQBR.SBER", stream))
        return [str(await socket.get_message()) for _ in range(count)]


async def test_the_same_seed_start_and_requests_give_the_same_bytes() -> None:
    results: dict[str, list[str]] = {}

    async def run(name: str, seed: int) -> None:
        results[name] = await first_bytes(MoexSimOptions(seed=seed, start_ns=START_NS, rate=10), 16)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "one", 1)
        nursery.start_soon(run, "same", 1)
        nursery.start_soon(run, "other", 2)
    assert results["one"] == results["same"]
    assert results["one"] != results["other"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["STOMP"], "STOMP"),
        (["v12.stomp"], "v12.stomp"),
        (["mqtt", "v12.stomp"], "v12.stomp"),
        ([], None),
        (["x"], None),
    ],
)
async def test_only_a_subprotocol_that_was_offered_is_chosen(offered: list[str], chosen: str | None) -> None:
    async with venue() as (url, _), websocket(url, offered) as socket:
        assert socket.subprotocol == chosen
        await socket.send_message(CONNECT.decode())
        assert (await frame(socket)).command == "CONNECTED"


async def test_another_path_is_not_found() -> None:
    async with venue() as (url, counters), await tcp(url) as stream:
        await stream.send_all(HANDSHAKE.replace(b"/v3/", b"/v2/"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")
        assert counters.connections_open == 0


async def test_pings_are_answered_while_data_flows() -> None:
    async with venue() as (url, _), connected(url) as socket:
        await socket.send_message(subscribe("a", "TQBR.SBER"))
        await frame(socket)
        await socket.ping(b"hello")


async def test_disconnect_is_answered_and_the_connection_closed_normally() -> None:
    async with venue() as (url, counters), connected(url) as socket:
        await socket.send_message(stomp.build("DISCONNECT", {"receipt": "bye"}))
        assert (await frame(socket)).headers == {"receipt-id": "bye"}
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1000
        assert counters.frames_sent == 2


async def test_a_strict_venue_drops_a_client_that_sends_carriage_returns() -> None:
    async with venue(MoexSimOptions(crlf="disconnect")) as (url, _):
        async with websocket(url) as socket:
            await socket.send_message(CONNECT.replace(b"\n", b"\r\n"))
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1006


async def test_a_stopping_venue_says_goodbye_at_once() -> None:
    counters = ServerCounters()
    async with trio.open_nursery() as clients:
        server = await clients.start(_cancellable, MoexSimOptions(), counters)
        url, scope, done = server
        async with connected(url) as socket:
            await socket.send_message(subscribe("a", "TQBR.SBER"))
            await frame(socket)
            scope.cancel()
            before = trio.current_time()
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await read_on(socket)
            await done.wait()
            assert trio.current_time() - before < 5
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1001
    assert counters.connections_open == 0


async def test_a_stopping_venue_does_not_wait_for_clients_that_do_not_read() -> None:
    async with trio.open_nursery() as clients:
        url, scope, done = await clients.start(_cancellable, MoexSimOptions(rate=1000), ServerCounters())
        stuck, raw = await _stuck_client(url), await tcp(url)
        async with stuck, raw, connected(url):
            scope.cancel()
            with trio.fail_after(5):
                await done.wait()


async def read_on(socket: trio_websocket.WebSocketConnection) -> None:
    while True:
        await socket.get_message()


async def _cancellable(
    options: MoexSimOptions,
    counters: ServerCounters,
    task_status: trio.TaskStatus[tuple[str, trio.CancelScope, trio.Event]] = trio.TASK_STATUS_IGNORED,
) -> None:
    done = trio.Event()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, options, "127.0.0.1", 0, counters=counters))
            task_status.started((url, scope, done))
    done.set()


async def _stuck_client(url: str) -> trio.SocketStream:
    """Subscribes to much, and never reads."""
    stream = await tcp(url)
    await stream.send_all(HANDSHAKE)
    while b"\r\n\r\n" not in await stream.receive_some():
        pass
    for data in (CONNECT, *(subscribe(str(n), "TQBR.SBER") for n in range(600))):
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        head = b"\x82" + size + bytes(4)
        await stream.send_all(head + data)
    return stream


async def test_a_client_that_does_not_read_stops_nobody_and_is_conflated() -> None:
    async with venue(MoexSimOptions(rate=100)) as (url, counters), await _stuck_client(url), connected(url) as socket:
        await socket.send_message(subscribe("a", "TQBR.SBER"))
        assert (await frame(socket)).command == "RECEIPT"
        while counters.conflations < 3:
            await frame(socket)
        received = [await frame(socket) for _ in range(50)]
        assert {each.headers["subscription"] for each in received} == {"a"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\xff\x13nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /infocx/v3/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"POST /infocx/v3/websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_garbage_on_the_socket_ends_that_connection_only(garbage: bytes) -> None:
    async with venue() as (url, _):
        async with await tcp(url) as stream:
            await stream.send_all(garbage)
            await stream.send_eof()
        async with connected(url) as socket:
            await socket.send_message(b"\0garbage")
            assert (await frame(socket)).command == "ERROR"
            await socket.send_message(subscribe("a", "TQBR.SBER"))
            assert (await frame(socket)).command == "RECEIPT"


async def test_broken_web_socket_frames_end_that_connection_only() -> None:
    async with venue() as (url, _), await _stuck_client(url) as stream:
        await stream.send_all(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
        async with connected(url) as socket:
            await socket.send_message(subscribe("a", "TQBR.SBER"))
            assert (await frame(socket)).command == "RECEIPT"


async def test_a_ping_into_a_closing_connection_ends_that_connection_only() -> None:
    async with venue() as (url, counters), await tcp(url) as stream:
        await stream.send_all(HANDSHAKE)
        await stream.receive_some()
        await stream.send_all(b"\x82\x8c" + bytes(4) + b"DISCONNECT\n\n")
        assert (await stream.receive_some())[:1] == b"\x88"
        await stream.send_all(b"\x89\x80" + bytes(4))
        assert await stream.receive_some() == b""
        async with connected(url):
            assert counters.connections_broken == 1


async def test_a_message_that_is_too_large_ends_that_connection_only() -> None:
    async with venue(MoexSimOptions(max_frame=2000)) as (url, _):
        async with connected(url) as socket:
            await socket.send_message(b"x" * 3000)
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await socket.get_message()
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1009
        async with connected(url):
            pass


async def test_the_markets_clock_keeps_pace_with_the_wall_clock() -> None:
    async with venue(MoexSimOptions(start_ns=0, rate=2)) as (url, _), connected(url) as socket:
        began = trio.current_time()  # the market opens with the subscription, so not before this
        await socket.send_message(subscribe("a", "TQBR.SBER"))
        await frame(socket)
        first = await frame(socket)
        stamp = 0
        while stamp < 1000:
            stamp = int((await frame(socket)).headers["X-gateway-stamp"])
        assert int(first.headers["X-gateway-stamp"]) == 1
        assert 1.0 <= trio.current_time() - began < 5


async def test_after_a_long_stall_the_market_hurries_on_to_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CATCH_UP_S", 0.1)
    async with venue(MoexSimOptions(start_ns=0, rate=50)) as (url, counters), connected(url) as socket:
        await socket.send_message(subscribe("a", "TQBR.SBER"))
        await frame(socket)
        snapshot = await frame(socket)
        time.sleep(0.5)  # noqa: ASYNC251 - the stall
        received = [snapshot, *[await frame(socket) for _ in range(5)]]
        stamps = [int(each.headers["X-gateway-stamp"]) for each in received]
        assert max(second - first for first, second in pairwise(stamps)) > 300
        assert counters.steps_skipped > 15


async def test_counters_add_up() -> None:
    async with venue() as (url, counters), connected(url) as socket:
        await socket.send_message(subscribe("a", "TQBR.NOPE"))
        assert (await frame(socket)).command == "ERROR"
        await socket.send_message(subscribe("a", "TQBR.SBER"))
        assert (await frame(socket)).command == "RECEIPT"
        assert counters.connections == counters.connections_open == 1
        assert counters.errors_sent == 1
        assert counters.subscriptions == 1
        assert counters.frames_received == 3
        assert counters.bytes_sent > 100_000
