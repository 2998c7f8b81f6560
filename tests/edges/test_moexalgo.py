"""The simulated venue against MOEX's own client, as anyone installs it: neither knows of the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from feedbus.sim.moex.candles import ROWS
from feedbus.sim.moex.server import MoexSimOptions, ServerCounters, serve
from feedbus.sim.moex.wire import BOOK_COLUMNS, CANDLE_COLUMNS, SEARCH_COLUMNS, SECURITIES_COLUMNS
from tests.edges.environments import python_with

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to install the client

SCRIPT = Path(__file__).parent / "clients" / "moexalgo_client.py"
NEEDS = (3, 12)
"""What moexalgo asks for; its ISS+ part, a file that needs stomp.py and websockets alone, runs on 3.11 too."""


def _candidates() -> Iterator[str]:
    yield sys.executable
    for minor in range(15, 11, -1):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(str(path) for path in pyenv.glob("versions/3.1[2-9]*/bin/python3"))


def _version(python: str) -> tuple[int, ...]:
    """Of an interpreter that runs; () of one that doesn't, as a shim for a version that isn't chosen."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return tuple(int(part) for part in result.stdout.split()) if result.returncode == 0 else ()


@pytest.fixture(scope="module")
def client_command() -> list[str]:
    """How to start the client's script; the environment is kept for the next time."""
    found = next((each for each in _candidates() if _version(each) >= NEEDS), None)
    installs = (
        ["moexalgo[issplus]"] if found else ["--no-deps --ignore-requires-python moexalgo", "stomp.py websockets"]
    )
    python = python_with(*installs, name="moexalgo", python=found or sys.executable)
    if _version(python) >= NEEDS:
        return [python, str(SCRIPT), "URL"]
    (file,) = Path(python).parents[1].glob("lib/python3*/site-packages/moexalgo/beta/issplus.py")
    return [python, str(SCRIPT), "URL", str(file)]


async def _run_client(command: list[str], counters: ServerCounters) -> dict[str, Any]:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, MoexSimOptions(), "127.0.0.1", 0, counters=counters))
        with trio.fail_after(90):
            command = [url if part == "URL" else part for part in command]
            result = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        nursery.cancel_scope.cancel()
    assert result.returncode == 0, result.stderr.decode()
    printed = result.stdout.decode().splitlines()
    assert len(printed) == 1, printed
    seen: dict[str, Any] = msgspec.json.decode(printed[0])
    return seen


def _check_books(messages: list[Any]) -> None:
    for message in messages:
        assert message["properties"]["type"] == "snapshot"
        assert tuple(message["columns"]) == BOOK_COLUMNS
        assert [row[0] for row in message["data"]] == ["B"] * 10 + ["S"] * 10
        prices = [row[1][0] for row in message["data"]]
        assert prices == sorted(set(prices))
    numbers = [message["properties"]["seqnum"] for message in messages]
    assert numbers == sorted(set(numbers))


def _check_securities(ticker: str, messages: list[Any]) -> None:
    assert [message["properties"]["type"] for message in messages] == ["snapshot"] + ["updates"] * (len(messages) - 1)
    assert tuple(messages[0]["columns"]) == SECURITIES_COLUMNS
    for message in messages:
        (row,) = message["data"]
        assert len(row) == len(message["columns"])
        assert row[0] == f"MXSE.TQBR.{ticker}"


def _check_candles(messages: list[Any]) -> None:
    assert [message["properties"]["type"] for message in messages] == ["snapshot"] + ["updates"] * (len(messages) - 1)
    assert len(messages) == 3
    assert len(messages[0]["data"]) == ROWS
    held: dict[str, Any] = {}
    for message in messages:
        assert tuple(message["columns"]) == CANDLE_COLUMNS
        held |= {row[0]: row for row in message["data"]}
        assert message["data"][-1][0] == max(held)
    assert len(held) <= ROWS + 2


async def test_moexs_own_client_works_against_the_simulated_venue(client_command: list[str]) -> None:
    counters = ServerCounters()
    seen = await _run_client(client_command, counters)
    assert {"MXSE", "FORTS", "SEARCH"} <= set(seen["markets"])
    assert seen["streams"] == ["candles", "orderbooks", "securities"]
    for ticker in ("SBER", "GAZP"):
        _check_books(seen["messages"][f"MXSE.orderbooks {ticker}"])
        _check_securities(ticker, seen["messages"][f"MXSE.securities {ticker}"])
    assert tuple(seen["search"]["columns"]) == SEARCH_COLUMNS
    assert [row[1] for row in seen["search"]["data"]][:2] == ["SBER", "SBERP"]
    assert seen["bad request"][0] == "RuntimeError"
    assert seen["unknown ticker"][0] == "RuntimeError"
    assert "unknown ticker MXSE.TQBR.NOPE" in seen["unknown ticker"][1]
    _check_books(seen["after unsubscribe"])
    for messages in seen["candles"]:
        _check_candles(messages)
    assert seen["listener alive"] is True
    assert seen["wrong password"][0] == "ConnectionRefusedError"
    assert "Access denied" in seen["wrong password"][1]
    assert (counters.connections, counters.logins_refused, counters.errors_sent) == (2, 1, 3)
    assert counters.connections_open == 0
