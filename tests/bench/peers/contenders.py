"""Who is measured by `make bench-peers`, under which loads, and by which commands each is started. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from feedbus.bench.scenarios import FEEDBUS, Contender, Scenario

BASELINE = "cryptofeed 2.4.1"
_HERE = "tests.bench.peers"


def _load(name: str, about: str, events: int, rate: float, **more: object) -> Scenario:
    made = Scenario(name, about, events, rate, protocol="binance", latency=True, baseline=BASELINE)
    return msgspec.structs.replace(made, **more)


LOADS = {
    load.name: load
    for load in (
        _load("500/s", "one frame a write", 2000, 500.0),
        _load("3,000/s", "one frame a write", 12_000, 3000.0),
        _load("10,000/s", "one frame a write", 40_000, 10_000.0),
        _load("grouped", "9,000/s, in groups as in a market's busiest seconds", 36_000, 9000.0, traffic="burst"),
        _load("burst", "as fast as they are taken, 32 frames a write", 60_000, 0.0, frames_per_write=32, latency=False),
    )
}

OURS = (
    Contender(FEEDBUS),
    Contender(f"{FEEDBUS} pace latency", bus={"pace": "latency"}),
    Contender(f"{FEEDBUS} pace economy", bus={"pace": "economy"}),
    Contender(f"{FEEDBUS} linger 0.1", bus={"linger": 0.1}),
)


class Place(NamedTuple):
    """What a contender is told: the venue's address, a bus address and a TCP port of its own, the symbols, the Python
    of this process and the folder of all environments, and what its subscriber needs: how many tickers there are, how
    many events a turn has, and whether latency is recorded (1 or 0)."""

    url: str
    address: str
    port: int
    symbols: list[str]
    python: str
    root: str
    measuring: list[str]

    def of(self, environment: str) -> str:
        """The Python of another environment."""
        return f"{self.root}/{environment}/bin/python"


Commands = tuple[list[str], list[str]]
"""The commands of the connector and of the subscriber; that of the connector is empty where one process does both."""


class Peer(NamedTuple):
    """Another program, or a floor."""

    label: str
    commands: Callable[[Place], Commands]


def _cryptofeed(environment: str) -> Callable[[Place], Commands]:
    def commands(place: Place) -> Commands:
        begin = [place.of(environment), "-m"]
        connector = [*begin, f"{_HERE}.cryptofeed_connector", place.url, str(place.port), *place.symbols]
        return connector, [*begin, f"{_HERE}.zmq_subscriber", str(place.port), *place.measuring]

    return commands


def _one_process(environment: str, module: str) -> Callable[[Place], Commands]:
    def commands(place: Place) -> Commands:
        begin = [place.of(environment), "-m", f"{_HERE}.{module}"]
        return [], [*begin, place.url, *place.measuring, *place.symbols]

    return commands


def _floor(way: str, then: str = "") -> Callable[[Place], Commands]:
    def commands(place: Place) -> Commands:
        begin = [place.python, "-m", f"{_HERE}.floor"]
        if not then:
            return [], [*begin, "alone", way, place.url, *place.measuring, *place.symbols]
        connector = [*begin, "connector", way, place.url, place.address, *place.symbols]
        return connector, [*begin, "subscriber", then, place.address, *place.measuring]

    return commands


OTHERS = (
    Peer(BASELINE, _cryptofeed(".venv-peers")),
    Peer("cryptofeed 3", _cryptofeed(".venv-peers-cryptofeed3")),
    Peer("nautilus_trader", _one_process(".venv-peers-nautilus", "nautilus")),
    Peer("websockets + json", _one_process(".venv-peers", "plain_websockets")),
    Peer("floor: read", _floor("read")),
    Peer("floor: trio", _floor("trio")),
    Peer("floor: read, nng to nng", _floor("read", "nng")),
    Peer("floor: trio, nng to nng", _floor("trio", "nng")),
    Peer("floor: trio, nng to Unix socket", _floor("trio", "unix")),
)
