"""The actor `metrics`: serves figures about everything on the bus to Prometheus.

This is the shell: it owns the subscription and the HTTP server. The pages of the single processes can't show what this
one shows, because it sees the bus as a subscriber does: what arrives, how old it is on arrival, and what is missing.
feedbus/actors/metrics/bus_figures.py keeps the figures; the tables at the end of this module say which figure is which
series.

/readyz answers no until something has come over the bus, and while a feed is silent that should send statuses. Whether
a feed is connected to its venue is left to the page of the feed's own process. /healthz always answers yes: a process
that answers is alive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
import trio

from feedbus.actors.metrics.bus_figures import (
    MAX_FEEDS,
    SECOND,
    BusFigures,
    Distribution,
    KindFigures,
    PublisherFigures,
    is_label,
)
from feedbus.actors.protocol import ActorContext
from feedbus.bus.receiver import Stats
from feedbus.bus.subscriber import EventReader
from feedbus.errors import ConfigError
from feedbus.schema.events import EVENT_TYPES
from feedbus.telemetry.series import CollectorRegistry, MetricGroup, MetricSeries, Summary, add
from feedbus.telemetry.server import Server
from feedbus.urls import is_loopback

TOPICS = [""]
"""The empty prefix: every topic."""
WORDS = frozenset(event_type.WORD for event_type in EVENT_TYPES if event_type.WORD)
"""All topic words that exist."""
MOVED = 10_000_000
"""Nanoseconds by which the wall clock may move against trio's before it is looked whether it was set."""

log = logging.getLogger("feedbus.metrics")


