"""One feed at one simulated venue, a bus and a reader, all in memory and on the virtual clock, for a test to play with.

The parts are those of the simulation of the truth (feedbus/testing/truth). There a schedule says what goes wrong; here
the test itself does it, at the moment that it wants, and looks at what a program on the bus is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
import trio

from feedbus.bus.subscriber import EventReader
from feedbus.config.model import BudgetsConfig
from feedbus.feed.feed import Feed
from feedbus.schema.events import Gap, Status, TrustState
from feedbus.sim.seam import Frame
from feedbus.testing.determinism import EPOCH_NS, wall_ns
from feedbus.testing.memory_bus import MemoryBus
from feedbus.testing.truth import venue as truth_venue
from feedbus.testing.truth.faults import Schedule
from feedbus.testing.truth.lines import SimulatedLine
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.oracle import Oracle
from feedbus.testing.truth.process import STALE_AFTER, ProbedProcess, config_of
from feedbus.testing.truth.reader import PRESENT, BusReader
from feedbus.testing.truth.venue import START_NS, STEP_S, Carried, ProbedVenue
from feedbus.testing.truth.world import MAKE_VENUE
from feedbus.transport.http import HttpResponse

Withholds = Callable[[SimulatedLine, Carried], bool]
VENUES = ("moex", "alor", "binance")


class SceneNetwork(Network):
    """The network. While `withholds` says so of a connection and of what a message is about, it doesn't come. What is
    asked over HTTP comes to the venue after `http_late` seconds."""

    withholds: Withholds = staticmethod(lambda _line, _topic: False)
    http_late = 0.0

    async def request(
        self, place: str, method: str, path: str, body: bytes, heard: Callable[[int, Mapping[str, str]], object]
    ) -> HttpResponse:
        """Carry out a request, later."""
        await trio.sleep(self.http_late)
        return await super().request(place, method, path, body, heard)

    def _carry(
        self, line: SimulatedLine, topic: Carried, frame: Frame, now: float, due: float, out: list[Frame]
    ) -> None:
        if not self.withholds(line, topic):
            super()._carry(line, topic, frame, now, due, out)


class LossyBus(MemoryBus):
    """The bus. The next `loses` messages with data get lost on their way."""

    loses = 0

    def send(self, message: bytes) -> None:
        """Take a message, or lose it."""
        if self.loses and not message.startswith((b"heartbeat.", b"feed.")):
            self.loses -= 1
        else:
            super().send(message)


class Scene:
    """All of it. The market moves every STEP_S seconds while `moves`, from the virtual time 0 on."""

    def __init__(
        self,
        venue: str,
        *,
        tickers: int = 8,
        connections: int = 2,
        tempo: float = 1.0,
        channels: Sequence[str] = (),
        start_ns: int = START_NS,
        ahead: float = 0.0,
    ) -> None:
        """About every `tempo` seconds an instrument's market moves. `channels` are those of the venue's adapter if
        there are none, `start_ns` is the venue's time at the beginning, in ns since the epoch, and our wall clock is
        `ahead` of the venue's by so many seconds."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(truth_venue, "START_NS", start_ns)
            self.venue: ProbedVenue = MAKE_VENUE[venue](1, tickers, tempo)
        self.moves = True
        self.ahead = ahead
        self._start_ns = start_ns
        self.network = SceneNetwork(self.venue, Oracle(stale_after=STALE_AFTER), self.wall_ns, self.true_ns)
        self.bus = LossyBus(keep=1)
        self.reader = BusReader(self.venue, self.wall_ns)
        self.said: list[Status] = []
        """The statuses that a reader of the bus was told: those that say another thing than the one before of the same
        instrument and word, since they were cleared."""
        self.gaps: list[Gap] = []
        self._last: dict[tuple[str, str], tuple[str, str]] = {}
        config = config_of(Schedule(1, venue, (), 0.0, connections, tickers, tempo), self.venue)
        config = msgspec.structs.replace(config, budgets=BudgetsConfig())
        if channels:
            config = msgspec.structs.replace(config, channels=tuple(channels))
        self.process = ProbedProcess(config, self.network, self.bus, draw=lambda: 0.5, wall_ns=self.wall_ns)

    @property
    def feed(self) -> Feed:
        """The feed."""
        return self.process.feed

    @property
    def symbols(self) -> Sequence[str]:
        """All instruments."""
        return self.venue.symbols

    def wall_ns(self) -> int:
        """Our wall clock."""
        return self.true_ns() + round(self.ahead * 1e9)

    def true_ns(self) -> int:
        """The venue's clock."""
        return wall_ns() - EPOCH_NS + self._start_ns

    @asynccontextmanager
    async def running(self, *, live_within: float | None = 30.0) -> AsyncIterator[None]:
        """Everything runs, and is live at first unless `live_within` is None."""
        async with trio.open_nursery() as nursery, self.bus.subscribe("") as subscription:
            await nursery.start(self.bus.watch)
            nursery.start_soon(self._read, subscription)
            nursery.start_soon(self._market)
            nursery.start_soon(self.process.run)
            if live_within is not None:
                await self.all_live(live_within)
                self.said.clear()
            yield
            nursery.cancel_scope.cancel()

    async def _market(self) -> None:
        step = 0
        while True:
            step += 1
            await trio.sleep_until(step * STEP_S)
            if self.moves:
                for _ in self.venue.advance():
                    pass
                self.network.step()

    async def _read(self, subscription: EventReader) -> None:
        with suppress(trio.ClosedResourceError):  # the test is over
            async for header, events in subscription.messages():
                for _ in self.reader.take(header, events):
                    pass
                for event in events:
                    if isinstance(event, Status):
                        self._note(event)
                    elif isinstance(event, Gap):
                        self.gaps.append(event)

    def _note(self, status: Status) -> None:
        key, told = (status.symbol, status.word), (status.state, status.reason)
        if self._last.get(key) != told:
            self._last[key] = told
            self.said.append(status)

    # What a reader of the bus knows

    def states(self, symbols: Collection[str] | None = None) -> Counter[str]:
        """How many instruments and words are in which state, by what a reader is told."""
        wanted = self.symbols if symbols is None else symbols
        return Counter(self.reader.trusted(key).state for key in self.reader.keys if key[0] in wanted)

    def usable(self, symbols: Collection[str] | None = None) -> bool:
        """Whether all prices are the present ones, or all of these instruments."""
        return PRESENT.issuperset(self.states(symbols))

    def told(self, symbols: Collection[str] | None = None) -> dict[tuple[str, str], list[str]]:
        """What was said, by instrument and word: the states with their reasons, in their order."""
        found: dict[tuple[str, str], list[str]] = {}
        for status in self.said:
            if symbols is None or status.symbol in symbols:
                found.setdefault((status.symbol, status.word), []).append(f"{status.state} {status.reason}".rstrip())
        return found

    async def all_live(self, within: float, symbols: Collection[str] | None = None) -> float:
        """Wait until all prices are the present ones. Returns how many seconds that took."""
        return await self.until(lambda: self.usable(symbols), within)

    async def until(self, is_true: Callable[[], object], within: float) -> float:
        """Wait until this is true. Returns how many seconds that took."""
        begun = trio.current_time()
        while not is_true():
            assert trio.current_time() <= begun + within, (self.states(), self.told())
            await trio.sleep(0.1)
        return trio.current_time() - begun

    def worse(self, symbols: Collection[str] | None = None) -> set[TrustState]:
        """The states that were said besides those in which a price is the present one."""
        worse = [status for status in self.said if status.state not in PRESENT]
        return {status.state for status in worse if symbols is None or status.symbol in symbols}

    # The connections

    def line_of(self, symbol: str) -> SimulatedLine:
        """The open connection that carries an instrument."""
        return next(line for line in self.network.open_lines() if symbol in carried(line))

    def repairs(self) -> dict[str, int]:
        """The repairs so far, by rung."""
        return {rung: count for rung, count in self.feed.repairs.ladder.counts.items() if count}

    def attempts(self) -> int:
        """How often the feed has tried to connect."""
        return len(self.network.attempts)


def carried(line: SimulatedLine) -> set[str]:
    """The instruments of a connection."""
    return {topic.symbol for topic in line.memory.topics.values()}
