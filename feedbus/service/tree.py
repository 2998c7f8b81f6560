"""The service: what one process runs of a configuration, and the tree that supervises it.

    service
    ├── publishers   one a feed or actor that publishes, on one bus socket; when they are stopped they drain it
    ├── rounds       reads the sockets of all connections
    ├── loop lag, telemetry
    ├── actors       the subscribers, each by itself
    ├── feeds        each a supervisor of its account and connectors
    └── watchdog     what systemd is told

They are started in this order and stopped in the reverse one. What a supervisor gives up on, the one above starts
again; what the topmost gives up on ends the process, and systemd starts that again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from math import inf

import trio

from feedbus import config as configuration
from feedbus import venues
from feedbus.actors.shell import ActorShell
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.config import Config
from feedbus.feed.feed import Feed
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.service import processes
from feedbus.service.processes import Process
from feedbus.telemetry import logs
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import HasDeadline, Watchdog
from feedbus.transport import Dial, DialOptions, websocket
from feedbus.transport.rounds import Rounds
from feedbus.transport.tls import tls_context

ACTOR_CRASHES = 10  # of each actor a minute: its own pauses keep it below
REASONS_SHOWN = 3  # of what is not up, in the status line

log = logging.getLogger("feedbus")


class Service:
    """Some feeds and actors of one configuration on one bus socket, and what looks after them."""

    def __init__(
        self, config: Config, process: Process, sockets: Sockets, rounds: Rounds | None, notifier: Notifier
    ) -> None:
        self.publish = process.publish
        fed = [feed for feed in config.feeds if feed.name in process.names]
        by_name = _publishers(config, process, sockets.sink, rounds if fed else None)
        self.publishers = list(by_name.values())
        self.feeds = [
            Feed(
                feed,
                by_name[feed.name],
                _dial(feed.transport),
                _transport_options(feed, rounds),
                cache_dir=config.cache_dir,
            )
            for feed in fed
        ]
        self.actors = [
            ActorShell(
                name,
                options,
                addresses=sockets.subscribed,
                publisher=by_name.get(name),
                stalled_bytes=config.bus.stalled_bytes,
            )
            for name, options in config.actors.items()
            if name in process.names
        ]
        self.started = trio.current_time()
        self._lag = LoopLag()
        self._watchdog = Watchdog(notifier, self._parts, self._status, self._first_attempts)
        groups = {
            "publishers": _group("publishers", [Child(each.name, partial(_publish, each)) for each in self.publishers]),
            "actors": _group("actors", [Child(each.name, each.run) for each in self.actors], ACTOR_CRASHES),
            "feeds": _group("feeds", [Child(feed.name, feed.run, grace=inf) for feed in self.feeds]),
        }
        telemetry = process.telemetry
        children = [
            *_child_of(groups["publishers"]),
            *([Child("rounds", partial(_started, rounds.run))] if rounds else []),
            Child("loop lag", self._lag.run),
            *([Child("telemetry", partial(self._serve, telemetry))] if telemetry else []),
            *_child_of(groups["actors"]),
            *_child_of(groups["feeds"]),
            Child("watchdog", self._watchdog.run),
        ]
        self.supervisor = Supervisor("service", children)
        self._own_supervisors = [self.supervisor, *(group for group in groups.values() if group.names())]

    async def _serve(self, telemetry: configuration.TelemetryConfig, *, task_status: trio.TaskStatus[None]) -> None:
        """A server and a registry anew each time, since the server's own series join the registry."""
        # An HTTP server and Prometheus's library are a fifth of the start of a process that serves no telemetry.
        from feedbus.service import metric_table
        from feedbus.telemetry.server import Server

        registry = metric_table.registry(
            self.feeds,
            self.publishers,
            self.actors,
            self._supervisors,
            lag=self._lag,
            watchdog=self._watchdog,
            log_lines=logs.counts,
        )
        server = Server(telemetry.host, telemetry.port, registry, self._not_up, self._watchdog.overdue)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            if server.address is not None:
                host, port = server.address
                log.info("telemetry at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
            task_status.started()

    # How it is

    def _supervisors(self) -> Iterable[Supervisor]:
        return [*self._own_supervisors, *(each for feed in self.feeds for each in feed.supervisors)]

    def _parts(self) -> Iterable[HasDeadline]:
        """All that have deadlines."""
        connectors = (connector for feed in self.feeds for connector in feed.connectors)
        accounts = (feed.account_shell for feed in self.feeds)
        return [*self._supervisors(), *self.publishers, *accounts, *connectors]

    def _not_up(self) -> list[str]:
        return [reason for feed in self.feeds for reason in feed.not_up()]

    def _status(self) -> str:
        """One line for an operator."""
        up = sum(feed.connections_up() for feed in self.feeds)
        wanted = sum(feed.connections_wanted() for feed in self.feeds)
        reasons = self._not_up()
        more = [f"and {len(reasons) - REASONS_SHOWN} more"] if len(reasons) > REASONS_SHOWN else []
        connections = [f"{up} of {wanted} connections up"] if self.feeds else []
        actors = [f"actors: {', '.join(each.name for each in self.actors)}"] if self.actors else []
        return "; ".join([*connections, *reasons[:REASONS_SHOWN], *more, *actors])

    async def _first_attempts(self) -> None:
        for feed in self.feeds:
            await feed.first_attempt.wait()

    def summary(self, gaps: int | None) -> str:
        """The final statistics, a line each; `gaps` were seen by a subscriber in this process, None: it had none."""
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
        updates = sum(count for kind, count in kinds.items() if kind not in ("feed", "heartbeat"))
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
    if not causes:
        return ""
    return " (attempts failed: " + ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) + ")"


