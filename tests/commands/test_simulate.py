"""`feedbus sim`: which venues are served where. That it ends with its counters is shown in tests/test_cli.py."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import trio

from feedbus.commands.simulate import serve, simulate
from feedbus.errors import ConfigError
from feedbus.sim.simulations import endpoints, simulation


def refused(*venues: str, **changed: Any) -> str:
    options: dict[str, Any] = {
        "listen": ("127.0.0.1", 0),
        "rest": None,
        "options": {"seed": 1, "start_ns": None, "rate": None},
        "own_options": {},
        "log_format": "text",
        "on_start": lambda *_: None,
    }
    with pytest.raises(ConfigError) as caught:
        simulate(venues, **options | changed)
    return str(caught.value)


def test_an_address_for_rest_is_for_a_single_venue() -> None:
    assert refused("moex", "alor", rest=("127.0.0.1", 0)) == "--rest is for a single venue"


def test_what_a_venue_can_not_be_is_bad_usage() -> None:
    assert "rate" in refused("binance", options={"rate": -1.0})
    assert "unknown field `drop_difs`" in refused("binance", options={}, faults='{"drop_difs": {"symbol": "*"}}')


def test_faults_of_several_venues_are_given_by_their_names() -> None:
    wrong = '{"alor": {"drop": {}}, "moex": {"lose": {}}}'
    assert "unknown field `lose`" in refused("moex", "alor", options={}, faults=wrong)
    assert "'binance' is none of the simulated venues: moex, alor" in refused("moex", "alor", faults='{"binance": {}}')
    assert "no faults: " in refused("moex", "alor", faults='[{"drop": {}}]')


async def test_it_names_both_urls_of_each_venue_and_ends_with_its_counters() -> None:
    started: list[tuple[str, str, str]] = []

    def on_start(name: str, url: str, rest_url: str) -> None:
        started.append((name, url, rest_url))
        if len(started) == 2:
            signal.raise_signal(signal.SIGTERM)

    where = endpoints("127.0.0.1", 0, ["moex", "binance"])
    with trio.fail_after(10):
        counters = await serve([(simulation(name), place) for name, place in where.items()], on_start)
    assert [(name, url[:5], rest[:5]) for name, url, rest in started] == [
        ("moex", "ws://", "http:"),
        ("binance", "ws://", "http:"),
    ]
    assert [line.split(":")[0] for line in counters.splitlines()] == ["moex", "binance"]
