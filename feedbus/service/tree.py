"""The service: the parts of a configuration that one process runs, and the tree that supervises them.

    service
    ├── publishers   one for each feed or actor that publishes, on one bus socket; they drain it when stopped
    ├── bus socket   binds the bus again when its file was deleted
    ├── rounds       wakes the connections whose sockets have something to read all at once, while that pays
    ├── bus silence, loop lag, log, telemetry
    ├── actors       the actors, each independent of the others
    ├── feeds        each is a supervisor of its account and its connectors
    └── watchdog     tells systemd how the service is

The children are started in this order and stopped in the reverse one, so that nothing publishes before there is a bus
or after it is gone. A supervisor whose children crash too often gives up, and the supervisor above starts it again.
When the topmost one gives up, the process ends, and systemd starts it again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import trio

from feedbus import config as configuration
from feedbus import venues
from feedbus.actors.shell import ActorShell
from feedbus.bus.local import LocalBus
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.socket_guard import SocketGuard
from feedbus.config import Config
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.runtime.child import Child
from feedbus.runtime.running_clock import stood_still
from feedbus.runtime.supervisor import Supervisor
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.events import UPDATES, kind_of
from feedbus.service import processes
from feedbus.service.processes import Process
from feedbus.telemetry import logs
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import HasDeadline, Watchdog
from feedbus.transport import Dial, DialOptions, websocket
from feedbus.transport.rounds import Rounds
from feedbus.transport.tls import tls_context

ACTOR_CRASHES = 10  # of each actor a minute; the pauses after its crashes keep an actor below this
REASONS_SHOWN = 3  # how many of the connections that aren't up the status line names

log = logging.getLogger("feedbus")


class Service:
    """The feeds and actors that one process runs, on one bus socket, and what supervises them."""

    def __init__(
        self, config: Config, process: Process, sink: PubSocket | None, rounds: Rounds | None, notifier: Notifier
    ) -> None:
        """`sink` is the bus socket, None when no part of the process publishes."""
        self.publish = process.publish
        bus = LocalBus(process.others, config.bus.stalled_bytes)
        fed = [feed for feed in config.feeds if feed.name in process.names]
        by_name = _publishers(config, process, sink, bus, rounds if fed else None)
        self.publishers = list(by_name.values())
        self._clock = WallClock()
        neighbours = Neighbours(self._clock)
        self.feeds = [
            Feed(
                feed,
                by_name[feed.name],
                dial_of(feed.transport),
                transport_options(feed, rounds),
                cache_dir=config.cache_dir,
                neighbours=neighbours,
            )
            for feed in fed
        ]
        self.actors = [
            ActorShell(
                name,
                options,
                bus=bus,
                publisher=by_name.get(name),
                proxies=config.proxies,
                stepped_ns=self._clock.check,
            )
            for name, options in config.actors.items()
            if name in process.names
        ]
        self.started = trio.current_time()
        self._lag = LoopLag(stood_still, self._clock.check)
        self._guards = [SocketGuard(sink)] if sink is not None else []
        self._rounds = [rounds] if rounds is not None else []
        self._watchdog = Watchdog(notifier, self._parts, self._status, self._first_attempts)
        groups = {
            "publishers": _group("publishers", [Child(each.name, partial(_publish, each)) for each in self.publishers]),
            "actors": _group("actors", [Child(each.name, each.run) for each in self.actors], ACTOR_CRASHES),
            "feeds": _group("feeds", [Child(feed.name, feed.run, grace=inf) for feed in self.feeds]),
        }
        telemetry = process.telemetry
        children = [
            *_child_of(groups["publishers"]),
            *(Child("bus socket", each.run) for each in self._guards),
            *([Child("rounds", partial(_started, rounds.run))] if rounds else []),
            *([Child("bus silence", bus.watch)] if self.actors else []),
            Child("loop lag", self._lag.run),
            Child("log", logs.run),
            *([Child("telemetry", partial(self._serve, telemetry))] if telemetry else []),
            *_child_of(groups["actors"]),
            *_child_of(groups["feeds"]),
            Child("watchdog", self._watchdog.run),
        ]
        self.supervisor = Supervisor("service", children)
        self._own_supervisors = [self.supervisor, *(group for group in groups.values() if group.names())]

    async def _serve(self, telemetry: configuration.TelemetryConfig, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve metrics and health. Each start makes a new registry, because the server adds series of its own to
        it.
        """
        # An HTTP server and Prometheus's library are a fifth of the start of a process that serves no telemetry.
        from feedbus.service import metric_table
        from feedbus.telemetry.server import Server

        registry = metric_table.registry(
            self.feeds,
            self.publishers,
            self.actors,
            self._supervisors,
            metric_table.ProcessFigures(self._lag, self._clock, self._watchdog, logs.counts, logs.left_out),
        )
        server = Server(telemetry.host, telemetry.port, registry, self._not_up, self._watchdog.overdue)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            if server.address is not None:
                host, port = server.address
                log.info("telemetry at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
            task_status.started()

    # How the service is

    def _supervisors(self) -> Iterable[Supervisor]:
        """All supervisors of the tree at present."""
        return [*self._own_supervisors, *(each for feed in self.feeds for each in feed.supervisors)]

    def _parts(self) -> Iterable[HasDeadline]:
        """All parts that have deadlines for the watchdog to look at."""
        connectors = (connector for feed in self.feeds for connector in feed.connectors)
        accounts = (feed.account_shell for feed in self.feeds)
        instruments = (feed.instruments for feed in self.feeds if feed.instruments is not None)
        return [
            *self._supervisors(),
            *self.publishers,
            *self._guards,
            *self._rounds,
            *self.actors,
            *accounts,
            *instruments,
            *connectors,
        ]

    def _not_up(self) -> list[str]:
        return [reason for feed in self.feeds for reason in feed.not_up()]

    def _status(self) -> str:
        """One line for the operator, which `systemctl status` shows."""
        up = sum(feed.connections_up() for feed in self.feeds)
        wanted = sum(feed.connections_wanted() for feed in self.feeds)
        reasons = self._not_up()
        more = [f"and {len(reasons) - REASONS_SHOWN} more"] if len(reasons) > REASONS_SHOWN else []
        connections = [f"{up} of {wanted} connections up"] if self.feeds else []
        actors = [f"actors: {', '.join(each.name for each in self.actors)}"] if self.actors else []
        return "; ".join([*connections, *reasons[:REASONS_SHOWN], *more, *actors])

    async def _first_attempts(self) -> None:
        """Wait until every feed has made its first attempt to log in, whatever its result."""
        for feed in self.feeds:
            await feed.first_attempt.wait()

    def summary(self, gaps: int | None) -> str:
        """The final statistics, a line each.

        `gaps` is how many gaps a subscriber of the caller's saw on the bus, None when the caller had none.
        """
        lines = {"uptime": f"{trio.current_time() - self.started:.1f} s"}
        if self.feeds:
            lines |= self._feed_lines()
        for actor in self.actors:
            counted = (f"{name.replace('_', ' ')} {number:,}" for name, number in actor.counters().items() if number)
            lines[actor.name] = ", ".join([f"{actor.received()['events']:,} events taken", *counted])
        seen = [*([] if gaps is None else [gaps]), *(actor.received()["gaps"] for actor in self.actors)]
        lines["gaps"] = f"{sum(seen):,}" if seen else "not watched: no subscriber in this process"
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in lines.items())

    def _feed_lines(self) -> dict[str, str]:
        connectors = [connector for feed in self.feeds for connector in feed.connectors]
        kinds: Counter[str] = sum((Counter(publisher.counts()) for publisher in self.publishers), Counter())
        updates = sum(kinds[kind_of(each)] for each in UPDATES)
        symbols = sum(len(connector.symbols) for connector in connectors)
        priced = symbols - sum(len(connector.unpriced) for connector in connectors)
        causes = sum((feed.failures() for feed in self.feeds), Counter[str]())
        reconnects = sum(max(0, connector.connects - 1) for connector in connectors)
        refused = sorted({subscription.symbol for connector in connectors for subscription in connector.refused})
        return {
            "connections": f"{sum(connector.connects > 0 for connector in connectors)} of {len(connectors)} were up",
            "frames": f"{sum(connector.frames for connector in connectors):,}",
            "events": ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items())) or "none",
            "updates": f"{updates:,}",
            "instruments": f"{priced} of {symbols} with a price",
            "reconnects": f"{reconnects}{_named(causes)}",
            "refused tickers": f"{len(refused)} {' '.join(refused[:10])}{' …' if len(refused) > 10 else ''}",
        }


