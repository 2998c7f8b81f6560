"""The table of series: a real feed, publisher and supervisor, read as a scrape reads them."""

from __future__ import annotations

import re

import pytest
import trio
from prometheus_client import Metric
from trio.testing import MockClock

from feedbus.actors import actor_class
from feedbus.actors.shell import ActorShell
from feedbus.bus.local import LocalBus
from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.errors import ClosedByPeer, ConnectFailed
from feedbus.feed.feed import Feed
from feedbus.runtime.supervisor import Supervisor
from feedbus.runtime.wall_clock import WallClock
from feedbus.service import metric_table as metrics
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.series import CollectorRegistry
from feedbus.telemetry.server import Server
from feedbus.telemetry.systemd import Notifier
from feedbus.telemetry.watchdog import Watchdog
from feedbus.testing.fake_transport import FakeDial
from feedbus.transport import DialOptions
from tests import places

DOCS = places.DOCS / "operations.md"
CONNECTED = b'CONNECTED\n\n{"structure":{"MXSE":{"streams":[{"name":"orderbooks"}]}}}\0'


class Sink:
    """Takes what is published."""

    def send(self, message: bytes) -> None:
        pass


class Scene:
    """A feed of six symbols over two connections, of which the second can't be made."""

    def __init__(self) -> None:
        self.dial = FakeDial(lambda attempt: ConnectFailed("no route") if attempt else None)
        self.publisher = Publisher("moex", Sink(), linger=0)
        config = FeedConfig(
            name="moex",
            venue="moex",
            url="ws://venue/",
            symbols=tuple(f"TQBR.T{number}" for number in range(6)),
            channels=("orderbooks",),
            sharding=ShardingConfig(2, 3),
        )
        self.feed = Feed(config, self.publisher, self.dial, DialOptions(), draw=lambda: 0.5, wall_ns=lambda: 42)
        self.supervisor = Supervisor("top", [])
        self.lag = LoopLag()
        self.watchdog = Watchdog(Notifier({}), list, str, trio.Event().wait)
        self.actor = ActorShell(
            "aggregator", actor_class("aggregator").Options(), bus=LocalBus(), publisher=self.publisher
        )
        self.registry = metrics.registry(
            [self.feed],
            [self.publisher],
            [self.actor],
            lambda: [self.supervisor],
            metrics.ProcessFigures(
                self.lag, WallClock(), self.watchdog, lambda: {"warning": 3}, lambda: {"warning": 4}
            ),
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def of_connection(self, name: str, number: int, **labels: str) -> float | None:
        return self.value(f"feedbus_connection_{name}", feed="moex", connection=f"moex/{number}", **labels)


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    made = Scene()
    nursery.start_soon(made.feed.run)
    await trio.sleep(1)
    receipts = [f"RECEIPT\nreceipt-id:{number}\n\n\0".encode() for number in range(1, 4)]
    made.dial.connections[0].deliver(CONNECTED, *receipts, b"\n")
    await trio.sleep(2)
    return made


def families(registry: CollectorRegistry) -> dict[str, Metric]:
    """By the name that is exposed."""
    found = {}
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = family
    return found


def test_every_name_keeps_prometheus_conventions() -> None:
    scene = Scene()
    Server("127.0.0.1", 0, scene.registry, list, list)
    found = families(scene.registry)
    assert len(found) >= 20
    for name, family in found.items():
        assert re.fullmatch(r"feedbus_[a-z][a-z0-9_]*", name)
        assert not re.search(r"_(ms|us|ns|millis\w*|kb|mb|kib|mib|count|sum|bucket|counter|gauge)(_|$)", name)
        assert family.type in ("counter", "gauge")
        assert family.documentation.endswith(".")


async def test_a_feed_says_what_is_up_and_what_is_wanted(scene: Scene, autojump_clock: MockClock) -> None:
    of_feed = {name: scene.value(f"feedbus_feed_{name}", feed="moex") for name in ("up", "connections_up")}
    assert of_feed == {"up": 0, "connections_up": 1}
    assert scene.value("feedbus_feed_connections_wanted", feed="moex") == 2
    assert scene.value("feedbus_feed_symbols_wanted", feed="moex") == 6
    assert scene.value("feedbus_feed_symbols_priced", feed="moex") == 0
    assert scene.value("feedbus_feed_symbols_refused", feed="moex") == 0


async def test_a_connection_is_in_one_state(scene: Scene, autojump_clock: MockClock) -> None:
    states = ("connecting", "online", "delayed", "waiting", "refused", "stopped")
    assert [scene.of_connection("state", 0, state=state) for state in states] == [0, 1, 0, 0, 0, 0]
    assert [scene.of_connection("state", 1, state=state) for state in states] == [0, 0, 0, 1, 0, 0]
    assert [scene.of_connection("up", number) for number in (0, 1)] == [1, 0]


async def test_a_connections_counters_are_series(scene: Scene, autojump_clock: MockClock) -> None:
    assert scene.of_connection("attempts_total", 0) == 1
    assert scene.of_connection("logins_total", 0) == 1
    assert scene.of_connection("failures_total", 0, cause="connect_failed") == 0, "said before the first one"
    assert scene.of_connection("frames_total", 0) == 5
    assert scene.of_connection("session_occurrences_total", 0, occurrence="heartbeats") == 1
    connector = scene.feed.connectors[1]
    assert scene.of_connection("failures_total", 1, cause="connect_failed") == connector.failures["connect_failed"] > 0
    assert scene.of_connection("attempts_total", 1) == connector.generation > 1
    connector.events, connector.skipped, connector.refusals = 30, 2, 1
    names = ("events_total", "skipped_frames_total", "refusals_total")
    assert [scene.of_connection(name, 1) for name in names] == [30, 2, 1]


async def test_bytes_and_the_sessions_own_counts_outlive_their_connection(
    scene: Scene, autojump_clock: MockClock
) -> None:
    received = scene.dial.connections[0].bytes_received
    assert scene.of_connection("received_bytes_total", 0) == received > 100
    scene.dial.connections[0].fail(ClosedByPeer(1001))
    await trio.sleep(0.1)
    assert scene.feed.connectors[0].session is None
    assert scene.of_connection("received_bytes_total", 0) == received
    assert scene.of_connection("session_occurrences_total", 0, occurrence="heartbeats") == 1


async def test_the_delay_is_that_of_the_last_status(scene: Scene, autojump_clock: MockClock) -> None:
    assert scene.of_connection("delay_seconds", 0) is None
    scene.feed.connectors[0].delay.least = 1_500_000_000
    await trio.sleep(5)
    assert scene.of_connection("delay_seconds", 0) == 1.5


async def test_symbols_are_counted_by_state_also_before_there_is_a_session(
    scene: Scene, autojump_clock: MockClock
) -> None:
    states = ("wanted", "sent", "confirmed", "live", "refused")
    assert [scene.of_connection("symbols", 0, state=state) for state in states] == [0, 0, 3, 0, 0]
    assert [scene.of_connection("symbols", 1, state=state) for state in states] == [3, 0, 0, 0, 0]


async def test_a_publishers_counters_are_series(scene: Scene, autojump_clock: MockClock) -> None:
    scene.publisher.beat()
    scene.publisher.too_large = 5
    labels = {"publisher": "moex"}
    assert scene.value("feedbus_publisher_epoch_timestamp_seconds", **labels) == scene.publisher.epoch / 1e9
    assert scene.value("feedbus_publisher_messages_total", **labels) == scene.publisher.messages > 0
    assert scene.value("feedbus_publisher_sent_bytes_total", **labels) == scene.publisher.bytes > 0
    assert scene.value("feedbus_publisher_events_total", kind="heartbeat", **labels) == 1
    assert scene.value("feedbus_publisher_oversized_events_total", **labels) == 5


def test_an_actors_counters_are_series_over_all_its_lives() -> None:
    scene = Scene()
    scene.actor.starts = 3
    scene.actor._past_counts.update(trades=7)
    scene.actor._past_received.update(events=9, gaps=1)
    labels = {"actor": "aggregator"}
    assert scene.value("feedbus_actor_starts_total", **labels) == 3
    assert scene.value("feedbus_actor_occurrences_total", occurrence="trades", **labels) == 7
    received = [scene.value("feedbus_actor_received_total", what=what, **labels) for what in ("events", "gaps", "lost")]
    assert received == [9, 1, 0]


def test_a_feeds_requests_over_http_are_series() -> None:
    scene = Scene()
    scene.feed.fetcher.requests = 5
    scene.feed.fetcher.failures["timed_out"] = 2
    assert scene.value("feedbus_feed_http_requests_total", feed="moex") == 5
    failures = [scene.value("feedbus_feed_http_failures_total", feed="moex", cause=cause) for cause in metrics.CAUSES]
    assert sum(failure or 0 for failure in failures) == 2
    assert None not in failures


def test_what_a_feed_waits_for_is_a_series() -> None:
    scene = Scene()
    budget = scene.feed.connects
    budget.taken, budget.waits, budget.waited = 7, 2, 12.5
    scene.feed.hold.asked, scene.feed.pauses.shortened = 3, 4
    labels = {"feed": "moex", "budget": "connects"}
    assert scene.value("feedbus_feed_budget_waiting", **labels) == 0
    assert scene.value("feedbus_feed_budget_turns_total", **labels) == 7
    assert scene.value("feedbus_feed_budget_waits_total", **labels) == 2
    assert scene.value("feedbus_feed_budget_waited_seconds_total", **labels) == 12.5
    assert scene.value("feedbus_feed_pauses_asked_total", feed="moex") == 3
    assert scene.value("feedbus_feed_pauses_shortened_total", feed="moex") == 4


def test_a_supervisors_counters_are_series() -> None:
    scene = Scene()
    scene.supervisor.crashes["moex"] = 2
    scene.supervisor.restarts["moex"] = 3
    scene.supervisor.stuck_stops, scene.supervisor.escalations = 4, 5
    labels = {"supervisor": "top"}
    assert scene.value("feedbus_supervisor_crashes_total", child="moex", **labels) == 2
    assert scene.value("feedbus_supervisor_restarts_total", child="moex", **labels) == 3
    assert scene.value("feedbus_supervisor_stuck_stops_total", **labels) == 4
    assert scene.value("feedbus_supervisor_stuck", **labels) == 0
    assert scene.value("feedbus_supervisor_escalations_total", **labels) == 5


def test_the_process_says_how_it_is() -> None:
    scene = Scene()
    scene.lag.seconds, scene.watchdog.checks, scene.watchdog.withheld = 1.5, 7, 2
    assert scene.value("feedbus_event_loop_worst_lag_seconds") == 0
    assert scene.value("feedbus_event_loop_lag_seconds_total") == 1.5
    assert scene.value("feedbus_watchdog_checks_total") == 7
    assert scene.value("feedbus_watchdog_withheld_total") == 2
    assert scene.value("feedbus_log_lines_total", level="warning") == 3
    assert scene.value("feedbus_log_lines_left_out_total", level="warning") == 4
    assert (scene.value("feedbus_process_resident_memory_bytes") or 0) > 1e6
    (sample,) = families(scene.registry)["feedbus_build_info"].samples
    assert (sample.value, set(sample.labels)) == (1, {"version", "python"})


async def test_no_label_grows_with_the_symbols(scene: Scene, autojump_clock: MockClock) -> None:
    samples = [sample for family in scene.registry.collect() for sample in family.samples]
    assert not any("TQBR" in value for sample in samples for value in sample.labels.values())


async def test_the_documentation_has_exactly_these_series(scene: Scene, autojump_clock: MockClock) -> None:
    scene.publisher.beat()
    scene.supervisor.crashes["moex"] = scene.supervisor.restarts["moex"] = 1
    server = Server("127.0.0.1", 0, scene.registry, list, list)
    server.answers["200"] = 1
    scene.feed.connectors[0].delay.delay_ns = 1_500_000_000
    for minute in range(60):
        scene.feed.delays._figures.model.add(20_000_000, 1_000_000, 60.0 * minute)
    scene.actor._past_counts["trades"] = 1
    rows = []
    for name, family in families(scene.registry).items():
        assert family.samples, f"{name} has no sample here"
        labels = ", ".join(dict.fromkeys(label for sample in family.samples for label in sample.labels))
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    lines = DOCS.read_text().splitlines()
    documented = [line for line in lines if line.startswith("| `feedbus_") and not line.startswith("| `feedbus_bus_")]
    assert _without_foreign_help(documented) == _without_foreign_help(rows)


def _without_foreign_help(rows: list[str]) -> list[str]:
    """The words about the process are Prometheus' client's own, and differ between its versions."""
    return [row.rsplit(" | ", 1)[0] if row.startswith("| `feedbus_process_") else row for row in rows]
