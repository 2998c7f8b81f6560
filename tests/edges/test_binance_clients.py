"""The simulated Binance against clients as anyone installs them: Binance's own, and the most used of the others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from feedbus.sim import rest
from feedbus.sim.binance.catalogue import symbols
from feedbus.sim.binance.server import BinanceCounters, BinanceRest, BinanceSimOptions, BinanceVenue, serve
from tests.edges.environments import python_with

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to install the client

SCRIPTS = Path(__file__).parent / "clients"

Messages = dict[str, list[Any]]


async def run_client(package: str, script: str, counters: BinanceCounters) -> dict[str, Any]:
    python = await trio.to_thread.run_sync(partial(python_with, package, name=package))
    venue = BinanceVenue(BinanceSimOptions(), counters)
    async with trio.open_nursery() as nursery:
        ws_url = await nursery.start(partial(serve, venue.options, "127.0.0.1", 0, venue=venue))
        rest_url = await nursery.start(partial(rest.serve, BinanceRest(venue), "127.0.0.1", 0))
        command = [python, str(SCRIPTS / script), ws_url, rest_url]
        with trio.fail_after(90):
            result = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        nursery.cancel_scope.cancel()
    assert result.returncode == 0, result.stderr.decode()
    seen: dict[str, Any] = msgspec.json.decode(result.stdout)
    return seen


def check_trades(trades: list[Any]) -> None:
    numbers = [trade["t"] for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(Decimal(trade["q"]) > 0 and trade["T"] <= trade["E"] for trade in trades)


def check_aggregates(trades: list[Any], aggregates: list[Any]) -> None:
    held = {trade["t"]: trade for trade in trades}
    whole = [it for it in aggregates if all(number in held for number in range(it["f"], it["l"] + 1))]
    assert whole
    for it in whole:
        parts = [held[number] for number in range(it["f"], it["l"] + 1)]
        assert sum(Decimal(part["q"]) for part in parts) == Decimal(it["q"])
        assert {(part["p"], part["m"], part["T"]) for part in parts} == {(it["p"], it["m"], it["T"])}


def check_books(tops: list[Any], books: list[Any]) -> None:
    for book in books:
        bids, asks = ([Decimal(price) for price, _ in book[side]] for side in ("bids", "asks"))
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert bids[0] < asks[0]
    best = {book["lastUpdateId"]: [*book["bids"][0], *book["asks"][0]] for book in books}
    same = [top for top in tops if top["u"] in best]
    assert same
    for top in same:
        assert [top["b"], top["B"], top["a"], top["A"]] == best[top["u"]]


def check_klines(trades: list[Any], klines: list[Any]) -> None:
    held = {trade["t"]: trade for trade in trades}
    closed = [kline["k"] for kline in klines if kline["k"]["x"]]
    whole = [k for k in closed if k["n"] and all(number in held for number in range(k["f"], k["L"] + 1))]
    assert whole
    for k in whole:
        parts = [held[number] for number in range(k["f"], k["L"] + 1)]
        prices = [Decimal(part["p"]) for part in parts]
        told = [Decimal(k[key]) for key in "ohlcv"]
        volume = sum(Decimal(part["q"]) for part in parts)
        assert told == [prices[0], max(prices), min(prices), prices[-1], volume]
        assert all(k["t"] <= part["T"] <= k["T"] for part in parts)


def check_day(trades: list[Any], tickers: list[Any]) -> None:
    last = tickers[-1]
    assert all(Decimal(last["l"]) <= Decimal(it["p"]) <= Decimal(last["h"]) for it in trades if it["E"] <= last["E"])


def check_messages(messages: Messages) -> None:
    for symbol in {name.partition("@")[0] for name in messages}:
        trades = messages[f"{symbol}@trade"]
        check_trades(trades)
        check_aggregates(trades, messages[f"{symbol}@aggTrade"])
        check_books(messages[f"{symbol}@bookTicker"], messages[f"{symbol}@depth5@100ms"])
        check_klines(trades, messages[f"{symbol}@kline_1s"])
        check_day(trades, messages[f"{symbol}@ticker"])


def check_python_binance(seen: dict[str, Any], counters: BinanceCounters) -> None:
    assert seen["invalid symbol"] == [400, -1121, "Invalid symbol."]
    assert [filter_["filterType"] for filter_ in seen["filters"]] == ["PRICE_FILTER", "LOT_SIZE"]
    check_trades(seen["trades"])
    assert [kline["s"] for kline in seen["klines"]] == ["SOLUSDT"] * 4
    assert len(seen["books"]) >= 25
    for update, told, kept in seen["books"]:
        assert told == kept, update
    assert (counters.connections, counters.frames_received) == (5, 0)


def check_binance_sdk(seen: dict[str, Any], counters: BinanceCounters) -> None:
    assert seen["complaints"] == []
    assert seen["invalid symbol"] == ["BadRequestError", "(-1121, 'Invalid symbol.')"]
    ((kind, interval, weight),) = seen["rate limits"]
    assert (kind, interval) == ("REQUEST_WEIGHT", "MINUTE")
    assert 5 <= weight <= 27
    assert len(seen["listed"]) == 9
    assert seen["left"] == seen["listed"][1:]
    updates = seen["messages"]["btcusdt@depth@100ms"]
    assert all(then["U"] == before["u"] + 1 for before, then in pairwise(updates))
    assert (counters.connections, counters.frames_received, counters.errors_sent) == (1, 12, 0)


@pytest.mark.parametrize(
    ("package", "script", "check"),
    [
        ("python-binance", "python_binance_client.py", check_python_binance),
        ("binance-sdk-spot", "binance_sdk_client.py", check_binance_sdk),
    ],
)
async def test_a_client_works_against_the_simulated_venue(
    package: str, script: str, check: Callable[[dict[str, Any], BinanceCounters], None]
) -> None:
    counters = BinanceCounters()
    seen = await run_client(package, script, counters)
    assert seen["symbols"] == symbols()
    assert seen["time"] > 1_600_000_000_000
    assert len(seen["book"]["bids"]) == len(seen["book"]["asks"]) == 5
    check_messages(seen["messages"])
    check(seen, counters)
    assert counters.connections_broken == counters.clients_over_limit == 0