class Actor:
    """The metrics actor, as feedbus.actors.protocol describes an actor."""

    class Options(msgspec.Struct, frozen=True):
        """What the key `metrics` of the configuration may hold.

        listen    HOST:PORT where to serve, an IPv6 address in brackets; with port 0 the system chooses one
        insecure  allows a host that isn't loopback, since there is neither TLS nor a login
        window    the seconds over which rates and quantiles are computed
        """

        listen: str = "127.0.0.1:9468"
        insecure: bool = False
        window: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0

    publishes = False

    def __init__(self, options: Options, context: ActorContext) -> None:
        """Raises ConfigError for an address that is malformed, or that other machines can reach without `insecure`."""
        self._host, self._port = _address(options)
        self._context = context
        self._figures = BusFigures(round(options.window * SECOND))
        self._apart = self._stepped = 0
        self.registry: CollectorRegistry | None = None
        """The series that are served; None before the actor runs."""
        self._server: Server | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port where it serves; None before it does."""
        return self._server.address if self._server else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Works until it is cancelled. Raises CantServe when the address can't be bound."""
        async with self._context.subscribe(TOPICS) as reader, trio.open_nursery() as nursery:
            self.registry = registry(self._figures, reader)
            self._server = Server(self._host, self._port, self.registry, self._not_ready, list)
            host, port = await nursery.start(self._server.serve)
            log.info("the bus in figures at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
            task_status.started()
            self._stepped = self._context.stepped_ns()
            async for header, events in reader.messages():
                now_ns, wall_ns = _now_ns(), self._context.wall_ns()
                if not -MOVED < wall_ns - now_ns - self._apart < MOVED:
                    self._look_at_clock(now_ns, wall_ns)
                self._figures.add(header.publisher, header.epoch, events, now_ns, wall_ns)

    def _look_at_clock(self, now_ns: int, wall_ns: int) -> None:
        """The two clocks have moved against each other. Either the wall clock was set, or this process stood still."""
        self._apart = wall_ns - now_ns
        stepped, self._stepped = self._stepped, self._context.stepped_ns()
        if stepped != self._stepped:
            self._figures.clock_was_set(now_ns)

    def overdue(self, now: float) -> str | None:  # noqa: ARG002 (others have deadlines)
        """Returns None: the actor handles each message at once, so nothing can be late."""
        return None

    def counters(self) -> Mapping[str, int]:
        """Returns totals since the actor was made, by name."""
        feeds = self._figures.feeds
        return {
            "messages": self._figures.messages,
            "events": sum(stream.events for feed in feeds for stream in feed.streams.values()),
            "gaps": sum(feed.gaps.total() for feed in feeds),
            "answers": self._server.answers.total() if self._server else 0,
        }

    def _not_ready(self) -> list[str]:
        return self._figures.not_ready(_now_ns())


def _now_ns() -> int:
    """The time that never jumps, in nanoseconds."""
    return int(trio.current_time() * SECOND)


def _address(options: Actor.Options) -> tuple[str, int]:
    """Returns the host, without brackets, and the port. Raises ConfigError for an address that can't be used."""
    host, _, port = options.listen.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 1 << 16
    good_host = (
        bare.isascii() and bare.isprintable() and not set(bare) & set(" @/[]") and (":" in bare) == (bare != host)
    )
    if not (bare and good_host and good_port):
        raise ConfigError("listen: must be HOST:PORT, with an IPv6 address in brackets")
    if not is_loopback(bare) and not options.insecure:
        raise ConfigError(
            "listen: isn't a loopback host, and there is neither TLS nor a login: add insecure: true, or take 127.0.0.1"
        )
    return bare, int(port)


class _At:
    """The figures of one publisher at the moment of a scrape."""

    def __init__(self, feed: PublisherFigures, now_ns: int) -> None:
        self.feed = feed
        self.now_ns = now_ns


class _StreamAt:
    """The figures of one kind of event of one publisher at the moment of a scrape."""

    def __init__(self, stream: KindFigures, now_ns: int) -> None:
        self.stream = stream
        self.now_ns = now_ns


def registry(figures: BusFigures, reader: EventReader) -> CollectorRegistry:
    """Returns all series of this page but those of the server itself. Figures about the process are on the process' own
    page."""

    def feeds() -> Iterable[tuple[tuple[str, ...], _At]]:
        now = _now_ns()
        return [((feed.name,), _At(feed, now)) for feed in figures.feeds]

    def streams() -> Iterable[tuple[tuple[str, ...], _StreamAt]]:
        now = _now_ns()
        return [
            ((feed.name, stream.kind), _StreamAt(stream, now))
            for feed in figures.feeds
            for stream in feed.streams.values()
        ]

    def publishers() -> Iterable[tuple[tuple[str, ...], tuple[int, int]]]:
        named = [((name,), heard) for name, heard in reader.publishers().items() if is_label(name)]
        return named[:MAX_FEEDS]

    def alerts() -> Iterable[tuple[tuple[str, ...], tuple[int, int]]]:
        return [(pair, (count, figures.fired[pair])) for pair, count in figures.firing().items()]

    made = CollectorRegistry()
    add(made, MetricGroup(("feed", "kind"), streams, STREAM))
    add(made, MetricGroup(("feed",), feeds, FEED))
    add(made, MetricGroup(("feed",), publishers, PUBLISHER))
    add(made, MetricGroup(("rule", "severity"), alerts, ALERTS))
    add(made, MetricGroup((), lambda: [((), figures)], FIGURES))
    add(made, MetricGroup((), lambda: [((), reader.stats())], SUBSCRIPTION))
    return made


def _summary(spread: Distribution | None) -> Summary | None:
    if spread is None:
        return None
    found = {f"{quantile:g}": value / SECOND for quantile, value in spread.quantiles.items()}
    return Summary(spread.count, spread.sum / SECOND, found)


def _words(counts: Mapping[str, int]) -> dict[str, int]:
    """Leaves out words that don't exist: they come from the wire and must not become labels."""
    return {word: count for word, count in counts.items() if word in WORDS}


STREAM: Sequence[MetricSeries[_StreamAt]] = (
    MetricSeries("feedbus_bus_events_total", "Events received over the bus.", lambda it: it.stream.events),
    MetricSeries(
        "feedbus_bus_events_per_second",
        "Events received per second, on average over the window (60 s by default).",
        lambda it: it.stream.rate(it.now_ns),
    ),
    MetricSeries(
        "feedbus_bus_age_seconds",
        "Time from the receipt of the venue's bytes to the receipt here; a message's first event of a kind "
        "stands for all of that kind.",
        lambda it: _summary(it.stream.ages(it.now_ns)),
        by="quantile",
    ),
    MetricSeries(
        "feedbus_bus_venue_delay_seconds",
        "Time from the venue's timestamp to the receipt of its bytes, by two clocks; absent where the venue "
        "gives no timestamp.",
        lambda it: _summary(it.stream.delays(it.now_ns)),
        by="quantile",
    ),
)

FEED: Sequence[MetricSeries[_At]] = (
    MetricSeries(
        "feedbus_bus_gaps_total",
        "Gaps in what was received, by cause.",
        lambda it: it.feed.gaps,
        by="cause",
    ),
    MetricSeries(
        "feedbus_bus_lost_events_total",
        "Events that are missing in the gaps whose size is known.",
        lambda it: it.feed.lost,
    ),
    MetricSeries(
        "feedbus_bus_publisher_restarts_total",
        "Times that the publisher was restarted and began a new epoch.",
        lambda it: it.feed.restarts,
    ),
    MetricSeries(
        "feedbus_bus_last_message_timestamp_seconds",
        "Unix time at which the publisher's newest events or gaps were received; a heartbeat that shows no "
        "gap doesn't count.",
        lambda it: it.feed.heard_at / SECOND,
    ),
    MetricSeries(
        "feedbus_bus_connections_up",
        "Connections that are logged in, by the feed's newest status; 0 when no status has come for 15 s.",
        lambda it: it.feed.connections_up(it.now_ns),
    ),
    MetricSeries(
        "feedbus_bus_connections_wanted",
        "Connections in the feed's shard plan, by its newest status.",
        lambda it: it.feed.status.connections_wanted if it.feed.status else None,
    ),
)

PUBLISHER: Sequence[MetricSeries[tuple[int, int]]] = (
    MetricSeries(
        "feedbus_bus_publisher_epoch_timestamp_seconds",
        "Unix time at which the publisher began its present sequence numbers, which is its epoch.",
        lambda it: it[0] / SECOND,
    ),
    MetricSeries(
        "feedbus_bus_publisher_heartbeats_total",
        "Heartbeats of the publisher in its present epoch, by the number of the newest one; a running "
        "publisher sends one a second.",
        lambda it: it[1],
    ),
)

ALERTS: Sequence[MetricSeries[tuple[int, int]]] = (
    MetricSeries("feedbus_bus_alerts_firing", "Alerts that are firing now.", lambda it: it[0]),
    MetricSeries("feedbus_bus_alerts_fired_total", "Alerts that have begun to fire.", lambda it: it[1]),
)

FIGURES: Sequence[MetricSeries[BusFigures]] = (
    MetricSeries(
        "feedbus_bus_alerts_not_kept_total",
        "Firing alerts that the other alert series leave out, because 10,000 are remembered already.",
        lambda it: it.not_kept,
    ),
)

SUBSCRIPTION: Sequence[MetricSeries[Stats]] = (
    MetricSeries("feedbus_bus_received_messages_total", "Messages received over the bus.", lambda it: it.messages),
    MetricSeries(
        "feedbus_bus_received_bytes_total", "Bytes of the messages received over the bus.", lambda it: it.bytes
    ),
    MetricSeries(
        "feedbus_bus_unreadable_messages_total",
        "Messages that were skipped because they could not be decoded.",
        lambda it: it.unreadable,
    ),
    MetricSeries(
        "feedbus_bus_older_messages_total",
        "Messages that were skipped because their publisher has begun a newer epoch.",
        lambda it: it.older,
    ),
    MetricSeries(
        "feedbus_bus_duplicate_events_total",
        "Events that were skipped because they had been received before.",
        lambda it: it.duplicates,
    ),
    MetricSeries(
        "feedbus_bus_unknown_kind_events_total",
        "Events that were skipped because this version of feedbus doesn't know their kind.",
        lambda it: it.unknown_kinds,
    ),
    MetricSeries(
        "feedbus_bus_balance_published_total",
        "Events published since the subscription joined, by their sequence numbers; the sum of delivered and lost.",
        lambda it: _words(it.published),
        by="word",
    ),
    MetricSeries(
        "feedbus_bus_balance_delivered_total",
        "Events of feedbus_bus_balance_published_total that were delivered.",
        lambda it: _words(it.delivered),
        by="word",
    ),
    MetricSeries(
        "feedbus_bus_balance_lost_total",
        "Events of feedbus_bus_balance_published_total that were lost.",
        lambda it: _words(it.lost),
        by="word",
    ),
)