def _named(causes: Counter[str]) -> str:
    """How many attempts failed, by cause; "" when none did."""
    if not causes:
        return ""
    return " (attempts failed: " + ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) + ")"


def _publishers(
    config: Config, process: Process, sink: PubSocket | None, bus: LocalBus, rounds: Rounds | None
) -> dict[str, Publisher]:
    """By name. Those of feeds are told of the rounds in which the sockets of their connections are read."""
    feeds = {feed.name for feed in config.feeds}
    made = {}
    for name in processes.publishers(config):
        if name in process.names and sink is not None:
            read_in = rounds if name in feeds else None
            made[name] = Publisher(name, sink, linger=config.bus.gather, rounds=read_in, local=bus)
    return made


def _group(name: str, children: Sequence[Child], crashes: int = 1) -> Supervisor:
    """A supervisor that gives up after more than `crashes` restarts a minute for each of its children, and that stops
    all children at the same time.
    """
    return Supervisor(name, children, intensity=crashes * len(children), together=True)


def _child_of(group: Supervisor) -> list[Child]:
    """The group as a child of the service; no child when the group is empty."""
    return [Child(group.name, group.run, grace=inf)] if group.names() else []


async def _started(run: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[None]) -> None:
    """Run a function that counts as started at once."""
    task_status.started()
    await run()


