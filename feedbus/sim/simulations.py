"""Simulated venues, made by name and served. Each has a WebSocket server and a REST server, on separate addresses."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import trio

from feedbus import sim
from feedbus.errors import CantServe
from feedbus.sim import rest
from feedbus.sim.seam import SimulatedVenue
from feedbus.urls import Endpoint

MAX_PORT = 65535


class Simulation:
    """One venue, ready to be served. `counters` and `rest_counters` are plain totals, as attributes."""

    def __init__(self, name: str, venue: SimulatedVenue) -> None:
        self.name = name
        self.counters = venue.counters
        self.rest_counters = rest.RestCounters()
        self._venue = venue

    async def start(self, nursery: trio.Nursery, websocket: Endpoint, rest_at: Endpoint) -> tuple[str, str]:
        """Serve in this nursery until it is cancelled. Returns the URLs of WebSocket and REST. Raises CantServe."""
        serve_rest = partial(rest.serve, self._venue.rest, counters=self.rest_counters)
        return await _listening(nursery, self._venue.serve, websocket), await _listening(nursery, serve_rest, rest_at)

    def totals(self) -> str:
        """All counters, in one line."""
        totals = vars(self.counters) | vars(self.rest_counters)
        return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in totals.items())


def simulation(
    name: str, *, seed: int = 1, start_ns: int | None = None, rate: float | None = None, **options: Any
) -> Simulation:
    """The simulated venue of this name.

    `rate` is market steps a second, and the venue's own when it is left out; `options` are the venue's own as well.
    Raises ValueError for a name that is not simulated, an option that the venue doesn't have, and a value that an
    option can't have.
    """
    known = sim.names()
    if name not in known:
        raise ValueError(f"no simulated venue {name!r}; there are: {', '.join(known)}")
    package = importlib.import_module(f"{sim.__name__}.{name}")
    fields = package.Options.__struct_fields__
    if unknown := sorted(options.keys() - set(fields)):
        raise ValueError(f"{name} has no option {unknown[0]!r}; there are: {', '.join(sorted(fields))}")
    given = {"seed": seed, "start_ns": start_ns, **({} if rate is None else {"rate": rate}), **options}
    return Simulation(name, package.simulated(package.Options(**given)))


def endpoints(host: str, port: int, names: Sequence[str]) -> dict[str, tuple[Endpoint, Endpoint]]:
    """Where several venues are served by default: (WebSocket, REST) of each. Each venue is ten ports after the one
    before, and its REST interface on the port after its WebSocket. With port 0 the system chooses all ports."""
    found = {}
    for number, name in enumerate(names):
        first = port + 10 * number if port else 0
        found[name] = ((host, first), (host, first + 1 if first else 0))
    return found


async def _listening(nursery: trio.Nursery, serve: Callable[..., Awaitable[None]], endpoint: Endpoint) -> str:
    """Start a server and return its URL. Raises CantServe when it can't listen there."""
    host, port = endpoint
    if port > MAX_PORT:
        raise CantServe(f"can't listen at {host}:{port}: there are {MAX_PORT} ports")
    try:
        url: str = await nursery.start(partial(serve, host=host, port=port))
    except OSError as error:
        raise CantServe(f"can't listen at {host}:{port}: {error.strerror or error}") from error
    return url
