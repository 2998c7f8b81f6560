"""One run of a schedule: the feed, its venue, the faults, the bus and a reader, on the virtual clock.

    outcome = run(random_schedule(7))

runs all of it in memory, and says what the oracle found, and what must hold besides: no budget of the venue was
exceeded, the publisher's sequences have no hole, no task, connection or feed is left, and in the end everything is live
and true again.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import trio

from feedbus.bus.hearing import SILENT_AFTER
from feedbus.bus.subscriber import EventReader
from feedbus.testing.determinism import EPOCH_NS, run_deterministically, wall_ns
from feedbus.testing.memory_bus import MemoryBus
from feedbus.testing.truth.alor import ProbedAlor
from feedbus.testing.truth.binance import ProbedBinance
from feedbus.testing.truth.budgets import exceeded
from feedbus.testing.truth.faults import Schedule
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.oracle import LATELY, Key, Oracle
from feedbus.testing.truth.outcome import RunOutcome
from feedbus.testing.truth.process import STALE_AFTER, ProbedProcess, config_of
from feedbus.testing.truth.reader import PRESENT, BusReader
from feedbus.testing.truth.saboteur import Saboteur
from feedbus.testing.truth.venue import START_NS, STEP_S, News, ProbedVenue
from feedbus.trust.readers_trust import Trusted
from feedbus.venues import account_class

MAKE_VENUE: Mapping[str, Callable[[int, int, float], ProbedVenue]] = {
    "moex": ProbedMoex,
    "alor": ProbedAlor,
    "binance": ProbedBinance,
}
"""Makes a venue of a seed, a number of tickers and a tempo, by its name."""
KILL_KNOWN_WITHIN = SILENT_AFTER + 1.5
"""Seconds after a kill until which a reader may not know of it: a publisher counts as silent after two heartbeats and a
half, and the reader looks from time to time."""
DELAYED_AFTER = 60.0
"""Seconds by which data is late that the feed calls delayed."""
REPAIRED_IN = 2.0
"""Seconds that a subscription which is made anew takes. In the end one may just be."""
STOPS_WITHIN = 5.0
"""Seconds in which everything has to be closed at the end."""

SpoilWorld = Callable[["World"], None]


def run(schedule: Schedule, *, credulous: bool = False, spoil: SpoilWorld = lambda _: None) -> RunOutcome:
    """Run a schedule. `credulous` makes a reader that takes everything for live, and `spoil` is called with the world
    before it begins: with these, tests show that the simulation can fail."""
    feeds: list[weakref.ref[object]] = []
    with _quiet():
        outcome = run_deterministically(partial(_run, schedule, credulous, spoil, feeds), seed=schedule.seed)
    gc.collect()
    if left := sum(feed() is not None for feed in feeds):
        outcome.failures.append(f"{left} feeds are left in memory")
    return outcome


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of feedbus, which tells of each fault."""
    log = logging.getLogger("feedbus")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


async def _run(
    schedule: Schedule, credulous: bool, spoil: SpoilWorld, feeds: list[weakref.ref[object]], source: random.Random
) -> RunOutcome:
    world = World(schedule, source, credulous=credulous)
    spoil(world)
    await world.live()
    feeds += world.feeds
    return world.outcome()


class DigestedBus(MemoryBus):
    """The bus in memory. It digests what is published."""

    def __init__(self) -> None:
        super().__init__(keep=1)
        self.digest = hashlib.sha256()

    def send(self, message: bytes) -> None:
        """Take a message of a process."""
        self.digest.update(message)
        super().send(message)


class _Unusable(NamedTuple):
    """Since when something can't be used: `state_at` with this state, and `reason_at` for this reason."""

    trusted: Trusted
    state_at: float
    reason_at: float

    @classmethod
    def of(cls, trusted: Trusted, now: float, before: _Unusable | None) -> _Unusable:
        """It can't be used now; `before` is what was known of it until now."""
        state_at = reason_at = now
        if before is not None and before.trusted.state == trusted.state:
            state_at = before.state_at
            if before.trusted.reason == trusted.reason:
                reason_at = before.reason_at
        return cls(trusted, state_at, reason_at)


