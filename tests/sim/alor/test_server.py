"""The simulated ALOR over real sockets: what it adds to the server that all simulated venues share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import trio
import trio_websocket

from feedbus.sim import rest as rest_server
from feedbus.sim.alor.server import AlorRest, AlorSimOptions, AlorVenue, serve
from feedbus.transport.http import client
from tests.sim.sockets import closed_with, raw_websocket, serving, status, tcp, upgrade, websocket


@asynccontextmanager
async def running(options: AlorSimOptions | None = None) -> AsyncIterator[tuple[str, AlorVenue]]:
    venue = AlorVenue(options or AlorSimOptions(rate=200.0))
    async with serving(partial(serve, venue.options, "127.0.0.1", 0, venue=venue)) as ((url,), _):
        yield url, venue


def request(venue: AlorVenue, opcode: str, guid: str, **keys: Any) -> str:
    token = venue.tokens.issue(time.time_ns())
    common = {"opcode": opcode, "exchange": "MOEX", "code": "SBER", "guid": guid, "token": token}
    return msgspec.json.encode({**common, **keys}).decode()


async def frames(socket: trio_websocket.WebSocketConnection, count: int) -> list[Any]:
    received = [await socket.get_message() for _ in range(count)]
    assert all(isinstance(each, str) for each in received)
    return [msgspec.json.decode(each) for each in received]


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


async def test_rest_serves_the_same_market_at_an_address_of_its_own() -> None:
    venue, counters = AlorVenue(AlorSimOptions(rate=200.0)), rest_server.RestCounters()
    async with (
        serving(
            partial(serve, venue.options, "127.0.0.1", 0, venue=venue),
            partial(rest_server.serve, AlorRest(venue), "127.0.0.1", 0, counters=counters),
        ) as ((url, base), _),
        websocket(url) as socket,
        client(base) as http,
    ):
        token = msgspec.json.decode((await http.request("POST", "/refresh?token=any")).body)["AccessToken"]
        await socket.send_message(request(venue, "OrderBookGetAndSubscribe", "b", token=token))
        assert any("data" in each for each in await frames(socket, 2))
        while venue.market.step < 5:
            await socket.get_message()
        (quote,) = msgspec.json.decode((await http.get("/md/v2/Securities/MOEX:SBER/quotes")).body)
        assert quote["last_price_timestamp"] >= venue.market.time_ms(0) // 1000
        assert (counters.rest_requests, venue.counters.tokens_issued) == (2, 1)


async def test_a_token_of_one_venue_is_good_for_another_of_the_same_seed() -> None:
    async with running() as (url, venue), websocket(url) as socket:
        for seed, code in ((1, 200), (2, 401)):
            token = AlorVenue(AlorSimOptions(seed=seed), securities=[]).tokens.issue(time.time_ns())
            await socket.send_message(request(venue, "ping", "p", confirm=True, token=token))
            assert (await frames(socket, 1))[0]["httpCode"] == code


async def test_commands_have_a_path_of_their_own_and_another_path_is_not_found() -> None:
    async with running() as (url, venue), websocket(url, "/cws") as socket:
        await socket.send_message(request(venue, "authorize", "a"))
        (answer,) = await frames(socket, 1)
        assert answer["message"] == "The connection has been initialized."
        assert venue.counters.connections_open == 1
        assert await status(url, "/other") == 404


async def test_a_connection_too_many_is_closed_or_refused_as_the_options_say() -> None:
    async with running(AlorSimOptions(max_connections=1)) as (url, venue), websocket(url) as first:
        async with websocket(url) as second:
            assert (await closed_with(second))[1] == 1008
        await first.send_message(request(venue, "ping", "p", confirm=True))
        assert (await frames(first, 1))[0]["httpCode"] == 200
        assert venue.counters.connections_refused == 1
    async with running(AlorSimOptions(max_connections=1, connection_refusal=429)) as (url, _), websocket(url) as first:
        assert await status(url) == 429
        await first.ping()


async def test_connections_that_come_at_once_are_counted() -> None:
    async with running(AlorSimOptions(max_connections=3, connection_refusal=503)) as (url, venue):
        statuses: list[bytes] = []

        async def knock() -> None:
            async with await tcp(url) as stream:
                await stream.send_all(upgrade("/ws"))
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
    async with running(AlorSimOptions(rate=200, max_unsent=200)) as (url, venue), websocket(url) as steady:
        much = [request(venue, "OrderBookGetAndSubscribe", str(number), frequency=0) for number in range(150)]
        async with await raw_websocket(url, said=much):
            await steady.send_message(request(venue, "OrderBookGetAndSubscribe", "b", frequency=0))
            while not venue.counters.connections_cut:
                await steady.get_message()
            assert len(await frames(steady, 5)) == 5
        assert venue.counters.connections_cut == 1


async def test_a_burst_of_history_to_a_client_that_reads_is_no_reason_to_cut_it() -> None:
    async with running(AlorSimOptions(rate=100, max_unsent=50)) as (url, venue), websocket(url) as socket:
        await socket.send_message(request(venue, "AllTradesGetAndSubscribe", "t", depth=400))
        received = await frames(socket, 401)
        assert sum("data" in each for each in received) >= 400
        assert venue.counters.connections_cut == 0
