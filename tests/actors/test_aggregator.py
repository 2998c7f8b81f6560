"""The actor `aggregator` on an in-memory bus, on which it also publishes, and with a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.actors import actor_class, names
from feedbus.actors.aggregator import OVERDUE_AFTER, TICK, Actor
from feedbus.actors.protocol import ActorContext
from feedbus.analytics.options import IndicatorOptions, Options
from feedbus.bus.publisher import Publisher
from feedbus.errors import ConfigError
from feedbus.schema.events import Bar, BookDelta, BookMetrics, BookSnapshot, Event, Indicator, MarketData, Status, Trade
from feedbus.testing.memory_bus import MemoryBus
from tests.captured_trades import captured_trades

SECOND = 1_000_000_000
START = 28_000_005 * 60 * SECOND  # a whole multiple of 900 s
MINUTE = Options(periods=(60,), indicators=())


class Rig:
    """A feed's publisher and the aggregator on one bus. The venue's clock shows START at the clock's 0."""

    def __init__(self, options: Options) -> None:
        self.bus = MemoryBus()
        self.feed = Publisher("fake", self.bus, linger=0, wall_ns=lambda: 1)
        self.own = Publisher("aggregator", self.bus, linger=0, wall_ns=lambda: 2)
        self.published = 0
        self.actor = Actor(options, ActorContext(self.bus.subscribe, self._publish, lambda: START))

    def _publish(self, events: Sequence[MarketData]) -> None:
        assert events
        self.published += 1
        self.own.publish(events)

    async def send(self, *events: MarketData) -> None:
        self.feed.publish(events)
        await wait_all_tasks_blocked()

    def taken(self, of: type[Event]) -> list[Event]:
        """Returns the events of one kind that were published since the last call, and forgets those of all kinds."""
        found = self.bus.events(of)
        self.bus.take()
        return found

    def bars(self) -> list[tuple[int, float | None, int, bool]]:
        """Returns (start in seconds, close, revision, final) of each bar."""
        bars = [bar for bar in self.taken(Bar) if isinstance(bar, Bar)]
        return [((bar.start - START) // SECOND, bar.close, bar.revision, bar.final) for bar in bars]


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Rig]:
    rig = Rig(options)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.actor.run)
        yield rig
        nursery.cancel_scope.cancel()


def trade(at: float, price: float, size: float = 1.0, symbol: str = "A") -> Trade:
    ts = START + round(at * SECOND)
    return Trade("fake", symbol, ts, ts + 5, price, size, "buy", None)


def book(at: float, bid: float) -> BookSnapshot:
    ts = START + round(at * SECOND)
    return BookSnapshot("fake", "A", ts, ts + 5, [(bid, 1.0)], [(bid + 2, 1.0)], None)


def test_it_is_found_by_its_name_and_its_options_bear_to_be_left_out() -> None:
    assert "aggregator" in names()
    found = actor_class("aggregator")
    assert found is Actor
    assert found.publishes
    assert msgspec.convert({}, found.Options) == Options()


def test_options_that_contradict_one_another_are_refused() -> None:
    given = ActorContext(MemoryBus().subscribe, lambda events: None, lambda: 0)
    with pytest.raises(ConfigError, match="periods"):
        Actor(Options(periods=(60, 60)), given)
    with pytest.raises(TypeError, match="Trade"):
        Actor(trade(0, 1.0), given)


async def test_a_bar_is_published_while_it_forms_and_when_it_is_over(autojump_clock: MockClock) -> None:
    async with running(Options(periods=(60,), indicators=(IndicatorOptions("sma", 1),))) as rig:
        await trio.sleep(10)
        await rig.send(trade(10, 100.0))
        assert rig.bars() == [(0, 100.0, 0, False)]
        await trio.sleep(0.5)
        await rig.send(trade(10.4, 101.0), trade(10.5, 99.0))
        assert rig.bars() == []
        await trio.sleep(0.5)
        await wait_all_tasks_blocked()
        assert rig.bars() == [(0, 99.0, 1, False)]
        await trio.sleep(49.9)
        assert rig.bars() == []
        await trio.sleep(0.2)
        assert rig.bus.events(Indicator) == [
            Indicator("fake", "A", START + 10_500_000_000, START + 10_500_000_005, "sma", 60, 1, START, 99.0, 0, False)
        ]
        assert rig.bars() == [(0, 99.0, 2, True)]


