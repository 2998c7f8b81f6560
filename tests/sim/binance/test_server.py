"""The simulated Binance over real sockets: what it adds to the server that all simulated venues share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import trio
import trio_websocket

from feedbus.sim import rest
from feedbus.sim.binance.server import BinanceCounters, BinanceRest, BinanceSimOptions, BinanceVenue, serve
from feedbus.transport.http import client
from tests.sim.sockets import closed_with, raw_websocket, serving, status, websocket


@asynccontextmanager
async def venue(options: BinanceSimOptions | None = None) -> AsyncIterator[tuple[str, str, BinanceCounters]]:
    """A WebSocket server and a REST server of one venue: their URLs."""
    counters = BinanceCounters()
    shared = BinanceVenue(options or BinanceSimOptions(rate=50), counters)
    async with serving(
        partial(serve, shared.options, "127.0.0.1", 0, venue=shared),
        partial(rest.serve, BinanceRest(shared), "127.0.0.1", 0),
    ) as ((url, rest_url), _):
        yield url, rest_url, counters


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


async def test_options_alone_make_a_venue() -> None:
    counters = BinanceCounters()
    async with (
        serving(partial(serve, BinanceSimOptions(), "127.0.0.1", 0, counters=counters)) as ((url,), _),
        websocket(url) as socket,
    ):
        assert urlsplit(url).path == "/stream"
        assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": [], "id": "LIST_SUBSCRIPTIONS"}
        assert counters.frames_sent == 1


async def test_subscribed_streams_talk_in_text_frames() -> None:
    async with venue() as (url, _, counters), websocket(url) as socket:
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


async def test_the_snapshot_over_rest_is_what_the_updates_go_on_from() -> None:
    async with venue() as (url, rest_url, _), websocket(url, "/ws/btcusdt@depth@100ms") as socket:
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
    async with venue(BinanceSimOptions(max_messages=2)) as (url, _, counters), websocket(url) as socket:
        for _ in range(3):
            await socket.send_message('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        frames, code = await closed_with(socket)
        assert (code, len(frames), counters.clients_over_limit) == (1008, 2, 1)


async def test_pings_and_pongs_of_a_client_count_as_messages() -> None:
    async with (
        venue(BinanceSimOptions(max_messages=4, ping_every=None)) as (url, _, counters),
        websocket(url) as socket,
    ):
        for _ in range(3):
            await socket.ping()
        await socket.pong(b"unasked")
        await socket.send_message('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        frames, code = await closed_with(socket)
        assert (code, frames, counters.clients_over_limit, counters.most_messages) == (1008, [], 1, 5)


async def test_one_ping_too_many_ends_a_connection_on_which_nothing_else_happens() -> None:
    async with (
        venue(BinanceSimOptions(max_messages=2, ping_every=0.01)) as (url, _, counters),
        websocket(url) as socket,
    ):
        with trio.fail_after(5):
            assert (await closed_with(socket))[1] == 1008
        assert (counters.clients_over_limit, counters.most_messages) == (1, 3)


async def test_the_venue_pings_its_clients() -> None:
    async with venue(BinanceSimOptions(ping_every=0.01)) as (url, _, _), await raw_websocket(url, "/ws") as stream:
        assert (await stream.receive_some())[:1] == b"\x89"


async def test_another_path_is_not_found() -> None:
    async with venue() as (url, _, _):
        assert await status(url, "/nope") == 404


async def test_connections_are_cut_or_banned_on_request() -> None:
    async with venue() as (url, rest_url, counters), client(rest_url) as http:
        async with websocket(url, "/ws/btcusdt@trade") as socket:
            assert (await http.request("POST", "/sim/faults", b'{"cut_connections": true}')).status == 200
            _, code = await closed_with(socket)
            assert code == 1006
        async with websocket(url, "/ws/btcusdt@trade") as socket:
            await http.request("POST", "/sim/faults", b'{"ban_s": 100}')
            _, code = await closed_with(socket)
            assert code == 1008
        assert await status(url, "/stream") == 418
        assert (counters.clients_banned, counters.handshakes_refused) == (1, 1)