async def _publish(publisher: Publisher, *, task_status: trio.TaskStatus[None]) -> None:
    """Run a publisher; when it is stopped, what it still holds is sent before this returns."""
    try:
        await publisher.run(task_status)
    except Exception:
        raise  # a bug: the supervisor starts the publisher again
    except BaseException:
        with trio.CancelScope(shield=True):
            await publisher.finish()
        raise


def dial_of(transport: str) -> Dial:
    """The Dial of a feed's `transport`. The library of the one that nobody chose isn't imported."""
    if transport == "trio-websocket":
        from feedbus.transport import trio_ws

        return trio_ws.dial
    return websocket.dial


def transport_options(feed: configuration.FeedConfig, rounds: Rounds | None) -> DialOptions:
    """How the feed's connections are made. Raises ConfigError when its `ca_file` can't be used."""
    account = venues.account_class(feed.venue)
    return DialOptions(
        subprotocols=tuple(account.subprotocols),
        tls=tls_context(feed.ca_file) if feed.url.startswith("wss:") else None,
        proxy=feed.proxies.to(feed.url),
        connect_timeout=feed.connect_timeout,
        ping_interval=feed.ping_interval,
        ping_timeout=feed.ping_timeout,
        max_message_size=feed.max_message_size,
        compression=feed.compression,
        rounds=rounds,
    )


@asynccontextmanager
async def running(config: Config, only: Collection[str] = ()) -> AsyncIterator[Service]:
    """A running service with the parts named by `only`, or with all parts of the configuration when none is named.

    On leaving, the connections are closed first; then the bus is drained and closed. Raises ConfigError for parts that
    can't run by themselves, BusError when the address can't be published at, and, in an exception group, StartFailed
    when a part can't start and Escalated when the topmost supervisor gives up.
    """
    process = processes.process(config, only)
    sink = PubSocket(process.publish, config.bus.stalled_bytes) if process.publish is not None else None
    notifier = Notifier(os.environ)
    rounds = Rounds(config.bus.gather) if config.bus.gather else None
    try:
        service = Service(config, process, sink, rounds, notifier)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.supervisor.run)
            yield service
            notifier.stopping()
            nursery.cancel_scope.cancel()
    finally:
        if rounds is not None:
            rounds.close()
        notifier.close()
        if sink is not None:
            sink.close()
