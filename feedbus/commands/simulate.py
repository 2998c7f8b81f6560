"""`feedbus sim`: the simulated venues alone, until a signal ends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from feedbus import sim
from feedbus.commands.signals import run_until_stopped, stop_signal
from feedbus.errors import ConfigError
from feedbus.sim import simulations
from feedbus.sim.simulations import Simulation
from feedbus.telemetry import logs
from feedbus.urls import Endpoint

OnStart = Callable[[str, str, str], None]
"""Called when a venue can be reached, with its name and its WebSocket and REST URLs."""


def simulate(
    venues: Sequence[str],
    *,
    listen: Endpoint,
    rest: Endpoint | None,
    options: Mapping[str, Any],
    own_options: Mapping[str, Mapping[str, Any]],
    log_format: logs.Style,
    on_start: OnStart,
) -> str:
    """Simulate these venues, or all that can be simulated when none is named.

    `listen` is the host and port of the first venue's WebSocket; every further venue is ten ports further. `rest` is
    the place of the REST service of a single venue, None for the port after its WebSocket's. `options` are those that
    feedbus.sim.simulations.simulation takes for every venue (seed, start_ns and rate), `own_options` those that only
    the venue of that name takes.

    Blocks until a signal asks it to stop, and returns the final counters, a line for each venue. Raises ConfigError for
    options that no venue can have.
    """
    logs.to_stderr(style=log_format)
    names = list(dict.fromkeys(venues)) or sim.names()
    endpoints = simulations.endpoints(*listen, names)
    if rest is not None:
        if len(names) > 1:
            raise ConfigError("--rest is for a single venue")
        endpoints[names[0]] = (endpoints[names[0]][0], rest)
    try:
        made = [simulations.simulation(name, **options, **own_options.get(name, {})) for name in names]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return run_until_stopped(serve, [(each, endpoints[each.name]) for each in made], on_start)


async def serve(simulated: Sequence[tuple[Simulation, tuple[Endpoint, Endpoint]]], on_start: OnStart) -> str:
    """Serve each venue at its endpoints, WebSocket and REST, until a signal comes; returns the final counters."""
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            for each, (websocket, rest) in simulated:
                on_start(each.name, *await each.start(nursery, websocket, rest))
            await stop.wait()
            nursery.cancel_scope.cancel()
    return "\n".join(f"{each.name}: {each.totals()}" for each, _ in simulated)
