"""The service: one configuration's parts and the tree that supervises them. Knows every part but the subscribers.

    service
    ├── publishers   one a feed, on one bus socket; when they are stopped they drain it
    ├── rounds       reads the sockets of all connections
    ├── loop lag, telemetry
    ├── feeds        each a supervisor of its connectors
    └── watchdog     what systemd is told

They are started in this order and stopped in the reverse one. What a supervisor gives up on, the one above starts
again; what the topmost gives up on ends the process, and systemd starts that again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import trio

from feedbus import config as configuration
from feedbus import metrics, venues
from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.config import Config
from feedbus.feed import Feed
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.telemetry import logs
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.server import Server
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import Watchdog, Watched
from feedbus.transport import Dial, Options, trio_ws, websocket
from feedbus.transport.rounds import Rounds
from feedbus.transport.tls import tls_context

DIALS: dict[str, Dial] = {"sansio": websocket.dial, "trio-websocket": trio_ws.dial}
REASONS_SHOWN = 3  # of what is not up, in the status line

log = logging.getLogger("feedbus")


class Service:
    """The feeds of one configuration on one bus socket, and what looks after them."""

    def __init__(self, config: Config, sink: PubSocket, rounds: Rounds | None, notifier: Notifier) -> None:
        gathering = rounds.is_open if rounds else bool
        self.publishers = [
            Publisher(feed.name, sink, linger=config.bus.linger, gathering=gathering) for feed in config.feeds
        ]
        if rounds:
            rounds.at_end += [publisher.flush for publisher in self.publishers]
        self.feeds = [
            Feed(
                feed,
                publisher,
                DIALS[feed.transport],
                _transport_options(feed, rounds),
                cache_dir=config.cache_dir,
            )
            for feed, publisher in zip(config.feeds, self.publishers, strict=True)
        ]
        self.started = trio.current_time()
        self._lag = LoopLag()
        self._watchdog = Watchdog(notifier, self._parts, self._status, self._first_attempts)
        publishers = _group("publishers", [Child(each.name, partial(_publish, each)) for each in self.publishers])
        feeds = _group("feeds", [Child(feed.name, feed.run, grace=inf) for feed in self.feeds])
        children = [
            Child(publishers.name, publishers.run, grace=inf),
            *([Child("rounds", partial(_started, rounds.run))] if rounds else []),
            Child("loop lag", self._lag.run),
            *([Child("telemetry", partial(self._serve, config.telemetry))] if config.telemetry else []),
            Child(feeds.name, feeds.run, grace=inf),
            Child("watchdog", self._watchdog.run),
        ]
        self.supervisor = Supervisor("service", children)
        self._own_supervisors = [self.supervisor, publishers, feeds]

    async def _serve(self, telemetry: configuration.Telemetry, *, task_status: trio.TaskStatus[None]) -> None:
        """A server and a registry anew each time, since the server's own series join the registry."""
        registry = metrics.registry(
            self.feeds,
            self.publishers,
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

    def _parts(self) -> Iterable[Watched]:
        """All that have deadlines."""
        connectors = (connector for feed in self.feeds for connector in feed.connectors)
        return [*self._supervisors(), *self.publishers, *connectors]

    def _not_up(self) -> list[str]:
        return [reason for feed in self.feeds for reason in feed.not_up()]

    def _status(self) -> str:
        """One line for an operator."""
        up = sum(feed.connections_up() for feed in self.feeds)
        wanted = sum(feed.connections_wanted() for feed in self.feeds)
        reasons = self._not_up()
        more = [f"and {len(reasons) - REASONS_SHOWN} more"] if len(reasons) > REASONS_SHOWN else []
        return "; ".join([f"{up} of {wanted} connections up", *reasons[:REASONS_SHOWN], *more])

    async def _first_attempts(self) -> None:
        for feed in self.feeds:
            await feed.first_attempt.wait()

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


def _group(name: str, children: Sequence[Child]) -> Supervisor:
    """Bears with a crash of each of its children a minute, and stops them side by side."""
    return Supervisor(name, children, intensity=len(children), together=True)


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


def _transport_options(feed: configuration.Feed, rounds: Rounds | None) -> Options:
    account = venues.account_class(feed.venue)
    return Options(
        subprotocols=tuple(account.subprotocols),
        tls=tls_context(feed.ca_file) if feed.url.startswith("wss:") else None,
        connect_timeout=feed.connect_timeout,
        ping_interval=feed.ping_interval,
        ping_timeout=feed.ping_timeout,
        max_message_size=feed.max_message_size,
        compression=feed.compression,
        rounds=rounds,
    )


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Service]:
    """A running service; on leaving, the connections are closed first, then the bus is drained and closed.

    Raises StartFailed on entering, Escalated when its supervisor gives up, in a group.
    """
    sink = PubSocket(config.bus.publish, config.bus.stalled_bytes)
    notifier = Notifier(os.environ)
    rounds = Rounds(config.bus.linger) if config.bus.linger else None
    try:
        service = Service(config, sink, rounds, notifier)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.supervisor.run)
            yield service
            notifier.stopping()
            nursery.cancel_scope.cancel()
    finally:
        if rounds is not None:
            rounds.close()
        notifier.close()
        sink.close()