class World:
    """All of it. `failures` are what is found that must not be, `feeds` all feeds that there were, and `started` is
    called with each new process, for a test to spoil it."""

    def __init__(self, schedule: Schedule, source: random.Random, *, credulous: bool = False) -> None:
        self.failures: list[str] = []
        self.feeds: list[weakref.ref[object]] = []
        self.started: Callable[[ProbedProcess], None] = lambda _: None
        self.schedule = schedule
        self.venue = MAKE_VENUE[schedule.venue](schedule.seed, schedule.tickers, schedule.tempo)
        self.oracle = Oracle(stale_after=STALE_AFTER)
        self.network = Network(self.venue, self.oracle, self.wall_ns, self.true_ns)
        self.bus = DigestedBus()
        self.reader = BusReader(self.venue, self.wall_ns, credulous=credulous)
        self.connects = 0
        self._config = config_of(schedule, self.venue)
        self._source = source
        self._process: ProbedProcess | None = None
        self._down_for = 0.0  # for how long the process is away once it was stopped
        self._is_over = False
        self._set_forward = 0  # our wall clock, in ns
        self._started_ahead = False  # the process has begun with a clock that is far ahead
        self._usable = self._looked = 0
        self._unusable: dict[Key, _Unusable] = {}

    # What the saboteur needs

    def wall_ns(self) -> int:
        """Our wall clock, which faults set forward and back."""
        return self.true_ns() + self._set_forward

    def true_ns(self) -> int:
        """The venue's clock."""
        return wall_ns() - EPOCH_NS + START_NS

    def set_clock(self, seconds: float) -> None:
        """Set our wall clock forward or back."""
        self._set_forward += round(seconds * 1e9)

    def end_process(self, seconds: float, *, kill: bool) -> None:
        """Kill or stop the process, and start it again after so many seconds. One that ends already isn't touched."""
        process = self._process
        if process is None or process.ends:
            return
        self._down_for = seconds
        if not kill:
            process.stop()
            return
        process.kill()
        now = trio.current_time()
        self.oracle.killed(self.reader.keys, now, now + KILL_KNOWN_WITHIN)
        self.network.abandon()

    # Its parts

    async def live(self) -> None:
        """Run the whole schedule."""
        tasks = trio.lowlevel.current_statistics().tasks_living
        self._note_news(self.venue.news())
        async with trio.open_nursery() as nursery, self.bus.subscribe("") as subscription:
            await nursery.start(self.bus.watch)
            nursery.start_soon(self._read, subscription)
            nursery.start_soon(Saboteur(self, self.schedule).run)
            async with trio.open_nursery() as processes:
                processes.start_soon(self._processes)
                await self._market()
                await trio.sleep(LATELY)  # for what is on its way
                self._look()
                self._judge_end()
                self._is_over = True
                if self._process is not None:
                    self._process.stop()
                processes.cancel_scope.deadline = trio.current_time() + STOPS_WITHIN
            if processes.cancel_scope.cancelled_caught:
                self.failures.append(f"the process hasn't ended within {STOPS_WITHIN:g} s")
            await trio.sleep(LATELY)
            self._judge_stop(subscription)
            nursery.cancel_scope.cancel()
        if left := trio.lowlevel.current_statistics().tasks_living - tasks:
            self.failures.append(f"{left} tasks are left")

    async def _market(self) -> None:
        """Move the market, and look at everything just before it moves."""
        for step in range(1, round(self.schedule.seconds / STEP_S)):
            await trio.sleep_until(step * STEP_S)
            self._look()
            self._note_news(self.venue.advance())
            self.network.step()

    def _note_news(self, news: Iterable[News]) -> None:
        now, moved = trio.current_time(), self.oracle.moved
        for symbol, word, picture, told in news:
            moved((symbol, word), now, picture, told=told)

    def _look(self) -> None:
        """Look at everything that is called live."""
        reader, now, judge = self.reader, trio.current_time(), self.oracle.judge
        self._looked += len(reader.keys)
        for key in reader.keys:
            trusted = reader.trusted(key)
            if trusted.state in PRESENT:
                self._usable += 1
                if key in self._unusable:
                    del self._unusable[key]
                if (picture := reader.picture(key)) is not None:
                    judge(key, now, trusted.state, picture)
            elif (known := self._unusable.get(key)) is None or known.trusted is not trusted:
                self._unusable[key] = _Unusable.of(trusted, now, known)

    async def _read(self, subscription: EventReader) -> None:
        """Read the bus, and look at what each message changes as soon as it is there."""
        reader = self.reader
        async for header, events in subscription.messages():
            for key in dict.fromkeys(reader.take(header, events)):
                trusted = reader.trusted(key)
                if trusted.state not in PRESENT:
                    continue
                self._unusable.pop(key, None)  # it may be live for a moment between two looks
                if (picture := reader.picture(key)) is not None:
                    self.oracle.judge(key, trio.current_time(), trusted.state, picture)

    async def _processes(self) -> None:
        """Run the process, and start it again after it has ended."""
        while not self._is_over:
            process = self._process = ProbedProcess(
                self._config, self.network, self.bus, draw=self._source.random, wall_ns=self.wall_ns
            )
            self._started_ahead = self._set_forward > DELAYED_AFTER * 1e9
            self.feeds.append(weakref.ref(process.feed))
            self.started(process)
            await process.run()
            self.connects += process.connects()
            if not self._is_over:
                await trio.sleep(self._down_for)

    # What must hold in the end

    def _judge_end(self) -> None:
        """Everything is well again, and nothing was asked too often."""
        bad: Counter[str] = Counter()
        now = trio.current_time()
        for key in self.reader.keys:
            trusted, known = self.reader.trusted(key), self._unusable.get(key)
            # Nothing has been traded since it was subscribed, or since the reader lost what was said, so nobody knows
            # the last trade.
            since = {"first_picture": known.state_at, "lost": known.reason_at} if known is not None else {}
            waits = trusted.reason in since and not self.oracle.heard_since(key, since[trusted.reason] + 2 * LATELY)
            # To a process that was started with a clock that is ahead all data seems old, also when the clock is right
            # again: it can't know which of the two is so.
            is_ahead = trusted.state == "delayed" and self._started_ahead
            # A market that does nothing for longer than the feed is configured to bear is called stale.
            rests = trusted.state == "stale" and self.oracle.rests(key)
            is_new = trusted.reason == "hole" and known is not None and known.state_at > now - REPAIRED_IN
            if trusted.state not in PRESENT and not (waits or is_ahead or rests or is_new):
                bad[f"{key[1]} {trusted.state} {trusted.reason}"] += 1
        if bad:
            told = ", ".join(f"{count} {what}" for what, count in sorted(bad.items()))
            self.failures.append(f"{bad.total()} of {len(self.reader.keys)} can't be used in the end: {told}")
        over = exceeded(self._config.budgets, self.venue.counters, alone=len(self.feeds) == 1)
        self.failures += [f"the venue was asked too often: {each}" for each in (*self.venue.over_budget(), *over)]
        self._judge_connects()

    def _judge_connects(self) -> None:
        """A process connects no more often than it may, those attempts included of which the venue doesn't learn. After
        a restart it knows nothing of the time before, so only a run with one process is looked at."""
        attempts = self.network.attempts
        limit = self._config.budgets.connects or account_class(self.venue.name).limits.connects
        if len(self.feeds) > 1:
            return
        for first, last in zip(attempts, attempts[limit.count :], strict=False):
            if last - first < limit.per_s:
                self.failures.append(f"more than {limit.count} attempts to connect in {limit.per_s:g} s")
                return

    def _judge_stop(self, subscription: EventReader) -> None:
        """After the stop nothing is called live any more, nothing is open, and no number is missing on the bus."""
        live = [key for key in self.reader.keys if self.reader.trusted(key).state in PRESENT]
        if live:
            self.failures.append(f"{len(live)} are called live after the feed was stopped, the first {live[0]}")
        if held := sum(line.dead_since is None for line in self.network.lines):
            self.failures.append(f"{held} connections are left open")
        if lost := {word: count for word, count in subscription.stats().lost.items() if count}:
            self.failures.append(f"numbers are missing on the bus: {lost}")

    def outcome(self) -> RunOutcome:
        """What came of it."""
        oracle = self.oracle
        if oracle.untrue:
            self.failures.insert(0, f"{oracle.untrue} of {oracle.instants} values that were called live weren't true")
        self.bus.digest.update(repr(oracle.lies).encode())
        return RunOutcome(
            self.schedule,
            self.failures,
            oracle.lies,
            oracle.untrue,
            oracle.instants,
            oracle.by_state,
            self._usable / max(1, self._looked),
            self.bus.digest.hexdigest(),
            self.bus.sent,
            self.connects,
        )
