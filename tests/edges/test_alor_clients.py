"""The simulated ALOR against two public clients of ALOR, as anyone installs them: neither knows of it.

brokapi (PyPI) and alor-api (npm), each in an environment of its own. The simulator's two interfaces are put behind one
address, as ALOR's are.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import msgspec
import pytest
import trio

from feedbus.sim import rest
from feedbus.sim.alor.server import AlorRest, AlorSimOptions, AlorVenue, serve
from tests.edges.environments import environment, python_with, run

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to install the client

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def brokapi() -> str:
    """An interpreter that has it."""
    return python_with("brokapi==0.1.0a6", name="brokapi")


@pytest.fixture(scope="module")
def alor_api() -> Path:
    """The folder that it is in."""

    def make(folder: Path) -> None:
        folder.mkdir()
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "alor-api@1.0.66")

    return environment("alor-api", make) / "node_modules" / "alor-api"


@asynccontextmanager
async def _simulated(options: AlorSimOptions) -> AsyncIterator[tuple[str, AlorVenue]]:
    """The address of everything, and the venue."""
    venue = AlorVenue(options)
    with trio.fail_after(90):
        async with trio.open_nursery() as nursery:
            websocket = await nursery.start(partial(serve, options, "127.0.0.1", 0, venue=venue))
            base = await nursery.start(rest.serve, AlorRest(venue), "127.0.0.1", 0)
            (listener,) = await nursery.start(
                partial(trio.serve_tcp, partial(_front, websocket, base), 0, host="127.0.0.1")
            )
            yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", venue
            nursery.cancel_scope.cancel()


async def _front(websocket: str, base: str, client: trio.abc.Stream) -> None:
    """Pass a connection on to the one server or the other, by the path of its first request."""
    try:
        head = await client.receive_some(65536)
        place = urlparse(websocket if head.split(b" ", 2)[1:2] == [b"/ws"] else base)
        async with await trio.open_tcp_stream(str(place.hostname), place.port or 0) as server, client:
            await server.send_all(head)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, client, server, nursery.cancel_scope)
                nursery.start_soon(_pass_on, server, client, nursery.cancel_scope)
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def _pass_on(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope) -> None:
    async for data in source:
        await sink.send_all(data)
    scope.cancel()


async def _seen(*command: str | Path, **variables: str) -> Any:
    """What the client says that it saw."""
    result = await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, env={**os.environ, **variables}
    )
    assert result.returncode == 0, result.stderr.decode()
    (line,) = result.stdout.decode().splitlines()
    return msgspec.json.decode(line)


def _check_book(bids: list[float], asks: list[float], depth: int) -> None:
    assert len(bids) == len(asks) == depth
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]


def _check_ids(ids: list[int]) -> None:
    assert ids == sorted(set(ids))
    assert all(each > 2**53 for each in ids)


@pytest.mark.parametrize("order_numbers", ["text", "number"])
async def test_brokapi(brokapi: str, order_numbers: Any) -> None:
    """brokapi reads a trade's `orderno` as text, as the specification says, and drops the trades that have it as the
    exchange sends it: a number."""
    options = AlorSimOptions(order_numbers=order_numbers, refresh_tokens=("refresh",))
    async with _simulated(options) as (url, venue):
        script = CLIENTS / "brokapi_client.py"
        expected = "trades" if order_numbers == "text" else "no trades"
        seen = await _seen(brokapi, script, url, expected)
    assert seen["instrument"] == ["RU0009029540", "MOEX", "RUB"]
    assert seen["steps"] == ["0.01", "0.001"]
    events = seen["events"]
    for book, depth in ((seen["book"], 3), *((book, 5) for book in events["books"])):
        bids, asks = ([float(level[0]) for level in book[side]] for side in ("bids", "asks"))
        _check_book(bids, asks, depth)
    assert all(float(quote["bid"]) < float(quote["ask"]) for quote in events["quotes"])
    assert bool(events["trades"]) is (order_numbers == "text")
    _check_ids([int(trade["id"]) for trade in events["trades"]])
    assert {trade["side"] for trade in events["trades"]} <= {"Buy", "Sell"}
    assert all(len(trade["price"].partition(".")[2]) == 5 for trade in events["trades"])
    assert set(seen["after unsubscribe"]) == {"Quote"}
    assert seen["unknown"] == ["Rejected", "rejected: subscription_refused: Bad request: no such instrument"]
    assert seen["refused"] is not None
    assert venue.counters.logins_refused > 0
    assert venue.counters.subscriptions == 3


async def test_alor_api(alor_api: Path) -> None:
    async with _simulated(AlorSimOptions()) as (url, venue):
        seen = await _seen("node", CLIENTS / "alor_api_client.cjs", alor_api, url)
    assert seen["refreshed"] == ["AccessToken"]
    assert (seen["card"]["symbol"], seen["card"]["lotsize"], seen["card"]["minstep"]) == ("SBER", 1, 0.01)
    data = seen["data"]
    for book in data["books"]:
        _check_book([level["price"] for level in book["bids"]], [level["price"] for level in book["asks"]], 5)
    for book in data["slim"]:
        _check_book([level["p"] for level in book["b"]], [level["p"] for level in book["a"]], 5)
    assert all(trade["symbol"] == "CNY-12.26" and trade["side"] in ("buy", "sell") for trade in data["trades"])
    assert all(trade["id"] > 2**53 for trade in data["trades"])  # rounded, as numbers are in JavaScript
    assert all(quote["bid"] < quote["ask"] and quote["open_interest"] is None for quote in data["quotes"])
    assert [card["symbol"] for card in seen["board"][1:]] == [card["symbol"] for card in seen["page"]]
    assert {card["board"] for card in seen["board"]} == {"RFUD"}
    for name, key, seconds in (("candles", "time", 60), ("parts", "t", 15), ("days", "time", 86400)):
        times = [bar[key] for bar in data[name]]
        assert times == sorted(times)
        assert {time % seconds for time in times} == {0}
    assert seen["afterUnsubscribe"] <= 1
    assert seen["unknown"]["httpCode"] == 400
    assert venue.counters.subscriptions == 7
