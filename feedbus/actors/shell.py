"""The shell around a subscriber actor: it makes the actor, gives it the bus, and ends it when it is stuck.

The supervisor runs the shell as a child. Each run makes a new actor and is one life of it. A crash is a bug of that
actor alone: the exception leaves `run`, so that the supervisor counts it and runs the shell again, which first waits,
longer after each crash. So an actor that can't live costs its own events and some log lines, and nothing else.

Each life publishes in an epoch of its own. By the new epoch subscribers know that what the earlier life said last, such
as an alert that was firing, isn't kept up to date any more.
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
from feedbus.bus.local import LocalBus
from feedbus.bus.publisher import Publisher
from feedbus.bus.receiver import Stats
from feedbus.bus.subscriber import EventReader
from feedbus.errors import Stuck
from feedbus.proxies import DIRECT, Proxies

PAUSE_FIRST = 1.0
"""Seconds between the first crash and the next life. The pause doubles with every further crash."""
PAUSE_CAP = 60.0
"""The longest pause, in seconds."""
SOUND_AFTER = 120.0
"""Seconds of life after which a crash counts as the first one again, so that the pauses begin at PAUSE_FIRST."""
CHECK_EVERY = 5.0
"""Seconds between two checks whether the actor is overdue."""


class ActorShell:
    """Runs one actor of the configuration. Its counters are totals over all lives since the start of the process."""

    def __init__(
        self,
        name: str,
        options: msgspec.Struct,
        *,
        bus: LocalBus,
        publisher: Publisher | None,
        proxies: Proxies = DIRECT,
        wall_ns: Callable[[], int] = time.time_ns,
        stepped_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """`options` are the actor's own. `bus` is that of this process, with all publishers of the service. `publisher`
        is the actor's own one, None if it doesn't publish. `proxies` are those of the environment. `stepped_ns` returns
        by how many nanoseconds the wall clock was set since the process began. Raises ConfigError when there is no
        actor of this name."""
        self.name = name
        self.starts = 0
        self._class = actor_class(name)
        self._options = options
        self._bus = bus
        self._publisher = publisher
        self._publish = publisher.publish if publisher else _refuse_to_publish
        self._proxies = proxies
        self._wall_ns = wall_ns
        self._stepped_ns = stepped_ns
        self._actor: Actor | None = None
        self._readers: list[EventReader] = []
        self._past_counts: Counter[str] = Counter()  # of all lives before this one
        self._past_received: Counter[str] = Counter()
        self._pause = PAUSE_FIRST
        self._not_before = -inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs one life of the actor, after the pause that an earlier crash has earned it. Ends when it is cancelled,
        and with an exception when the actor has crashed, is stuck, or has returned, which it never should."""
        task_status.started()
        await trio.sleep_until(self._not_before)
        self.starts += 1
        if self.starts > 1 and self._publisher is not None:
            self._publisher.begin_epoch()
        began = trio.current_time()
        self._actor = actor = self._class(self._options, self._context())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when_stuck)
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

    def overdue(self, now: float) -> str | None:
        """Returns what is late at `now` (trio's clock), None when nothing is. The actor says so itself, or it doesn't
        read the bus."""
        late = None if self._actor is None else self._actor.overdue(now)
        unread = [text for reader in self._readers if (text := reader.overdue(now)) is not None]
        return late or (f"{self.name}: {unread[0]}" if unread else None)

    async def _end_when_stuck(self) -> None:
        """Raises Stuck when the actor is overdue at two checks in a row. That cancels the actor and ends this life."""
        late_before = False
        while True:
            await trio.sleep(CHECK_EVERY)
            late = self.overdue(trio.current_time())
            if late is not None and late_before:
                raise Stuck(late)
            late_before = late is not None

    def counters(self) -> Counter[str]:
        """Returns the actor's own counters, summed over all its lives."""
        counts = Counter(self._past_counts)
        if self._actor is not None:
            counts.update(self._actor.counters())
        return counts

    def received(self) -> Counter[str]:
        """Returns what the subscriptions of all its lives have received: messages, bytes and events, and how many gaps
        and lost events there were."""
        counts = Counter(self._past_received)
        for reader in self._readers:
            counts.update(_totals(reader.stats()))
        return counts

    def _context(self) -> ActorContext:
        return ActorContext(self._subscribe, self._publish, self._wall_ns, self._proxies, self._stepped_ns)

    @asynccontextmanager
    async def _subscribe(self, topics: str | Iterable[str]) -> AsyncIterator[EventReader]:
        async with self._bus.subscribe(topics) as reader:
            self._readers.append(reader)
            try:
                yield reader
            finally:
                self._readers.remove(reader)
                self._past_received.update(_totals(reader.stats()))


def _refuse_to_publish(_events: Sequence[object]) -> None:
    raise RuntimeError("an actor that doesn't publish published")


def _totals(stats: Stats) -> dict[str, int]:
    return {
        "messages": stats.messages,
        "bytes": stats.bytes,
        "events": sum(stats.delivered.values()),
        "gaps": stats.gaps,
        "lost": sum(stats.lost.values()),
    }
