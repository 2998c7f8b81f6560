"""Users complain: updates get lost inside the client, the more symbols there are the more of them, and nothing tells of
it; they proved it with the exchange's own numbers.

Here sixty pairs trade, a reader takes all of it, and another one is far too slow. Each trade of the venue is on the
bus; and what the slow reader doesn't get is told to it by Gaps, with the number of each event that is missing.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import trio
from trio.testing import MockClock

from feedbus.bus.subscriber import EventReader
from feedbus.schema.events import Gap, Trade
from feedbus.testing.memory_bus import MemoryBus
from tests.complaints.scene import Scene

PAIRS, SECONDS = 60, 20.0
ROOM = 30_000  # bytes of memory of what may wait for the slow reader


class Sheet:
    """What a reader got and what it was told to have missed, by topic: the numbers of the events."""

    def __init__(self) -> None:
        self.got: dict[str, list[int]] = defaultdict(list)
        self.missed: dict[str, list[int]] = defaultdict(list)
        self.trades: dict[str, list[int]] = defaultdict(list)  # their ids, by pair
        self.others: list[Gap] = []  # Gaps that don't say exactly what is missing
        self.pause = 0.0  # seconds after each message

    async def read(self, reader: EventReader) -> None:
        """Read until cancelled."""
        async for header, events in reader.messages():
            for number, event in zip(header.sequences(), events, strict=True):
                if isinstance(event, Gap):
                    self._gap(event)
                elif number is not None:
                    self.got[f"{header.word}.{header.venue}.{event.symbol}"].append(number)
                if isinstance(event, Trade) and event.trade_id is not None:
                    self.trades[event.symbol].append(int(event.trade_id))
            if self.pause:
                await trio.sleep(self.pause)

    def _gap(self, gap: Gap) -> None:
        if gap.first is None or gap.last is None or not gap.topic:
            self.others.append(gap)
        else:
            self.missed[gap.topic] += range(gap.first, gap.last + 1)


class Both:
    """Two buses at once."""

    def __init__(self, *buses: MemoryBus) -> None:
        self.buses = buses

    def send(self, message: bytes) -> None:
        for bus in self.buses:
            bus.send(message)


async def test_every_trade_is_on_the_bus_and_what_a_slow_reader_misses_is_told_exactly(
    autojump_clock: MockClock,
) -> None:
    scene = Scene("binance", tickers=PAIRS, connections=4, channels=("trade", "bookTicker"), tempo=0.5)
    scene.reader.keys = ()
    narrow = MemoryBus(keep=1, stalled_bytes=ROOM)
    scene.process._bus = Both(scene.bus, narrow)
    all_of_it, slow = Sheet(), Sheet()
    topics = ["trade", "quote", "status"]
    async with (
        scene.bus.subscribe(topics) as fast_reader,
        narrow.subscribe(topics) as slow_reader,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(all_of_it.read, fast_reader)
        nursery.start_soon(slow.read, slow_reader)
        async with scene.running(live_within=None):
            await scene.until(lambda: len(all_of_it.trades) == PAIRS, 60.0)
            slow.pause = 0.5
            await trio.sleep(SECONDS)
            scene.moves = False
            slow.pause = 0.0
            await trio.sleep(5.0)
            nursery.cancel_scope.cancel()
    ids = all_of_it.trades.values()
    assert [each[-1] - each[0] + 1 for each in ids] == [len(each) for each in ids]
    assert all_of_it.missed == {}
    assert {gap.cause for gap in slow.others} <= {"heartbeat"}  # lost ones, which bring no data
    assert sum(map(len, slow.missed.values())) > sum(map(len, slow.got.values()))
    for topic, numbers in all_of_it.got.items():
        assert sorted(slow.got[topic] + slow.missed[topic]) == numbers, topic
    stats = slow_reader.stats()
    lost = Counter(word for topic, missed in slow.missed.items() for word in [topic.partition(".")[0]] * len(missed))
    assert stats.lost == lost
    assert stats.published == {word: stats.delivered[word] + stats.lost[word] for word in stats.published}
    assert stats.published == fast_reader.stats().published
