"""Every part of the real tree is crashed, once in each of its tasks. It is up again soon, and everything works: the
part does what it is for, and it has taken nothing else along."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

import feedbus
from feedbus.actors import shell
from feedbus.bus import local, publisher, subscriber
from feedbus.bus.receiver import Batch
from feedbus.bus.subscriber import BusSubscription, EventReader
from feedbus.config import parse
from feedbus.errors import VenueError
from feedbus.feed import feed as feed_module
from feedbus.runtime.supervisor import Supervisor
from feedbus.schema.events import FeedStatus, Gap
from feedbus.service import tree as services
from feedbus.sim.simulations import endpoints, simulation
from feedbus.telemetry import loop_lag, watchdog
from feedbus.venues import instruments
from feedbus.venues.protocol import Fetch, FetchResponse

TIMEOUT = 60.0  # seconds; a crashed part is up again within a few, even on a busy machine
QUICK = 0.01  # seconds

CONFIG = """\
bus: {{publish: "ipc://{folder}/events.ipc"}}
telemetry: {{listen: "127.0.0.1:{ports[0]}"}}
feeds:
  moex: {{venue: moex, url: {moex[0]}, rest: {moex[1]}, symbols: [TQBR.SBER, TQBR.GAZP],
    sharding: {{connections: 2, per_connection: 1}}, backoff: {{first: 0.1, cap: 1}}}}
  alor: {{venue: alor, url: {alor[0]}, rest: {alor[1]}, auth: {alor[1]}, credentials: {{refresh_token: x}},
    symbols: [SBER, GAZP], backoff: {{first: 0.1, cap: 1}}}}
actors:
  aggregator: {{periods: [1], forming_every: 0.1}}
  alerting: {{rules: [{{kind: large_trade, threshold: 0.000001, cooldown: 0.1}}]}}
  metrics: {{listen: "127.0.0.1:{ports[1]}"}}
