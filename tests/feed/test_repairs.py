"""Repairs: for each kind of fault, the lowest rung that can mend it acts, and nothing that is well is touched.

A real Feed of four connections with five symbols each on the fake venue, where each symbol trades once a second. Each
test silences some of it in a way that only a certain repair ends.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import trio
from trio.testing import MockClock

from feedbus.bus.publisher import Publisher
from feedbus.config import FeedConfig, ShardingConfig
from feedbus.errors import Stuck
from feedbus.feed import feed as feed_module
from feedbus.feed.feed import Feed
from feedbus.schema.events import Status
from feedbus.testing.determinism import wall_ns
from feedbus.testing.fake_venue import FakeAccount, FakeLine, FakeVenue
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions

SYMBOLS = tuple(f"S{number:02}" for number in range(20))
STALE_AFTER = 60.0


class Market(FakeVenue):
    """Trades everything every second. `mute` says which connection isn't told of which symbol; `asked` counts the
    subscriptions of each symbol."""

    def __init__(self) -> None:
        super().__init__()
        self.mute: Callable[[FakeLine, str], bool] = lambda _line, _symbol: False
        self.asked: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def answer(self, line: FakeLine, message: str) -> Iterator[str]:
        words = message.split()
        if words[0] == "subscribe":
            self.asked[words[2]] += 1
        if words[0] == "unsubscribe":
            self.ended[words[2]] += 1
        return super().answer(line, message)

    async def run(self) -> None:
        while True:
            await trio.sleep(1.0)
            for line in self.lines:
                for symbol in line.subscribed:
                    if not self.mute(line, symbol):
                        line.say(f"trade {symbol} 10.0 1.0 {self.wall_ns()}")


class Fault:
    """A feed whose market goes silent in some way after it was well for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed_module, "account_class", lambda _: FakeAccount)
        self.venue = Market()
        self.last: dict[str, str] = {}
        self.said: dict[str, list[str]] = {}  # what was said after the fault had begun
        self.bus = MemoryBus()
        self.publisher = Publisher("fake", self.bus, wall_ns=wall_ns)
        config = FeedConfig(name="fake", venue="fake", url="ws://fake/", symbols=SYMBOLS, sharding=ShardingConfig(4, 8))
        self.feed = Feed(config, self.publisher, self.venue, DialOptions(), draw=lambda: 0.5, wall_ns=wall_ns)

    def line_of(self, symbol: str) -> FakeLine:
        return next(line for line in self.venue.lines if symbol in line.subscribed)

    def states(self) -> dict[str, list[str]]:
        """The states that were said since this was asked last, by symbol: those that are other than the one before."""
        said: dict[str, list[str]] = {symbol: [state] for symbol, state in self.last.items()}
        for status in self.bus.events(Status):
            states = said.setdefault(status.symbol, [])
            if states[-1:] != [status.state]:
                states.append(status.state)
        self.bus.messages.clear()
        self.last = {symbol: states[-1] for symbol, states in said.items()}
        return said

    async def run(self, seconds: float, begin: Callable[[], None]) -> None:
        """Be well for ten seconds, then let it begin, and go on for so long."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.publisher.run)
            nursery.start_soon(self.feed.run)
            nursery.start_soon(self.venue.run)
            await trio.sleep(10.5)
            assert {symbol: states[-1] for symbol, states in self.states().items()} == dict.fromkeys(SYMBOLS, "live")
            self.venue.asked.clear()
            begin()
            await trio.sleep(seconds)
            self.said = self.states()
            nursery.cancel_scope.cancel()

    def counts(self) -> dict[str, int]:
        return {rung: count for rung, count in self.feed.repairs.ladder.counts.items() if count}


@pytest.fixture
async def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


async def test_one_that_goes_mute_is_subscribed_again_and_the_others_are_untouched(
    fault: Fault, autojump_clock: MockClock
) -> None:
    def begin() -> None:
        victim = fault.line_of("S07")
        fault.venue.mute = lambda line, symbol: line is victim and symbol == "S07" and fault.venue.ended["S07"] == 0

    await fault.run(STALE_AFTER + 20, begin)
    said = fault.said
    assert said.pop("S07") == ["live", "quiet", "stale", "resyncing", "live"]
    assert {tuple(states) for states in said.values()} == {("live",)}
    assert (fault.venue.asked, fault.counts()) == ({"S07": 1}, {"resubscribe": 1})


async def test_one_that_stays_mute_on_its_connection_moves_to_another(fault: Fault, autojump_clock: MockClock) -> None:
    def begin() -> None:
        victim = fault.line_of("S07")
        fault.venue.mute = lambda line, symbol: line is victim and symbol == "S07"

    await fault.run(2 * STALE_AFTER + 30, begin)
    said = fault.said
    assert said.pop("S07") == ["live", "quiet", "stale", "resyncing", "live"]
    assert {tuple(states) for states in said.values()} == {("live",)}
    assert (fault.venue.asked, fault.counts()) == ({"S07": 2}, {"resubscribe": 1, "move": 1})
    assert sorted(symbol for each in fault.feed.connectors for symbol in each.symbols) == list(SYMBOLS)
    assert sorted(len(each.symbols) for each in fault.feed.connectors) == [4, 5, 5, 6]


async def test_a_connection_that_goes_mute_is_made_anew_and_the_others_are_untouched(
    fault: Fault, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def begin() -> None:
        victim = fault.line_of("S07")
        live = next(iter(victim.subscribed))  # all but one
        fault.venue.mute = lambda line, symbol: line is victim and symbol != live

    await fault.run(STALE_AFTER + 25, begin)
    said = fault.said
    mute = [symbol for symbol, states in said.items() if "stale" in states]
    assert len(mute) == 4
    assert {tuple(said.pop(symbol)) for symbol in mute} == {("live", "quiet", "stale", "resyncing", "live")}
    assert sum(fault.venue.asked.values()) == 5
    assert fault.counts() == {"recycle": 1}
    assert sum(fault.feed.failures().values()) == fault.feed.failures()["mute"] == 1
    assert any("is connected anew, because" in text for text in caplog.messages)


async def test_actors_are_restarted_when_new_connections_do_not_help_half_of_the_feed(
    fault: Fault, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    def begin() -> None:
        lives = {each.name: _life(fault.feed, each.name) for each in fault.feed.connectors[:2]}
        names = {symbol: each.name for each in fault.feed.connectors[:2] for symbol in each.symbols[1:]}
        fault.venue.mute = lambda _, symbol: (
            symbol in names and _life(fault.feed, names[symbol]) is lives[names[symbol]]
        )

    await fault.run(4 * STALE_AFTER, begin)
    said = fault.said
    assert {states[-1] for states in said.values()} == {"live"}
    assert not any("unsubscribed" in states for states in said.values())
    assert fault.counts() == {"recycle": 2, "restart": 2}


async def test_the_feed_gives_up_when_nothing_helps(
    fault: Fault, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    def begin() -> None:
        ever = {symbol for each in fault.feed.connectors for symbol in each.symbols[1:]}
        fault.venue.mute = lambda _, symbol: symbol in ever

    with pytest.RaisesGroup(Stuck, flatten_subgroups=True):
        await fault.run(3600, begin)
    assert list(fault.counts()) == ["recycle", "restart", "give_up"]


def _life(feed: Feed, name: str) -> object:
    """What is replaced when the actor of this name is restarted."""
    return next(slot for slot in feed.supervisors[0]._slots if slot.child.name == name)
