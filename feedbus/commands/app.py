"""What the commands do: the service, the live table, and the simulated venues, each ended by a signal."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

import feedbus
from feedbus.bus.subscriber import Stats
from feedbus.config import Config
from feedbus.service.tree import running

if TYPE_CHECKING:
    from rich.console import Console

    from feedbus.sim.simulations import Place, Simulation
    from feedbus.table.market_table import MarketTable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = logging.getLogger("feedbus")


@contextmanager
def stop_signal() -> Iterator[trio.Event]:
    """An event that SIGINT or SIGTERM sets; enter it before anything is started. The first one counts: it has both
    ignored from then on, so that no further one can break into the stop."""
    token = trio.lowlevel.current_trio_token()
    stop = trio.Event()

    def handler(_number: int, _frame: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        token.run_sync_soon(stop.set)

    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


async def run(config: Config, only: Collection[str] = ()) -> str:
    """`feedbus run`: until SIGINT or SIGTERM. Returns the final summary."""
    with stop_signal() as stop:
        async with running(config, only) as service:
            if service.publish is not None:
                log.info("publishing at %s", service.publish)
            await stop.wait()
            log.info("stopping")
    return service.summary(gaps=None)


async def monitor(addresses: Sequence[str], *, console: Console) -> None:
    """`feedbus monitor`: the live table of whatever is published at these addresses, until q or a signal."""
    with stop_signal() as stop:
        await watch(addresses, stop, console=console)


async def watch(
    addresses: Sequence[str],
    stop: trio.Event,
    *,
    console: Console,
    seconds: float | None = None,
    last_log: Callable[[], str] | None = None,
) -> tuple[MarketTable, Stats]:
    """The live table of these addresses, until q, `stop`, or the end of its time; what it held, and what it got."""
    from feedbus.table.market_table import MarketTable
    from feedbus.table.monitor import TOPICS, run_monitor  # rich: the service itself does without

    title = addresses[0] if len(addresses) == 1 else f"{len(addresses)} addresses"
    table = MarketTable(time.time_ns())
    async with feedbus.subscribe(addresses, topics=TOPICS) as subscription, trio.open_nursery() as nursery:

        async def cancel_at_stop() -> None:
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_at_stop)
        await run_monitor(
            subscription, console=console, keys=True, title=title, seconds=seconds, last_log=last_log, table=table
        )
        nursery.cancel_scope.cancel()
    return table, subscription.stats()


async def simulate(
    simulations: Sequence[tuple[Simulation, tuple[Place, Place]]], on_start: Callable[[str, str, str], None]
) -> str:
    """`feedbus sim`: each venue at its places, WebSocket and REST, until SIGINT or SIGTERM.

    `on_start` is given each one's name and the URLs of both. Returns the final counters, a line a venue.
    """
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            for simulated, (websocket, rest) in simulations:
                on_start(simulated.name, *await simulated.start(nursery, websocket, rest))
            await stop.wait()
            nursery.cancel_scope.cancel()
    return "\n".join(f"{simulated.name}: {simulated.totals()}" for simulated, _ in simulations)
