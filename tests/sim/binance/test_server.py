"""The simulated Binance over real sockets on this machine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlparse

import pytest
import trio
import trio_websocket

from feedbus.sim import rest
from feedbus.sim.binance.server import BinanceCounters, BinanceRest, BinanceSimOptions, BinanceVenue, serve
from feedbus.transport.http import client

START_NS = 1_723_161_255_208_000_000


@asynccontextmanager
async def venue(options: BinanceSimOptions | None = None) -> AsyncIterator[tuple[str, str, BinanceCounters]]:
    """A WebSocket server and a REST server of one venue: their URLs."""
    counters = BinanceCounters()
    shared = BinanceVenue(options or BinanceSimOptions(rate=50), counters)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, shared.options, "127.0.0.1", 0, venue=shared))
            rest_url = await nursery.start(partial(rest.serve, BinanceRest(shared), "127.0.0.1", 0))
            yield url, rest_url, counters
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(url: str, target: str = "/stream") -> AsyncIterator[trio_websocket.WebSocketConnection]:
    place = urlparse(url)
    stream = await trio.open_tcp_stream(str(place.hostname), place.port or 0)
    async with stream, trio.open_nursery() as nursery:
        socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", target)
        yield socket
        with trio.move_on_after(2):
            await socket.aclose()
        nursery.cancel_scope.cancel()


async def received(socket: trio_websocket.WebSocketConnection) -> Any:
    data = await socket.get_message()
    assert isinstance(data, str)
    return json.loads(data)


async def ask(socket: trio_websocket.WebSocketConnection, method: str, *params: Any) -> Any:
    """The answer to a control message, whatever data comes before it."""
    await socket.send_message(json.dumps({"method": method, "params": params, "id": method}))
    while "id" not in (answer := await received(socket)):
        pass
    return answer


async def test_serve_starts_with_the_url_of_combined_streams() -> None:
    async with venue() as (url, rest_url, _):
        assert urlparse(url).path == "/stream"
        assert urlparse(rest_url).path == ""


async def test_options_alone_make_a_venue() -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            counters = BinanceCounters()
            url = await nursery.start(partial(serve, BinanceSimOptions(), "127.0.0.1", 0, counters=counters))
            async with connected(url) as socket:
                assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": [], "id": "LIST_SUBSCRIPTIONS"}
            assert counters.frames_sent == 1
            nursery.cancel_scope.cancel()


async def test_subscribed_streams_talk_in_text_frames() -> None:
    async with venue() as (url, _, counters), connected(url) as socket:
        assert await ask(socket, "SUBSCRIBE", "btcusdt@trade", "ethusdt@bookTicker") == {
            "result": None,
            "id": "SUBSCRIBE",
        }
        seen: set[str] = set()
        while len(seen) < 2:
            seen.add((await received(socket))["stream"])
        assert await ask(socket, "UNSUBSCRIBE", "btcusdt@trade", "ethusdt@bookTicker") == {
            "result": None,
            "id": "UNSUBSCRIBE",
        }
        assert counters.subscriptions == 2


async def first_bytes(seed: int) -> list[str]:
    target = "/stream?streams=btcusdt@trade/btcusdt@depth@100ms/ethusdt@bookTicker/solusdt@depth5@100ms"
    async with (
        venue(BinanceSimOptions(seed=seed, start_ns=START_NS, rate=50)) as (url, _, _),
        connected(url, target) as socket,
    ):
        return [str(await socket.get_message()) for _ in range(60)]


async def test_the_same_seed_start_and_requests_give_the_same_bytes() -> None:
    one = await first_bytes(1)
    assert one == await first_bytes(1)
    assert one != await first_bytes(2)


async def test_the_snapshot_over_rest_is_what_the_updates_go_on_from() -> None:
    async with venue() as (url, rest_url, _), connected(url, "/ws/btcusdt@depth@100ms") as socket:
        update = await received(socket)
        async with client(rest_url) as http:
            answer = await http.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        snapshot = json.loads(answer.body)["lastUpdateId"]
        assert snapshot >= update["u"]
        while update["u"] <= snapshot:
            before, update = update, await received(socket)
            assert update["U"] == before["u"] + 1
        assert update["U"] <= snapshot + 1 <= update["u"]


async def test_a_hasty_client_is_disconnected() -> None:
    async with venue(BinanceSimOptions(max_messages=2)) as (url, _, counters), connected(url) as socket:
        for _ in range(3):
            await socket.send_message('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        frames: list[Any] = []
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await read_on(socket, frames)
        assert closed.value.reason is not None
        assert (closed.value.reason.code, len(frames), counters.clients_over_limit) == (1008, 2, 1)


async def test_a_stopping_venue_announces_it() -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url, scope = await nursery.start(_cancellable)
            async with connected(url) as socket:
                await ask(socket, "LIST_SUBSCRIPTIONS")
                scope.cancel()
                frames: list[Any] = []
                with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                    await read_on(socket, frames)
    assert [frame["stream"] for frame in frames] == ["!serverShutdown"]
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1001


async def read_on(socket: trio_websocket.WebSocketConnection, frames: list[Any]) -> None:
    while True:
        frames.append(await received(socket))


async def _cancellable(
    task_status: trio.TaskStatus[tuple[str, trio.CancelScope]] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, BinanceSimOptions(), "127.0.0.1", 0))
            task_status.started((url, scope))


async def test_the_venue_pings_its_clients() -> None:
    async with venue(BinanceSimOptions(ping_every=0.01)) as (url, _, _):
        place = urlparse(url)
        async with await trio.open_tcp_stream(str(place.hostname), place.port or 0) as stream:
            await stream.send_all(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            data = b""
            while not data.partition(b"\r\n\r\n")[2]:
                data += await stream.receive_some()
        assert data.partition(b"\r\n\r\n")[2][:1] == b"\x89"


async def test_another_path_is_not_found() -> None:
    async with venue() as (url, _, _):
        place = urlparse(url)
        async with await trio.open_tcp_stream(str(place.hostname), place.port or 0) as stream:
            await stream.send_all(
                b"GET /nope HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")
