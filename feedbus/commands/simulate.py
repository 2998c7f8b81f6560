"""`feedbus sim`: the simulated venues alone, until a signal ends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
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
    faults: str | None = None,
    log_format: logs.Style,
    on_start: OnStart,
) -> str:
    """Simulate these venues, or all that can be simulated when none is named.

    `listen` is the host and port of the first venue's WebSocket; every further venue is ten ports further. `rest` is
    the place of the REST service of a single venue, None for the port after its WebSocket's. `options` are those that
    feedbus.sim.simulations.simulation takes for every venue (seed, start_ns and rate), `own_options` those that only
    the venue of that name takes. `faults` is what goes wrong from the start: JSON as the venue's /sim/faults takes it,
    and where there are several venues, an object with that for each, by its name.

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
        armed = _faults_of(faults, names)
        made = [simulations.simulation(name, **options, **own_options.get(name, {}), **armed[name]) for name in names]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return run_until_stopped(serve, [(each, endpoints[each.name]) for each in made], on_start)


def _faults_of(text: str | None, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The option `faults` of each venue. Raises ValueError."""
    if text is None:
        return {name: {} for name in names}
    if len(names) == 1:
        return {names[0]: {"faults": text}}
    try:
        by_venue = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no faults: {error}") from None
    if others := sorted(by_venue.keys() - set(names)):
        raise ValueError(f"no faults: {others[0]!r} is none of the simulated venues: {', '.join(names)}")
    return {name: {"faults": bytes(by_venue[name]).decode()} if name in by_venue else {} for name in names}


async def serve(simulated: Sequence[tuple[Simulation, tuple[Endpoint, Endpoint]]], on_start: OnStart) -> str:
    """Serve each venue at its endpoints, WebSocket and REST, until a signal comes; returns the final counters."""
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            for each, (websocket, rest) in simulated:
                on_start(each.name, *await each.start(nursery, websocket, rest))
            await stop.wait()
            nursery.cancel_scope.cancel()
    return "\n".join(f"{each.name}: {each.totals()}" for each, _ in simulated)
