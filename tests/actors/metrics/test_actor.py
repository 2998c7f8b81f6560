"""The actor `metrics`: a bus in memory on a mock clock, scrapes as Prometheus reads them, and a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus import actors as subscribers
from feedbus.actors.metrics import actor as metrics
from feedbus.actors.metrics.actor import Actor
from feedbus.actors.protocol import ActorContext
from feedbus.bus.nng import STALLED_BYTES
from feedbus.bus.publisher import Publisher
from feedbus.errors import CantServe, ConfigError
from feedbus.schema import codec
from feedbus.schema.events import Alert, BookSnapshot, FeedStatus, MarketData, Trade
from feedbus.telemetry.series import MetricSeries
from feedbus.testing.memory_bus import MemoryBus
from tests import places

DOCS = places.DOCS / "operations.md"
SECOND = 1_000_000_000
START = 1_000_000 * 60 * SECOND

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def trade(at: int, symbol: str = "TQBR.SBER", lag: int = 0) -> Trade:
    return Trade("moex", symbol, at - lag, at, 306.1, 1.0, None, None)


class Scene:
    """An actor on a bus, with publishers, on a clock that begins at START."""

    def __init__(self, *, stalled_bytes: int = STALLED_BYTES, listen: str = "127.0.0.1:0") -> None:
        self.bus = MemoryBus(stalled_bytes=stalled_bytes)
        self.began = trio.current_time()
        self.set_by = self.looked = 0
        given = ActorContext(self.bus.subscribe, self.never, self.wall_ns, stepped_ns=self.stepped_ns)
        self.actor = Actor(Actor.Options(listen=listen), given)

    def wall_ns(self) -> int:
        return START + round((trio.current_time() - self.began) * SECOND) + self.set_by

    def stepped_ns(self) -> int:
        self.looked += 1
        return self.set_by

    def never(self, events: Sequence[MarketData]) -> None:
        raise AssertionError("it publishes nothing")

    def publisher(self, name: str) -> Publisher:
        return Publisher(name, self.bus, linger=0, wall_ns=self.wall_ns)

    def scrape(self) -> Samples:
        assert self.actor.registry is not None
        return samples(generate_latest(self.actor.registry).decode())


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[Actor]:
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.actor.run)
        yield scene.actor
        nursery.cancel_scope.cancel()


def test_it_is_found_by_its_name_and_publishes_nothing() -> None:
    found: object = subscribers.actor_class("metrics")
    assert found is Actor
    assert not Actor.publishes


@pytest.mark.parametrize("step", [900, -900])
async def test_ages_dont_jump_when_the_clock_is_set(mock_clock: MockClock, step: int) -> None:
    scene = Scene()
    async with running(scene):
        moex = scene.publisher("moex")
        for second in range(20):
            mock_clock.jump(1)
            event = trade(scene.wall_ns() - SECOND // 1000)
            scene.set_by += step * SECOND if second == 10 else 0  # while the event is under way
            moex.publish([event])
            await wait_all_tasks_blocked()
        found = scene.scrape()
    assert scene.looked == 3, "at the beginning, at the first event, and at the step"
    assert of(found, "feedbus_bus_events_total", feed="moex", kind="trade") == 20
    assert of(found, "feedbus_bus_age_seconds_count", feed="moex", kind="trade") == 18
    assert of(found, "feedbus_bus_age_seconds_sum", feed="moex", kind="trade") == pytest.approx(0.018)


async def test_what_is_on_the_bus_is_said_by_feed_and_kind(mock_clock: MockClock) -> None:
    scene = Scene()
    async with running(scene):
        moex, alerting = scene.publisher("moex"), scene.publisher("alerting")
        mock_clock.jump(10)
        at = scene.wall_ns()
        moex.publish([trade(at - SECOND, lag=2 * SECOND), trade(at - SECOND, "TQBR.GAZP", lag=2 * SECOND)])
        moex.publish([BookSnapshot("moex", "TQBR.SBER", 0, at, [], [], None)])
        moex.publish([FeedStatus("moex", "moex/0", 0, at, "online", "", 2, 3, {}, 0.0, None, 1)])
        alerting.publish([Alert("moex", "TQBR.SBER", 0, at, "spread", "page", "firing", 1.0, "wide")])
        for publisher in (moex, moex, scene.publisher("quiet"), scene.publisher("a\nb")):
            publisher.beat()
        await wait_all_tasks_blocked()
        found = scene.scrape()
    trades = {"feed": "moex", "kind": "trade"}
    assert of(found, "feedbus_bus_events_total", **trades) == 2
    assert of(found, "feedbus_bus_events_total", feed="moex", kind="book") == 1
    assert of(found, "feedbus_bus_events_per_second", **trades) == 2
    assert of(found, "feedbus_bus_age_seconds_count", **trades) == 2
    assert of(found, "feedbus_bus_age_seconds_sum", **trades) == 2
    assert of(found, "feedbus_bus_age_seconds", quantile="0.99", **trades) == pytest.approx(1, rel=0.032)
    assert of(found, "feedbus_bus_venue_delay_seconds", quantile="0.5", **trades) == pytest.approx(2, rel=0.032)
    assert of(found, "feedbus_bus_venue_delay_seconds_count", feed="moex", kind="book") is None
    assert of(found, "feedbus_bus_publisher_epoch_timestamp_seconds", feed="moex") == START / SECOND
    assert of(found, "feedbus_bus_publisher_heartbeats_total", feed="moex") == 2
    assert of(found, "feedbus_bus_publisher_heartbeats_total", feed="alerting") == 0
    assert of(found, "feedbus_bus_publisher_heartbeats_total", feed="quiet") == 1
    assert of(found, "feedbus_bus_publisher_epoch_timestamp_seconds", feed="quiet") == START / SECOND + 10
    assert of(found, "feedbus_bus_publisher_heartbeats_total", feed="a\nb") is None
    assert of(found, "feedbus_bus_last_message_timestamp_seconds", feed="alerting") == START / SECOND + 10
    assert of(found, "feedbus_bus_connections_up", feed="moex") == 2
    assert of(found, "feedbus_bus_connections_wanted", feed="moex") == 3
    assert of(found, "feedbus_bus_connections_up", feed="alerting") is None
    assert of(found, "feedbus_bus_alerts_firing", rule="spread", severity="page") == 1
    assert of(found, "feedbus_bus_balance_delivered_total", word="trade") == 2
    assert of(found, "feedbus_bus_gaps_total", feed="moex", cause="lost") == 0


async def test_no_symbol_is_a_label(mock_clock: MockClock) -> None:
    scene = Scene()
    async with running(scene):
        scene.publisher("moex").publish([trade(START), Alert("moex", "TQBR.SBER", 0, START, "r", "s", "firing", 1, "")])
        await wait_all_tasks_blocked()
        found = scene.scrape()
    labels = {value for _, pairs in found for _, value in pairs}
    assert "trade" in labels
    assert not any("SBER" in value for value in labels)


async def test_words_from_the_wire_are_no_labels(mock_clock: MockClock) -> None:
    scene = Scene()
    async with running(scene):
        for word in ("strange", "trade"):
            header = codec.MessageHeader(word, "moex", "moex", 1, START)
            scene.bus.send(codec.encode(header, [("A", 1, [trade(START)])]))
        await wait_all_tasks_blocked()
        found = scene.scrape()
    assert of(found, "feedbus_bus_events_total", feed="moex", kind="trade") == 2
    words = {pairs for name, pairs in found if name == "feedbus_bus_balance_delivered_total"}
    assert words == {(("word", "trade"),)}


async def test_what_is_lost_on_the_way_here_is_said(mock_clock: MockClock) -> None:
    scene = Scene(stalled_bytes=0)
    async with running(scene) as actor:
        moex = scene.publisher("moex")
        for _ in range(2):
            for _ in range(5):
                moex.publish([trade(START)])
            await wait_all_tasks_blocked()
        found, counters = scene.scrape(), actor.counters()
    assert of(found, "feedbus_bus_gaps_total", feed="moex", cause="lost") == 1
    assert of(found, "feedbus_bus_lost_events_total", feed="moex") == 4
    fates = [
        of(found, f"feedbus_bus_balance_{fate}_total", word="trade") for fate in ("published", "delivered", "lost")
    ]
    assert fates == [6, 2, 4]
    assert counters == {"messages": 2, "events": 2, "gaps": 1, "answers": 0}


async def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    async with await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        raw = b"".join([chunk async for chunk in stream]).decode()
    head, _, body = raw.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_it_answers_over_http_and_is_ready_once_something_came() -> None:
    scene = Scene()
    with trio.fail_after(30):
        async with running(scene) as actor:
            assert actor.address is not None
            assert await get(actor.address, "/readyz") == (503, "nothing has come of the bus yet\n")
            assert await get(actor.address, "/healthz") == (200, "healthy\n")
            scene.publisher("moex").publish([trade(START)])
            await wait_all_tasks_blocked()
            assert await get(actor.address, "/readyz") == (200, "ready\n")
            status, text = await get(actor.address, "/metrics")
            assert status == 200
            assert of(samples(text), "feedbus_bus_events_total", feed="moex", kind="trade") == 1
            assert of(samples(text), "feedbus_http_responses_total", code="503") == 1
            assert "process_" not in text
            assert (actor.overdue(1e9), actor.counters()["answers"]) == (None, 4)


async def test_an_address_that_is_taken_is_an_error_of_the_start() -> None:
    with trio.fail_after(30):
        async with running(Scene()) as first:
            assert first.address is not None
            second = Scene(listen=f"127.0.0.1:{first.address[1]}")
            with pytest.raises(ExceptionGroup) as caught:
                async with running(second):
                    pass
    assert caught.group_contains(CantServe)


def test_the_documentation_has_exactly_these_series() -> None:
    tables: list[tuple[str, Sequence[MetricSeries[Any]]]] = [
        ("feed, kind", metrics.STREAM),
        ("feed", metrics.FEED),
        ("feed", metrics.PUBLISHER),
        ("rule, severity", metrics.ALERTS),
        ("", metrics.FIGURES),
        ("", metrics.SUBSCRIPTION),
    ]
    rows = []
    for labels, table in tables:
        for each in table:
            every = ", ".join(label for label in (labels, each.by) if label)
            rows.append(f"| `{each.name}` | {each.type} | {every} | {each.help} |")
    assert [line for line in DOCS.read_text().splitlines() if line.startswith("| `feedbus_bus_")] == rows


def made(**options: object) -> Actor:
    given = ActorContext(None, None, None)  # type: ignore[arg-type]
    return Actor(msgspec.convert(options, Actor.Options), given)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:9470", "[::1]:9470", "127.0.0.2:65535"])
def test_loopback_addresses_are_taken(listen: str) -> None:
    assert made(listen=listen).address is None


@pytest.mark.parametrize(
    "listen", ["", ":", "9470", "127.0.0.1", "127.0.0.1:", ":9470", "::1:9470", "[::1]", "[127.0.0.1]:1", "[]:1",
               "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:٣", "local host:1", "me@localhost:1", "local\nhost:1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="listen: must be HOST:PORT"):
        made(listen=listen, insecure=True)


@pytest.mark.parametrize("listen", ["0.0.0.0:9470", "[::]:9470", "example.org:9470", "10.0.0.1:9470"])
def test_an_address_that_others_reach_is_taken_on_request_only(listen: str) -> None:
    with pytest.raises(ConfigError, match="insecure: true"):
        made(listen=listen)
    made(listen=listen, insecure=True)


@pytest.mark.parametrize("window", [0, 0.5, 3601, "60"])
def test_a_window_is_bounded(window: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="window"):
        made(window=window)
    assert made(window=1).counters()["messages"] == 0