async def test_what_it_publishes_is_under_the_instrument_by_its_own_publisher(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        await rig.send(trade(0, 100.0), book(0, 99.0))
        own = [(header, groups) for header, groups in rig.bus.decoded() if header.publisher == "aggregator"]
    assert [(header.word, header.venue, [symbol for symbol, _, _ in groups]) for header, groups in own] == [
        ("bar", "fake", ["A"]),
        ("bookmetrics", "fake", ["A"]),
    ]


async def test_its_own_events_do_not_come_back_to_it(autojump_clock: MockClock) -> None:
    async with running(Options(forming_every=0.0, book_every=0.0)) as rig:
        await rig.send(trade(0, 100.0), book(0, 99.0))
        await trio.sleep(5)
        assert rig.published == 2  # trades and books are two messages
        assert rig.actor.counters()["trades"] == 1


async def test_books_are_published_a_few_times_a_second(autojump_clock: MockClock) -> None:
    async with running(Options(book_every=0.25)) as rig:
        for number in range(50):
            await rig.send(book(number / 50, number))
            await trio.sleep(0.02)
        await trio.sleep(1.0)
        mids = [event.mid for event in rig.taken(BookMetrics) if isinstance(event, BookMetrics)]
        assert len(mids) == 5
        assert mids[-1] == 50.0
        assert rig.actor.counters()["metrics"] == 5


async def test_trades_that_are_lost_on_the_bus_make_their_bars_incomplete(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        await rig.send(trade(1, 1.0))
        await rig.send(trade(61, 1.0))
        rig.feed._sink = MemoryBus()  # nobody hears this
        rig.feed.publish([trade(62, 5.0)])
        rig.feed._sink = rig.bus
        await rig.send(trade(63, 1.0))
        await rig.send(trade(121, 1.0))
        await rig.send(trade(181, 1.0))
        finals = [bar for bar in rig.taken(Bar) if isinstance(bar, Bar) and bar.final]
        assert [(bar.complete, bar.trades) for bar in finals] == [(False, 1), (False, 2), (True, 1)]
        assert rig.actor.counters()["gaps"] == 1


async def test_a_book_of_deltas_has_metrics_until_it_is_lost_and_from_the_next_picture_on(
    autojump_clock: MockClock,
) -> None:
    def delta(number: int, bid: float) -> BookDelta:
        return BookDelta("fake", "A", START, START, [(bid, 1.0)], [], number, number)

    def mids(rig: Rig) -> list[float | None]:
        return [event.mid for event in rig.taken(BookMetrics) if isinstance(event, BookMetrics)]

    picture = msgspec.structs.replace(book(0, 10.0), venue_sequence=5, bids_whole=True)
    async with running(Options(periods=(), book_every=0.0)) as rig:
        await rig.send(delta(4, 9.0), picture, delta(6, 11.0))
        assert mids(rig) == [11.0, 11.5]
        rig.feed._sink = MemoryBus()  # nobody hears this
        rig.feed.publish([delta(7, 11.5)])
        rig.feed._sink = rig.bus
        await rig.send(delta(8, 11.0))
        await rig.send(picture)
        assert mids(rig) == [None, 11.0]
        await rig.send(Status("fake", "A", START, START, "stale", "", START, 1))
        await rig.send(Status("fake", "A", START, START, "live", "", START, 1))
        assert mids(rig) == [None, 11.0]
        assert rig.actor.counters()["passed_over"] == 2
    async with running(Options(periods=())) as rig:  # a second life knows nothing until a picture comes
        await rig.send(delta(9, 11.0))
        await rig.send(picture)
        assert mids(rig) == [11.0]


async def test_instruments_that_are_due_one_by_one_do_not_wake_it_one_by_one(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        for number in range(1000):
            await rig.send(trade(0, 1.0, symbol=f"S{number}"))
            await trio.sleep(0.0001)
        before = rig.published
        await trio.sleep(70)
        assert rig.actor.counters()["bars_final"] == 1000
        assert rig.published - before <= 0.1 / TICK + 2


async def test_under_load_it_is_the_messages_that_publish(autojump_clock: MockClock) -> None:
    """Instruments that fall due every fraction of a millisecond don't wake the timer's task as often."""
    wakings = 0

    class Count(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal wakings
            wakings += task.name.endswith("_publish_when_due")

    async with running(Options(periods=(), book_every=0.25)) as rig:
        for number in range(2000):  # each of 500 instruments twice within its 0.25 s
            if number == 1000:
                trio.lowlevel.add_instrument(Count())
            at = number // 2 * 0.00037
            await rig.send(BookSnapshot("fake", f"S{number % 500}", 0, START, [(1.0, number)], [], None))
            await trio.sleep_until(at)
        assert rig.actor.counters()["metrics"] > 700
    assert wakings <= 1000 // 2 * 0.00037 / TICK + 2


async def test_quiet_instruments_wake_nobody(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        await rig.send(*[trade(0, 1.0, symbol=f"S{number}") for number in range(100)])
        await trio.sleep(100)
        looks = 0

        class Count(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                nonlocal looks
                looks += 1

        trio.lowlevel.add_instrument(Count())
        await trio.sleep(10_000)
        assert looks <= 2  # this task's own


async def test_it_is_overdue_when_what_is_due_is_not_published(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        assert rig.actor.overdue(1e9) is None
        await rig.send(trade(0, 1.0))
        now = trio.current_time()
        assert rig.actor.overdue(now + 61.0 + OVERDUE_AFTER) is None
        late = rig.actor.overdue(now + 61.5 + OVERDUE_AFTER)
        assert late is not None
        assert late.startswith("aggregator: ")
        await trio.sleep(100)
        assert rig.actor.overdue(trio.current_time()) is None


async def test_it_ends_when_it_is_cancelled_and_can_be_made_anew(autojump_clock: MockClock) -> None:
    async with running(MINUTE) as rig:
        await rig.send(trade(0, 1.0))
    assert rig.actor.counters()["trades"] == 1
    async with running(MINUTE) as rig:
        assert rig.actor.counters()["trades"] == 0
        await rig.send(trade(0, 2.0))
        assert rig.bars() == [(0, 2.0, 0, False)]


async def test_real_trades_off_the_bus_are_all_in_bars(autojump_clock: MockClock) -> None:
    trades = captured_trades()
    chance = random.Random(7)
    async with running(Options(periods=(60,), indicators=())) as rig:
        at = 0
        while at < len(trades):
            count = chance.randrange(1, 200)
            await rig.send(*trades[at : at + count])
            at += count
        await trio.sleep(120)
        newest = {bar.start: bar for bar in rig.taken(Bar) if isinstance(bar, Bar)}
    assert all(bar.final for bar in newest.values())
    assert sum(bar.trades or 0 for bar in newest.values()) == len(trades)
    assert sum(bar.volume or 0 for bar in newest.values()) == pytest.approx(
        sum(each.size for each in trades), rel=1e-12, abs=0
    )
