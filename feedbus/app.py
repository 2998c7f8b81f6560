"""What the commands do: the service, its simulated venues and its subscribers put together, and ended by a signal."""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rich.console import Console

import feedbus
from feedbus import config as configuration
from feedbus.bus.subscriber import Stats
from feedbus.config import Config
from feedbus.errors import FeedbusError
from feedbus.service import running
from feedbus.sim import catalogue, iss
from feedbus.sim import moex as moex_sim
from feedbus.sim import rest as rest_sim
from feedbus.subscribers.monitor import TOPICS, run_monitor

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
DEMO_SYMBOLS = 24
DEMO_CONNECTIONS = 4

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
        await _watch(addresses, stop, console=console)


async def _watch(
    addresses: Sequence[str],
    stop: trio.Event,
    *,
    console: Console,
    seconds: float | None = None,
    last_log: Callable[[], str] | None = None,
) -> Stats:
    title = addresses[0] if len(addresses) == 1 else f"{addresses[0]} and {len(addresses) - 1} more"
    async with feedbus.subscribe(addresses, topics=TOPICS) as subscription, trio.open_nursery() as nursery:

        async def cancel_at_stop() -> None:
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_at_stop)
        await run_monitor(subscription, console=console, keys=True, title=title, seconds=seconds, last_log=last_log)
        nursery.cancel_scope.cancel()
    return subscription.stats()


async def simulate(
    options: moex_sim.Options,
    host: str,
    port: int,
    on_start: Callable[[str, str], None],
    *,
    rest: tuple[str, int] | None = None,
    rest_failure: iss.Failure = "none",
) -> str:
    """`feedbus sim moex`: WebSocket and, at `rest` or on the port after, REST; until SIGINT or SIGTERM.

    `on_start` is given the URLs of both. Returns the final counters.
    """
    counters, rest_counters = moex_sim.Counters(), rest_sim.Counters()
    rest_host, rest_port = rest or (host, port + 1 if 0 < port < 65535 else 0)
    asked = partial(rest_sim.serve, iss.Iss(options.start_ns, rest_failure), counters=rest_counters)
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            url = await _listening(nursery, partial(moex_sim.serve, options, counters=counters), host, port)
            on_start(url, await _listening(nursery, asked, rest_host, rest_port))
            await stop.wait()
            nursery.cancel_scope.cancel()
    totals = vars(counters) | vars(rest_counters)
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in totals.items())


async def _listening(nursery: trio.Nursery, serve: Callable[..., Awaitable[None]], host: str, port: int) -> str:
    """The URL of a server that has begun."""
    try:
        url: str = await nursery.start(partial(serve, host=host, port=port))
    except OSError as error:
        raise FeedbusError(f"can't listen at {host}:{port}: {error.strerror or error}") from error
    return url


async def demo(
    *, console: Console, seconds: float | None, on_start: Callable[[str], None], last_log: Callable[[], str] | None
) -> str:
    """`feedbus demo`: simulated venue, feed, bus and table in this process. Returns the final summary."""
    with stop_signal() as stop, TemporaryDirectory(prefix="feedbus-demo-") as folder:
        address = f"ipc://{Path(folder) / 'events.ipc'}"
        on_start(address)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(moex_sim.serve, moex_sim.Options(), "127.0.0.1", 0))
            async with running(_demo_config(address, url)) as service:
                stats = await _watch([address], stop, console=console, seconds=seconds, last_log=last_log)
            nursery.cancel_scope.cancel()
        return service.summary(gaps=stats.gaps)


def _demo_config(address: str, url: str) -> Config:
    feed = configuration.Feed(
        name="moex",
        venue="moex",
        url=url,
        symbols=tuple(catalogue.tickers()[:DEMO_SYMBOLS]),
        sharding=configuration.Sharding(DEMO_CONNECTIONS, DEMO_SYMBOLS // DEMO_CONNECTIONS),
    )
    return Config("demo", configuration.Bus(address), (feed,))