"""

CHILDREN = [
    *("service: publishers", "service: bus socket", "service: rounds", "service: bus silence", "service: loop lag"),
    *("service: log", "service: telemetry", "service: actors", "service: feeds", "service: watchdog"),
    *("publishers: moex", "publishers: alor", "publishers: aggregator", "publishers: alerting"),
    *("actors: aggregator", "actors: alerting", "actors: metrics"),
    *("feeds: moex", "feeds: alor"),
    *("moex: http", "moex: account", "moex: instruments", "moex: trust", "moex: moex/0", "moex: moex/1"),
    *("alor: http", "alor: account", "alor: instruments", "alor: trust", "alor: alor/0"),
]

EXPECTED = {
    *(("moex", kind) for kind in ("BookSnapshot", "Ticker", "Instrument", "TQBR.SBER", "TQBR.GAZP")),
    *(("alor", kind) for kind in ("Trade", "Instrument", "SBER", "GAZP")),
    *(("moex/0", "FeedStatus"), ("moex/1", "FeedStatus"), ("alor/0", "FeedStatus")),
    *(("aggregator", "Bar"), ("aggregator", "BookMetrics"), ("alerting", "Alert")),
}
"""What comes over the bus while everything works: (publisher, kind or symbol) and (connection, FeedStatus)."""


pytestmark = [pytest.mark.edge, pytest.mark.timeout(2 * TIMEOUT)]


class Bug(Exception):
    """What a part is crashed with."""


class Scene:
    """The service, and a subscriber to all that it publishes."""

    def __init__(self, service: services.Service, subscription: BusSubscription, ports: list[int]) -> None:
        self.service = service
        self._subscription = subscription
        self._own_port, self._metrics_port = ports

    def supervisor(self, name: str) -> Supervisor:
        """The one of this name that lives now."""
        return {each.name: each for each in self.service._supervisors()}[name]

    async def crash(self, name: str, task_name: str | None = None) -> None:
        """Raise a Bug where a task of a child waits (None: the child's own task), and wait until the child is up
        again."""
        above, _, child = name.partition(": ")
        crashes = self.supervisor(above).crashes[child]
        tasks = [self._own_task(name)] if task_name is None else self._tasks(name)
        task = next(each for each in tasks if task_name in (None, each.name))
        while task._abort_func is None:
            await trio.lowlevel.checkpoint()  # it is about to run, and can't be made to raise
        task._attempt_abort(raise_bug)
        while not (self.supervisor(above).crashes[child] > crashes and is_up(self.supervisor(above), child)):
            await trio.lowlevel.checkpoint()

    def task_names(self, name: str) -> list[str]:
        """The names of the tasks that a child runs at present, without those of its own children."""
        return sorted({task.name for task in self._tasks(name)})

    def _own_task(self, name: str) -> trio.lowlevel.Task:
        above, _, child = name.partition(": ")
        nursery = self.supervisor(above)._nursery
        return next(each for each in nursery.child_tasks if each.name == f"{above}/{child}")

    def _tasks(self, name: str) -> list[trio.lowlevel.Task]:
        others = {f"{each.name}/{child}" for each in self.service._supervisors() for child in each.names()}
        found = [self._own_task(name)]
        for task in found:
            started = [each for nursery in task.child_nurseries for each in nursery.child_tasks]
            found += [each for each in started if each.name not in others]
        return found

    async def works(self) -> None:
        """Return when each part has done once more what it is for."""
        ticks, checks = self.service._lag.ticks, self.service._watchdog.checks
        beats = {name: beat for name, (_, beat) in self._subscription.publishers().items()}
        await self._hear(EXPECTED)
        while not all(
            self._subscription.publishers()[each.name][1] != beats.get(each.name) for each in self.service.publishers
        ):
            await self._hear({("moex", "BookSnapshot")})
        while ticks == self.service._lag.ticks or checks == self.service._watchdog.checks:
            await trio.lowlevel.checkpoint()
        own, bus = self._own_port, self._metrics_port
        while (await get(own, "/healthz"), await get(own, "/readyz")) != ("healthy\n", "ready\n"):
            await trio.lowlevel.checkpoint()
        assert "feedbus_feed_up" in await get(own, "/metrics")
        counted: set[str] = set()
        while len(counted) < 2:
            page = await get(bus, "/metrics")
            counted.update(re.findall(r"^feedbus_bus_received_messages_total (\S+)", page, re.MULTILINE))
        for feed in self.service.feeds:
            assert isinstance(await answered(feed), FetchResponse)

    async def _hear(self, wanted: set[tuple[str, str]]) -> None:
        missing = set(wanted)
        async for header, events in self._subscription.messages():
            for event in events:
                if isinstance(event, FeedStatus):
                    missing -= {(event.symbol, type(event).__name__)} if event.state == "online" else set()
                elif not isinstance(event, Gap):
                    missing -= {(header.publisher, type(event).__name__), (header.publisher, event.symbol)}
            if not missing:
                return


def raise_bug() -> None:
    raise Bug


def is_up(supervisor: Supervisor, child: str) -> bool:
    return any(life.is_up() for life in supervisor._lives() if life.child.name == child)


async def answered(feed: feed_module.Feed) -> FetchResponse | VenueError:
    send, receive = trio.open_memory_channel[FetchResponse | VenueError](1)
    feed.fetch(Fetch("/", service=next(iter(feed.services))), send.send_nowait)
    return await receive.receive()


async def get(port: int, path: str) -> str:
    """The body of an answer; "" while nobody listens there."""
    answer = b""
    with suppress(OSError):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async for data in stream:
                answer += data
    return answer.decode().partition("\r\n\r\n")[2]


def free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, other)]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A service of two feeds and all actors that works."""
    async with trio.open_nursery() as nursery:
        urls, ports = {}, free_ports()
        for name, where in endpoints("127.0.0.1", 0, ["moex", "alor"]).items():
            urls[name] = await simulation(name, rate=50.0).start(nursery, *where)
        text = CONFIG.format(folder=folder, ports=ports, **urls)
        config = parse(text, name="test", directory=folder, environ={"HOME": str(folder)})
        reader = feedbus.subscribe(config.bus.publish)
        async with reader as subscription, services.running(config) as service:
            made = Scene(service, subscription, ports)
            await made.works()
            yield made
        nursery.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def what_comes_seldom_comes_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "PAUSE_FIRST", QUICK)
    monkeypatch.setattr(feed_module, "STATUS_EVERY", 0.1)
    monkeypatch.setattr(publisher, "BEAT_EVERY", 0.1)
    monkeypatch.setattr(loop_lag, "TICK", QUICK)
    monkeypatch.setattr(watchdog, "CHECK_EVERY", QUICK)
    monkeypatch.setattr(instruments, "AGAIN_EVERY", 0.2)


@pytest.mark.parametrize("name", ["aggregator", "alerting", "metrics"])
async def test_an_actor_whose_reader_hangs_is_unhealthy_and_started_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "CHECK_EVERY", 0.5)
    monkeypatch.setattr(subscriber, "READ_WITHIN", 0.1)
    next_batch = local.LocalReader.next_batch
    hanging: list[EventReader] = []

    async def hang(reader: local.LocalReader) -> Batch:
        if reader in hanging:
            await trio.sleep_forever()
        return await next_batch(reader)

    monkeypatch.setattr(local.LocalReader, "next_batch", hang)
    with trio.fail_after(TIMEOUT):
        async with scene(tmp_path) as made:
            actor = next(each for each in made.service.actors if each.name == name)
            hanging += actor._readers
            while await get(made._own_port, "/healthz") != f"{name}: the bus is not read\n":
                await trio.lowlevel.checkpoint()
            while actor.starts < 2:
                await trio.lowlevel.checkpoint()
            await made.works()


async def test_the_tree_has_these_parts(tmp_path: Path) -> None:
    with trio.fail_after(TIMEOUT):
        async with scene(tmp_path) as made:
            found = [f"{each.name}: {name}" for each in made.service._supervisors() for name in each.names()]
    assert sorted(found) == sorted(CHILDREN)


@pytest.mark.parametrize("child", CHILDREN)
async def test_a_part_that_crashed_is_up_again_and_works(child: str, tmp_path: Path) -> None:
    with trio.fail_after(TIMEOUT):
        async with scene(tmp_path) as made:
            for task_name in made.task_names(child):
                await made.crash(child, task_name)
                await made.works()
            for feed in made.service.feeds:  # what it has left to new connections works as well
                await made.crash(f"{feed.name}: {feed.name}/0")
            await made.works()
            assert made.service.supervisor.counts()["escalations"] == 0