def _publishers(
    config: Config, process: Process, sink: PubSocket | None, rounds: Rounds | None
) -> dict[str, Publisher]:
    """By name. Those of feeds gather what a round of reading brings."""
    feeds = {feed.name for feed in config.feeds}
    made = {}
    for name in processes.publishers(config):
        if name in process.names and sink is not None:
            gathering = rounds.is_open if rounds and name in feeds else bool
            made[name] = Publisher(name, sink, linger=config.bus.linger, gathering=gathering)
            if rounds and name in feeds:
                rounds.at_end.append(made[name].flush)
    return made


def _group(name: str, children: Sequence[Child], crashes: int = 1) -> Supervisor:
    """Bears with so many crashes of each of its children a minute, and stops them side by side."""
    return Supervisor(name, children, intensity=crashes * len(children), together=True)


def _child_of(group: Supervisor) -> list[Child]:
    """A group without anybody in it is left out."""
    return [Child(group.name, group.run, grace=inf)] if group.names() else []


async def _started(run: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await run()


async def _publish(publisher: Publisher, *, task_status: trio.TaskStatus[None]) -> None:
    """Run it, and have the last words sent when it is stopped."""
    try:
        await publisher.run(task_status)
    except Exception:
        raise  # a bug: it will be started again
    except BaseException:
        with trio.CancelScope(shield=True):
            await publisher.finish()
        raise


def _dial(transport: str) -> Dial:
    """The Dial of a feed's `transport`. The library of the one that nobody chose isn't imported."""
    if transport == "trio-websocket":
        from feedbus.transport import trio_ws

        return trio_ws.dial
    return websocket.dial


def _transport_options(feed: configuration.FeedConfig, rounds: Rounds | None) -> DialOptions:
    account = venues.account_class(feed.venue)
    return DialOptions(
        subprotocols=tuple(account.subprotocols),
        tls=tls_context(feed.ca_file) if feed.url.startswith("wss:") else None,
        connect_timeout=feed.connect_timeout,
        ping_interval=feed.ping_interval,
        ping_timeout=feed.ping_timeout,
        max_message_size=feed.max_message_size,
        compression=feed.compression,
        rounds=rounds,
    )


class Sockets:
    """The bus socket of a process, if anything in it publishes, and what its own subscribers dial: the process itself
    over memory, and all others. None of them needs to be there."""

    def __init__(self, config: Config, process: Process) -> None:
        """Raises BusError."""
        inside = f"inproc://feedbus.service.{next(_numbers)}"
        self.sink: PubSocket | None = None
        self.subscribed = process.others
        if process.publish is not None:
            self.sink = PubSocket(process.publish, config.bus.stalled_bytes, inside=inside)
            self.subscribed = (inside, *process.others)

    def close(self) -> None:
        """Close the bus."""
        if self.sink is not None:
            self.sink.close()


_numbers = count()


@asynccontextmanager
async def running(config: Config, only: Collection[str] = ()) -> AsyncIterator[Service]:
    """A running service, of all parts of the configuration or of those named; on leaving, the connections are closed
    first, then the bus is drained and closed.

    Raises ConfigError for parts that can't run by themselves, StartFailed on entering, Escalated when its supervisor
    gives up, in a group.
    """
    process = processes.process(config, only)
    sockets = Sockets(config, process)
    notifier = Notifier(os.environ)
    rounds = Rounds(config.bus.linger) if config.bus.linger else None
    try:
        service = Service(config, process, sockets, rounds, notifier)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.supervisor.run)
            yield service
            notifier.stopping()
            nursery.cancel_scope.cancel()
    finally:
        if rounds is not None:
            rounds.close()
        notifier.close()
        sockets.close()
