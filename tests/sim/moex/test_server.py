"""The simulated MOEX venue over real sockets: what it adds to the server that all simulated venues share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio_websocket

from feedbus.sim.moex.server import MoexSimOptions, ServerCounters, serve
from feedbus.venues.moex import stomp
from tests.sim.sockets import closed_with, serving, status, websocket

START_NS = 1_719_825_533_789_000_000
CONNECT = b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0"


@asynccontextmanager
async def venue(options: MoexSimOptions | None = None) -> AsyncIterator[tuple[str, ServerCounters]]:
    counters = ServerCounters()
    served = partial(serve, options or MoexSimOptions(rate=20), "127.0.0.1", 0, counters=counters)
    async with serving(served) as ((url,), _):
        yield url, counters


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    async with websocket(url, subprotocols=["STOMP"]) as socket:
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


@pytest.mark.parametrize("known", ["STOMP", "v12.stomp"])
async def test_both_names_of_the_subprotocol_are_known_and_text_is_taken_as_well(known: str) -> None:
    async with venue() as (url, _), websocket(url, subprotocols=["mqtt", known]) as socket:
        assert socket.subprotocol == known
        await socket.send_message(CONNECT.decode())
        assert (await frame(socket)).command == "CONNECTED"


async def test_another_path_is_not_found() -> None:
    async with venue() as (url, _):
        assert await status(url, "/infocx/v2/websocket") == 404


async def test_disconnect_is_answered_and_the_connection_closed_normally() -> None:
    async with venue() as (url, counters), connected(url) as socket:
        await socket.send_message(stomp.build("DISCONNECT", {"receipt": "bye"}))
        assert await closed_with(socket) == ([b"RECEIPT\nreceipt-id:bye\n\n\0"], 1000)
        assert counters.frames_sent == 2


async def test_a_strict_venue_drops_a_client_that_sends_carriage_returns() -> None:
    async with venue(MoexSimOptions(crlf="disconnect")) as (url, _), websocket(url) as socket:
        await socket.send_message(CONNECT.replace(b"\n", b"\r\n"))
        assert await closed_with(socket) == ([], 1006)


async def test_the_largest_message_is_that_of_the_options() -> None:
    async with venue(MoexSimOptions(max_frame=2000)) as (url, _), connected(url) as socket:
        await socket.send_message(b"x" * 2000)
        assert (await frame(socket)).command == "ERROR"
        await socket.send_message(b"x" * 2001)
        assert (await closed_with(socket))[1] == 1009


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
