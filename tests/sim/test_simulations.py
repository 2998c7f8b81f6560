"""The simulated venues by name: each is served, over WebSocket and over REST, and does what it is told."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio
import trio_websocket

from feedbus import sim, venues
from feedbus.errors import CantServe
from feedbus.sim import simulations
from feedbus.sim.simulations import endpoints, simulation

NAMES = sim.names()
ANY = ("127.0.0.1", 0)
ASKED = {
    "moex": "/iss/engines/stock/markets/shares/boards/TQBR/securities.json?iss.only=securities&limit=1",
    "alor": "/md/v2/time",
    "binance": "/api/v3/ping",
}


@pytest.mark.parametrize("name", NAMES)
async def test_each_is_served_at_two_addresses_and_counts(name: str) -> None:
    simulated = simulation(name)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url, rest_url = await simulated.start(nursery, ANY, ANY)
            async with trio_websocket.open_websocket_url(url, subprotocols=["STOMP"]):
                pass
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(rest_url + ASKED[name])
            nursery.cancel_scope.cancel()
    assert answer.status_code == 200
    assert "connections 1" in simulated.totals()
    assert "rest requests 1" in simulated.totals()


def test_each_is_a_venue() -> None:
    assert set(NAMES) <= set(venues.names())


def test_what_is_no_venue_is_refused() -> None:
    with pytest.raises(ValueError, match="no simulated venue 'nyse'; there are: alor, binance, moex"):
        simulation("nyse")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [-1.0, 0.5, 1001.0])
def test_the_rate_of_each_has_its_bounds(name: str, rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        simulation(name, rate=rate)


def test_they_are_ten_ports_apart_unless_the_system_chooses() -> None:
    assert endpoints("h", 9000, ["moex", "alor"]) == {
        "moex": (("h", 9000), ("h", 9001)),
        "alor": (("h", 9010), ("h", 9011)),
    }
    assert endpoints("h", 0, ["alor"]) == {"alor": (("h", 0), ("h", 0))}


@pytest.mark.parametrize("taken", [0, 1])
async def test_an_address_that_can_not_be_had_is_named(taken: int) -> None:
    with socket.create_server(ANY) as server:
        places = [ANY, ANY]
        places[taken] = server.getsockname()
        async with trio.open_nursery() as nursery:
            with pytest.raises(CantServe) as caught:
                await simulation("alor").start(nursery, places[0], places[1])
            nursery.cancel_scope.cancel()
    assert str(caught.value) == f"can't listen at 127.0.0.1:{places[taken][1]}: Address already in use"


async def test_a_port_beyond_the_last_is_named() -> None:
    beyond = endpoints("127.0.0.1", 65530, ["moex", "alor"])["alor"]
    async with trio.open_nursery() as nursery:
        with pytest.raises(CantServe, match=r"can't listen at 127\.0\.0\.1:65540"):
            await simulations.simulation("alor").start(nursery, *beyond)
        nursery.cancel_scope.cancel()
