"""Users complain: events bear a time later than that of their receipt, and nobody says whether the data is wrong, or
the clock, or whose. They ask again and again.

Here a recording whose recorder's clock was 1.27 s behind the venue's is replayed through a feed; the same is done with
every simulated venue; and this machine's clock is set while the feed runs.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.feed.feed import Feed
from feedbus.feed.neighbours import Neighbours
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema import codec
from feedbus.schema.events import BookDelta, BookSnapshot, FeedStatus, Gap, MarketData, Status, Trade
from feedbus.testing.fake_transport import FakeDial
from feedbus.transport import DialOptions
from tests.complaints.scene import VENUES, Scene
from tests.places import CAPTURES

CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"
SECONDS = 90
LEARNT = 110.0  # seconds after which it is known how long these markets are silent


def recorded() -> Iterator[tuple[int, bytes]]:
    """The trades of the first seconds: when each was received, and the text."""
    with gzip.open(CAPTURE, "rt") as lines:
        began = 0
        for line in lines:
            received, _, text = line.partition(" ")
            began = began or int(received)
            if int(received) > began + SECONDS * 10**9:
                return
            if '"stream":"btcusdt@trade"' in text:
                yield int(received), text.encode()


class Sink:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.messages.append(message)


@pytest.mark.skipif(not CAPTURE.exists(), reason=f"no capture of the venue at {CAPTURE}")
async def test_a_clock_that_is_behind_is_told_and_counted_and_its_data_is_live_and_as_it_came(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    lines = list(recorded())
    sink, dial = Sink(), FakeDial()
    config = FeedConfig(
        name="binance", venue="binance", url="ws://localhost/stream", symbols=("BTCUSDT",), channels=("trade",),
        sharding=ShardingConfig(1, 10),
    )  # fmt: skip
    began = lines[0][0]
    clock = WallClock(lambda: began + round(trio.current_time() * 1e9), lambda: round(trio.current_time() * 1e9))
    feed = Feed(
        config,
        Publisher("binance", sink, linger=0),
        dial,
        DialOptions(),
        neighbours=Neighbours(clock),
        draw=lambda: 0.5,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(1)
        connection = dial.connections[0]
        for message in connection.sent:
            connection.deliver(json.dumps({"result": None, "id": json.loads(message)["id"]}).encode())
        offset = trio.current_time()
        for received, text in lines:
            await trio.sleep_until(offset + (received - began) / 1e9)
            connection.deliver(text, ts_recv=received)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    groups = [group for message in sink.messages for group in codec.decode(message)[1]]
    events = [event for _, _, found in groups for event in found]
    trades = [event for event in events if isinstance(event, Trade)]
    assert [trade.ts_recv for trade in trades] == [received for received, _ in lines], "nothing is left out"
    assert [trade.ts_event // 10**6 for trade in trades] == [json.loads(text)["data"]["T"] for _, text in lines], (
        "and no time is changed"
    )
    assert all(trade.ts_event > trade.ts_recv for trade in trades)
    delays = [event.delay_s for event in events if isinstance(event, FeedStatus) and event.delay_s is not None]
    assert len(delays) >= SECONDS // 5 - 2
    assert all(-1.3 < delay < -1.2 for delay in delays)
    assert {event.state for event in events if isinstance(event, FeedStatus)} == {"connecting", "online", "stopped"}
    assert "delayed" not in {event.state for event in events if isinstance(event, Status)}
    assert feed.delays.negative == len(lines)
    assert feed.delays.offset_s == pytest.approx(-1.275, abs=0.005)
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(" 1.2")[0] for text in said] == [
        "binance/0 brings events that bear a time",
        "by the times of events this machine's clock is",
    ]


BEHIND = 1.75  # seconds, more than the whole ones in which MOEX tells some of its times


@pytest.mark.parametrize("venue", VENUES)
async def test_on_every_venue_a_clock_that_is_behind_is_flagged_and_counted_and_nothing_is_hidden(
    venue: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(venue, tickers=4, ahead=-BEHIND)
    async with (
        scene.running(),
        scene.bus.subscribe(["trade", "book", "feed"]) as reader,
        trio.open_nursery() as nursery,
    ):
        events: list[MarketData | Gap] = []

        async def listen() -> None:
            async for event in reader:
                events.append(event)  # noqa: PERF401

        nursery.start_soon(listen)
        await trio.sleep(30.0)
        assert scene.usable()
        assert scene.worse() == set()
        nursery.cancel_scope.cancel()
    timed = [each for each in events if isinstance(each, Trade | BookSnapshot | BookDelta) and each.ts_event]
    assert len(timed) > 50
    assert all(-2.0 < (each.ts_recv - each.ts_event) / 1e9 < -BEHIND / 2 for each in timed), (
        "both times are as they were"
    )
    delays = [each.delay_s for each in events if isinstance(each, FeedStatus) and each.delay_s is not None]
    assert delays
    assert max(delays) < 0
    assert scene.feed.delays.negative > 10
    assert scene.feed.delays.offset_s == pytest.approx(-BEHIND, abs=0.5)
    assert any(re.fullmatch(rf"{venue}/\d brings events that bear a time .*", text) for text in caplog.messages)
    assert any(re.search(r"this machine's clock is 1\.[67]\d\d s behind the venue's", text) for text in caplog.messages)


@pytest.mark.parametrize("seconds", [300.0, -300.0, 7200.0])
async def test_a_step_of_this_machines_clock_is_told_and_makes_nothing_stale_or_late(
    seconds: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene("moex", tickers=4)
    async with scene.running():
        await trio.sleep(LEARNT)
        scene.ahead = seconds
        await trio.sleep(60.0)
        assert scene.worse() == set()
        assert (scene.repairs(), scene.attempts()) == ({}, 2)
        clock = scene.feed._neighbours.clock
        assert (clock.steps, clock.stepped) == (1, round(seconds * 1e9))
        way = "forward" if seconds > 0 else "back"
        said = f"this machine's clock was set {way} by {abs(seconds):.3f} s"
        assert len([text for text in caplog.messages if text.startswith(said)]) == 1
        assert scene.feed.delays.offset_s == pytest.approx(seconds, abs=0.1)
