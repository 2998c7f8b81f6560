"""The simulated venues by name: each is a WebSocket server and a REST server, on addresses of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import trio

from feedbus.errors import CantServe
from feedbus.sim import rest
from feedbus.sim.alor import server as alor
from feedbus.sim.binance import server as binance
from feedbus.sim.moex import server as moex
from feedbus.sim.moex.iss import Failure, Iss
from feedbus.sim.seam import Handler

MAX_PORT = 65535
NAMES = ("moex", "alor", "binance")

Place = tuple[str, int]
"""Host and port; port 0 lets the system choose."""


class Simulation:
    """One venue, ready to be served. `counters` and `rest_counters` are plain totals, as attributes."""

    def __init__(self, name: str, serve: Callable[..., Awaitable[None]], handler: Handler, counters: object) -> None:
        self.name = name
        self.counters = counters
        self.rest_counters = rest.RestCounters()
        self._serve = serve
        self._handler = handler

    async def start(self, nursery: trio.Nursery, websocket: Place, rest_at: Place) -> tuple[str, str]:
        """Serve in this nursery until it is cancelled: the URLs of both. Raises CantServe."""
        asked = partial(rest.serve, self._handler, counters=self.rest_counters)
        return await _listening(nursery, self._serve, websocket), await _listening(nursery, asked, rest_at)

    def totals(self) -> str:
        """All counters, in one line."""
        totals = vars(self.counters) | vars(self.rest_counters)
        return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in totals.items())


def simulation(
    name: str,
    *,
    seed: int = 1,
    start_ns: int | None = None,
    rate: float | None = None,
    rest_failure: Failure = "none",
    **options: Any,
) -> Simulation:
    """The venue of this name. The same seed, start and requests give the same bytes; `rate` is market steps a second,
    the venue's own by default; `options` are the venue's. Raises ValueError for what it can't be."""
    given = {"seed": seed, "start_ns": start_ns, **({} if rate is None else {"rate": rate}), **options}
    match name:
        case "moex":
            moex_counters = moex.ServerCounters()
            serve = partial(moex.serve, moex.MoexSimOptions(**given), counters=moex_counters)
            return Simulation(name, serve, Iss(start_ns, rest_failure), moex_counters)
        case "alor":
            alor_venue = alor.AlorVenue(alor.AlorSimOptions(**given))
            serve = partial(alor.serve, alor_venue.options, venue=alor_venue)
            return Simulation(name, serve, alor.AlorRest(alor_venue), alor_venue.counters)
        case "binance":
            binance_venue = binance.BinanceVenue(binance.BinanceSimOptions(**given))
            serve = partial(binance.serve, binance_venue.options, venue=binance_venue)
            return Simulation(name, serve, binance.BinanceRest(binance_venue), binance_venue.counters)
        case _:
            raise ValueError(f"no simulated venue {name!r}; there are: {', '.join(NAMES)}")


def places(host: str, port: int, names: Sequence[str]) -> dict[str, tuple[Place, Place]]:
    """Where several venues are served by default: each ten ports after the one before, its REST on the port after.
    From port 0 on the system chooses all of them."""
    found = {}
    for number, name in enumerate(names):
        first = port + 10 * number if port else 0
        found[name] = ((host, first), (host, first + 1 if first else 0))
    return found


async def _listening(nursery: trio.Nursery, serve: Callable[..., Awaitable[None]], place: Place) -> str:
    """The URL of a server that has begun."""
    host, port = place
    if port > MAX_PORT:
        raise CantServe(f"can't listen at {host}:{port}: there are {MAX_PORT} ports")
    try:
        url: str = await nursery.start(partial(serve, host=host, port=port))
    except OSError as error:
        raise CantServe(f"can't listen at {host}:{port}: {error.strerror or error}") from error
    return url
