"""The simulated ALOR over real sockets on this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlparse

import msgspec
import pytest
import trio
import trio_websocket

from feedbus.sim import rest as rest_server
from feedbus.sim.alor import server as alor
from feedbus.sim.alor.server import AlorCounters, AlorRest, AlorSimOptions, AlorVenue, serve

START_NS = 1_719_825_533_789_000_000
HANDSHAKE = (
    f"GET {alor.PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


@asynccontextmanager
async def running(options: AlorSimOptions | None = None) -> AsyncIterator[tuple[str, AlorVenue]]:
    venue = AlorVenue(options or AlorSimOptions(rate=200.0))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, venue.options, "127.0.0.1", 0, venue=venue))
            yield url, venue
            nursery.cancel_scope.cancel()


async def tcp(url: str) -> trio.SocketStream:
    place = urlparse(url)
    return await trio.open_tcp_stream(str(place.hostname), place.port or 0)


@asynccontextmanager
async def websocket(url: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    async with await tcp(url) as stream, trio.open_nursery() as nursery:
        yield await trio_websocket.wrap_client_stream(nursery, stream, "venue", urlparse(url).path)
        nursery.cancel_scope.cancel()


def request(venue: AlorVenue, opcode: str, guid: str, **keys: Any) -> str:
    token = venue.tokens.issue(time.time_ns())
    common = {"opcode": opcode, "exchange": "MOEX", "code": "SBER", "guid": guid, "token": token}
    return msgspec.json.encode({**common, **keys}).decode()


async def frames(socket: trio_websocket.WebSocketConnection, count: int) -> list[Any]:
    received = [await socket.get_message() for _ in range(count)]
    assert all(isinstance(each, str) for each in received)
    return [msgspec.json.decode(each) for each in received]


async def read_on(socket: trio_websocket.WebSocketConnection) -> None:
    while True:
        await socket.get_message()


async def closing_code(socket: trio_websocket.WebSocketConnection) -> int:
    with pytest.raises(trio_websocket.ConnectionClosed) as closed:
        await read_on(socket)
    assert closed.value.reason is not None
    return int(closed.value.reason.code)


async def test_books_trades_and_quotes_flow_on_one_connection() -> None:
    async with running() as (url, venue), websocket(url) as socket:
        assert url.endswith("/ws")
        for guid, opcode in (
            ("b", "OrderBookGetAndSubscribe"),
            ("t", "AllTradesGetAndSubscribe"),
            ("q", "QuotesSubscribe"),
        ):
            await socket.send_message(request(venue, opcode, guid, depth=3))
        received = await frames(socket, 80)
        assert {each["requestGuid"] for each in received if "httpCode" in each} == {"b", "t", "q"}
        assert {each["guid"] for each in received if "data" in each} == {"b", "t", "q"}
        ids = [each["data"]["id"] for each in received if each.get("guid") == "t"]
        assert ids == sorted(set(ids))
        assert venue.counters.subscriptions == 3


async def first_bytes(options: AlorSimOptions) -> list[str]:
    async with running(options) as (url, venue), websocket(url) as socket:
        for guid, opcode in (("b", "OrderBookGetAndSubscribe"), ("t", "AllTradesGetAndSubscribe")):
            await socket.send_message(request(venue, opcode, guid, depth=5))
        return [str(await socket.get_message()) for _ in range(20)]


async def test_the_same_seed_start_and_requests_give_the_same_bytes() -> None:
    options = (AlorSimOptions(seed=seed, start_ns=START_NS, rate=200.0) for seed in (1, 1, 2))
    one, same, other = [await first_bytes(each) for each in options]
    assert one == same
    assert one != other


async def test_rest_serves_the_same_market_at_an_address_of_its_own() -> None:
    async with running() as (url, venue), trio.open_nursery() as nursery:
        counters = rest_server.RestCounters()
        base = await nursery.start(partial(rest_server.serve, AlorRest(venue), "127.0.0.1", 0, counters=counters))
        answer = await asked(base, "POST /refresh?token=any")
        token = msgspec.json.decode(answer)["AccessToken"]
        async with websocket(url) as socket:
            await socket.send_message(request(venue, "OrderBookGetAndSubscribe", "b", token=token))
            assert any("data" in each for each in await frames(socket, 2))
            while venue.market.step < 5:
                await socket.get_message()
            book = msgspec.json.decode(await asked(base, "GET /md/v2/orderbooks/MOEX/SBER"))
        assert book["ms_timestamp"] > venue.market.time_ms(0)
        assert (counters.rest_requests, venue.counters.tokens_issued) == (2, 1)
        nursery.cancel_scope.cancel()


async def asked(base: str, line: str) -> bytes:
    """The body of an answer."""
    async with await tcp(base) as stream:
        await stream.send_all(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.1 200")
    return answer.partition(b"\r\n\r\n")[2]


async def test_a_token_of_one_venue_is_good_for_another_of_the_same_seed() -> None:
    async with running() as (url, venue), websocket(url) as socket:
        for seed, code in ((1, 200), (2, 401)):
            token = AlorVenue(AlorSimOptions(seed=seed), securities=[]).tokens.issue(time.time_ns())
            await socket.send_message(request(venue, "ping", "p", confirm=True, token=token))
            assert (await frames(socket, 1))[0]["httpCode"] == code


async def test_pings_are_answered_and_another_path_is_not_found() -> None:
    async with running() as (url, _):
        async with websocket(url) as socket:
            await socket.ping(b"hello")
        async with await tcp(url) as stream:
            await stream.send_all(HANDSHAKE.replace(b"/ws", b"/other"))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")


async def test_commands_have_a_path_of_their_own() -> None:
    async with running() as (url, venue), websocket(url.replace("/ws", "/cws")) as socket:
        await socket.send_message(request(venue, "authorize", "a"))
        (answer,) = await frames(socket, 1)
        assert answer["message"] == "The connection has been initialized."
        assert venue.counters.connections_open == 1


async def test_a_connection_too_many_is_closed_or_refused_as_the_options_say() -> None:
    async with running(AlorSimOptions(max_connections=1)) as (url, venue), websocket(url) as first:
        async with websocket(url) as second:
            assert await closing_code(second) == 1008
        await first.send_message(request(venue, "ping", "p", confirm=True))
        assert (await frames(first, 1))[0]["httpCode"] == 200
        assert venue.counters.connections_refused == 1
    async with running(AlorSimOptions(max_connections=1, connection_refusal=429)) as (url, _), websocket(url) as first:
        async with await tcp(url) as stream:
            await stream.send_all(HANDSHAKE)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 429")
        await first.ping()


async def test_connections_that_come_at_once_are_counted() -> None:
    async with running(AlorSimOptions(max_connections=3, connection_refusal=503)) as (url, venue):
        statuses: list[bytes] = []

        async def knock() -> None:
            async with await tcp(url) as stream:
                await stream.send_all(HANDSHAKE)
                statuses.append((await stream.receive_some())[9:12])
                while len(statuses) < 8:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(knock)
        assert sorted(statuses) == [b"101"] * 3 + [b"503"] * 5
        assert venue.counters.connections_refused == 5


async def test_a_connection_that_ends_makes_room_for_another() -> None:
    async with running(AlorSimOptions(max_connections=1)) as (url, venue):
        for _ in range(3):
            async with websocket(url) as socket:
                await socket.send_message(request(venue, "ping", "p", confirm=True))
                assert (await frames(socket, 1))[0]["httpCode"] == 200
                await socket.aclose()
            with trio.fail_after(5):
                while venue.counters.connections_open:
                    await trio.lowlevel.checkpoint()
        assert venue.counters.connections_refused == 0


async def test_a_client_that_does_not_read_is_cut_and_nobody_else_is() -> None:
    async with running(AlorSimOptions(rate=200, max_unsent=200)) as (url, venue):
        async with await tcp(url) as stream, websocket(url) as steady:
            await stream.send_all(HANDSHAKE)
            while b"\r\n\r\n" not in await stream.receive_some():
                pass
            await ask_much(stream, venue)
            await steady.send_message(request(venue, "OrderBookGetAndSubscribe", "b", frequency=0))
            while not venue.counters.connections_cut:
                await steady.get_message()
            await drain(stream)
            assert len(await frames(steady, 5)) == 5
        assert venue.counters.connections_cut == 1


async def ask_much(stream: trio.SocketStream, venue: AlorVenue) -> None:
    """Subscribe again and again, until it is cut or has enough."""
    try:
        for number in range(300):
            await stream.send_all(masked(request(venue, "OrderBookGetAndSubscribe", str(number), frequency=0)))
    except trio.BrokenResourceError:
        pass


def masked(message: str) -> bytes:
    data = message.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


async def drain(stream: trio.SocketStream) -> None:
    """Read until the end, however it comes."""
    try:
        async for _ in stream:
            pass
    except trio.BrokenResourceError:
        pass


async def test_a_burst_of_history_to_a_client_that_reads_is_no_reason_to_cut_it() -> None:
    async with running(AlorSimOptions(rate=100, max_unsent=50)) as (url, venue), websocket(url) as socket:
        await socket.send_message(request(venue, "AllTradesGetAndSubscribe", "t", depth=400))
        received = await frames(socket, 401)
        assert sum("data" in each for each in received) >= 400
        assert venue.counters.connections_cut == 0


async def test_a_stopping_venue_closes_its_connections() -> None:
    counters = AlorCounters()
    async with trio.open_nursery() as clients:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, AlorSimOptions(), "127.0.0.1", 0, counters=counters))
            socket = await clients.start(_held, url)
            nursery.cancel_scope.cancel()
        assert await closing_code(socket) == 1001
        clients.cancel_scope.cancel()
    assert (counters.connections, counters.connections_open) == (1, 0)


async def _held(
    url: str, task_status: trio.TaskStatus[trio_websocket.WebSocketConnection] = trio.TASK_STATUS_IGNORED
) -> None:
    async with websocket(url) as socket:
        task_status.started(socket)
        await trio.sleep_forever()
