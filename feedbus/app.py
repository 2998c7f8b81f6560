"""Config → the running service: the only module that knows every part. Builds, starts and stops them in order."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rich.console import Console

import feedbus
from feedbus import config as configuration
from feedbus import venues
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.subscriber import Stats
from feedbus.config import Config
from feedbus.errors import FeedbusError
from feedbus.feed import Feed
from feedbus.sim import catalogue
from feedbus.sim import moex as moex_sim
from feedbus.subscribers.monitor import TOPICS, run_monitor
from feedbus.transport import Dial, Options, websocket

DIALS: dict[str, Dial] = {"sansio": websocket.dial}
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
DEMO_SYMBOLS = 24
DEMO_CONNECTIONS = 4

log = logging.getLogger("feedbus")


class Service:
    """The feeds of one configuration on one bus socket."""

    def __init__(self, config: Config, sink: PubSocket) -> None:
        self.publishers = [Publisher(feed.name, sink, linger=config.bus.linger) for feed in config.feeds]
        self.feeds = [
            Feed(feed, publisher, DIALS[feed.transport], _transport_options(feed))
            for feed, publisher in zip(config.feeds, self.publishers, strict=True)
        ]
        self.started = trio.current_time()

    async def run_feeds(self) -> None:
        """Run all feeds until cancelled."""
        async with trio.open_nursery() as nursery:
            for feed in self.feeds:
                nursery.start_soon(feed.run)

    def summary(self, gaps: int | None) -> str:
        """The final statistics, a line each; `gaps` were seen by subscribers in this process, None: it had none."""
        connectors = [connector for feed in self.feeds for connector in feed.connectors]
        kinds: Counter[str] = sum((Counter(publisher.counts()) for publisher in self.publishers), Counter())
        updates = sum(count for kind, count in kinds.items() if kind not in ("feed", "heartbeat"))
        symbols = sum(len(connector.symbols) for connector in connectors)
        priced = symbols - sum(len(connector.unpriced) for connector in connectors)
        causes = sum((feed.failures() for feed in self.feeds), Counter[str]())
        reconnects = sum(max(0, connector.connects - 1) for connector in connectors)
        refused = sorted({subscription.symbol for connector in connectors for subscription in connector.refused})
        lines = {
            "uptime": f"{trio.current_time() - self.started:.1f} s",
            "connections": f"{sum(connector.connects > 0 for connector in connectors)} of {len(connectors)} were up",
            "frames": f"{sum(connector.frames for connector in connectors):,}",
            "events": ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items())) or "none",
            "updates": f"{updates:,}",
            "instruments": f"{priced} of {symbols} with a price",
            "reconnects": f"{reconnects}{_named(causes)}",
            "refused tickers": f"{len(refused)} {' '.join(refused[:10])}{' …' if len(refused) > 10 else ''}",
            "gaps": "not watched: no subscriber in this process" if gaps is None else f"{gaps:,}",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in lines.items())


def _named(causes: Counter[str]) -> str:
    if not causes:
        return ""
    return " (attempts failed: " + ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) + ")"


def _transport_options(feed: configuration.Feed) -> Options:
    account = venues.account_class(feed.venue)
    return Options(
        subprotocols=tuple(account.subprotocols),
        tls=websocket.tls_context(feed.ca_file) if feed.url.startswith("wss:") else None,
        connect_timeout=feed.connect_timeout,
        ping_interval=feed.ping_interval,
        ping_timeout=feed.ping_timeout,
        max_message_size=feed.max_message_size,
    )


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Service]:
    """A running service; on leaving, the connections are closed first, then the bus is drained and closed."""
    sink = PubSocket(config.bus.publish, config.bus.stalled_bytes)
    try:
        service = Service(config, sink)
        async with trio.open_nursery() as publishing:
            for publisher in service.publishers:
                await publishing.start(publisher.run)
            async with trio.open_nursery() as feeding:
                feeding.start_soon(service.run_feeds)
                yield service
                feeding.cancel_scope.cancel()
            async with trio.open_nursery() as finishing:  # together: the pause of one is the pause of all
                for publisher in service.publishers:
                    finishing.start_soon(publisher.finish)
            publishing.cancel_scope.cancel()
    finally:
        sink.close()


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


async def run(config: Config) -> str:
    """`feedbus run`: until SIGINT or SIGTERM. Returns the final summary."""
    with stop_signal() as stop:
        async with running(config) as service:
            log.info("publishing at %s", config.bus.publish)
            await stop.wait()
            log.info("stopping")
    return service.summary(gaps=None)


async def monitor(address: str, *, console: Console) -> None:
    """`feedbus monitor`: the live table of whatever is published at `address`, until q or a signal."""
    with stop_signal() as stop:
        await _watch(address, stop, console=console)


async def _watch(
    address: str,
    stop: trio.Event,
    *,
    console: Console,
    seconds: float | None = None,
    last_log: Callable[[], str] | None = None,
) -> Stats:
    async with feedbus.subscribe(address, topics=TOPICS) as subscription, trio.open_nursery() as nursery:

        async def cancel_at_stop() -> None:
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_at_stop)
        await run_monitor(subscription, console=console, keys=True, title=address, seconds=seconds, last_log=last_log)
        nursery.cancel_scope.cancel()
    return subscription.stats()


async def simulate(options: moex_sim.Options, host: str, port: int, on_start: Callable[[str], None]) -> str:
    """`feedbus sim moex`: until SIGINT or SIGTERM. Returns the final counters."""
    counters = moex_sim.Counters()
    with stop_signal() as stop:
        async with trio.open_nursery() as nursery:
            try:
                url = await nursery.start(partial(moex_sim.serve, options, host, port, counters=counters))
            except OSError as error:
                raise FeedbusError(f"can't listen at {host}:{port}: {error.strerror or error}") from error
            on_start(url)
            await stop.wait()
            nursery.cancel_scope.cancel()
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in vars(counters).items())


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
                stats = await _watch(address, stop, console=console, seconds=seconds, last_log=last_log)
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
