"""Every feed and actor in a process of its own: kill -9 of any of them leaves the others as they were, and it works
again when it is started again. Real processes, real sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import feedbus
from feedbus.bus.receiver import Header
from feedbus.bus.subscriber import SyncSubscription
from feedbus.schema.events import Alert, Bar, BookMetrics, Event, FeedStatus, Gap
from tests.apart import Apart, apart
from tests.free_port import free_port

pytestmark = [pytest.mark.edge, pytest.mark.timeout(90)]

PARTS = ["moex", "alor", "binance", "aggregator", "alerting", "metrics"]
FEEDS = PARTS[:3]
PUBLISHERS = PARTS[:5]
ENOUGH = 20_000  # events, in which everybody must have spoken


@pytest.fixture(scope="module")
def running() -> Iterator[Apart]:
    # An ipc path has at most 107 bytes: pytest's own folders may be longer.
    with tempfile.TemporaryDirectory(prefix="feedbus-") as folder, apart(Path(folder), free_port()) as made:
        yield made


def read(subscription: SyncSubscription, until: Callable[[Header, Event], bool]) -> None:
    """Take what comes until `until` says so."""
    count = 0
    for header, events in subscription.messages():
        for event in events:
            if until(header, event):
                return
        count += len(events)
        assert count < ENOUGH


def all_speak(subscription: SyncSubscription, speakers: list[str]) -> dict[str, int]:
    """Until each of these publishers has said what it is there for: their epochs."""
    epochs: dict[str, int] = {}

    def until(header: Header, event: Event) -> bool:
        if not isinstance(event, Gap | FeedStatus):
            epochs[header.publisher] = max(header.epoch, epochs.get(header.publisher, 0))
        return all(name in epochs for name in speakers)

    read(subscription, until)
    return epochs


def of_metrics(made: Apart) -> str:
    """The view of the bus; nothing while its process is still starting."""
    try:
        return httpx.get(made.metrics, timeout=10, trust_env=False).text
    except httpx.ConnectError:
        return ""


def test_each_part_speaks_for_itself(running: Apart) -> None:
    kinds: dict[str, set[type[Event]]] = {}
    wanted: dict[str, set[type[Event]]] = {"aggregator": {Bar, BookMetrics}, "alerting": {Alert}}

    def until(header: Header, event: Event) -> bool:
        kinds.setdefault(header.publisher, set()).add(type(event))
        spoken = all(wanted[name] <= kinds.get(name, set()) for name in wanted)
        return spoken and all(name in kinds for name in FEEDS)

    with feedbus.subscribe_sync(running.addresses()) as subscription:
        read(subscription, until)
    assert sorted(kinds) == sorted(PUBLISHERS)
    assert kinds["alerting"] == {Alert}


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_is_missed_by_nobody_and_works_again(running: Apart, part: str) -> None:
    others = [name for name in PUBLISHERS if name != part]
    # Without its feed the aggregator has less to say, and still has the two others'.
    with feedbus.subscribe_sync(running.addresses()) as subscription:
        before = all_speak(subscription, PUBLISHERS)
        running.kill(part)
        assert running.processes[part].returncode == -9
        meanwhile = all_speak(subscription, others)
        assert {name: meanwhile[name] for name in others} == {name: before[name] for name in others}
        running.run(part)
        if part in PUBLISHERS:
            read(subscription, lambda header, event: header.publisher == part and header.epoch > before[part])
        after = all_speak(subscription, PUBLISHERS)
        lost = dict(subscription.stats().lost)
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    assert sum(lost.values()) <= subscription.stats().gaps  # at most what a part was about to say when it died
    assert all(running.processes[name].poll() is None for name in PARTS)


def test_the_view_of_the_bus_is_there_again_and_knows_everybody(running: Apart) -> None:
    missing = PUBLISHERS
    with feedbus.subscribe_sync(running.addresses()) as subscription:
        for _ in range(100):
            all_speak(subscription, PUBLISHERS)
            text = of_metrics(running)
            missing = [name for name in PUBLISHERS if f'feed="{name}"' not in text]
            if not missing:
                break
    assert missing == []
