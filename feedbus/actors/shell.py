"""The shell around a subscriber actor: makes it anew at each start, gives it the bus, and ends it when it is stuck.

Each life publishes in an epoch of its own, so that subscribers know that what was said in the one before isn't held up.
A crash is a bug of the actor's and nobody else's: it leaves `run` so that the supervisor counts it and starts the actor
again, which then waits, longer from crash to crash. So an actor that can't live costs its own events and a log line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from math import inf

import msgspec
import trio

from feedbus.actors import actor_class
from feedbus.actors.protocol import Actor, ActorContext
from feedbus.bus.publisher import Publisher
from feedbus.bus.subscriber import EventReader, Stats, subscribe

PAUSE_FIRST = 1.0  # seconds after a crash; doubles
PAUSE_CAP = 60.0
SOUND_AFTER = 120.0  # seconds of life after which the pauses begin anew
CHECK_EVERY = 5.0  # seconds between two looks at its deadlines


class Stuck(Exception):
    """An actor missed a deadline of its own, twice in a row."""


class ActorShell:
    """One actor of the configuration. Its counters are plain totals since the start of the process."""

    def __init__(
        self,
        name: str,
        options: msgspec.Struct,
        *,
        addresses: Sequence[str],
        publisher: Publisher | None,
        stalled_bytes: int,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`addresses` are where publishers are; `publisher` is the actor's own, if it publishes."""
        self.name = name
        self.starts = 0
        self._class = actor_class(name)
        self._options = options
        self._addresses = addresses
        self._publisher = publisher
        self._publish = publisher.publish if publisher else _publishes_nothing
        self._stalled_bytes = stalled_bytes
        self._wall_ns = wall_ns
        self._actor: Actor | None = None
        self._readers: list[EventReader] = []
        self._past_counts: Counter[str] = Counter()  # of the lives before
        self._past_received: Counter[str] = Counter()
        self._pause = PAUSE_FIRST
        self._not_before = -inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life: until cancelled, or until it crashes."""
        task_status.started()
        await trio.sleep_until(self._not_before)
        self.starts += 1
        if self.starts > 1 and self._publisher is not None:
            self._publisher.begin_again()
        began = trio.current_time()
        self._actor = actor = self._class(self._options, ActorContext(self._subscribe, self._publish, self._wall_ns))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_when_stuck, actor)
                await actor.run()
                raise RuntimeError(f"{self.name} has ended by itself")
        except Exception:
            now = trio.current_time()
            if now - began > SOUND_AFTER:
                self._pause = PAUSE_FIRST
            self._not_before = now + self._pause
            self._pause = min(PAUSE_CAP, 2 * self._pause)
            raise
        finally:
            self._past_counts.update(actor.counters())
            self._actor = None

    def counters(self) -> Counter[str]:
        """What all its lives counted, by name."""
        counts = Counter(self._past_counts)
        if self._actor is not None:
            counts.update(self._actor.counters())
        return counts

    def received(self) -> Counter[str]:
        """What its subscriptions brought: messages, bytes, events, and the gaps and lost events among them."""
        counts = Counter(self._past_received)
        for reader in self._readers:
            counts.update(_brought(reader.stats()))
        return counts

    @asynccontextmanager
    async def _subscribe(self, topics: str | Iterable[str]) -> AsyncIterator[EventReader]:
        async with subscribe(self._addresses, topics=topics, stalled_bytes=self._stalled_bytes) as reader:
            self._readers.append(reader)
            try:
                yield reader
            finally:
                self._readers.remove(reader)
                self._past_received.update(_brought(reader.stats()))


def _publishes_nothing(_events: Sequence[object]) -> None:
    raise RuntimeError("an actor that doesn't publish published")


def _brought(stats: Stats) -> dict[str, int]:
    return {
        "messages": stats.messages,
        "bytes": stats.bytes,
        "events": sum(stats.delivered.values()),
        "gaps": stats.gaps,
        "lost": sum(stats.lost.values()),
    }


async def _end_when_stuck(actor: Actor) -> None:
    """Raises Stuck: the actor is cancelled, and started again by whoever supervises it."""
    late_before = False
    while True:
        await trio.sleep(CHECK_EVERY)
        late = actor.overdue(trio.current_time())
        if late is not None and late_before:
            raise Stuck(late)
        late_before = late is not None
