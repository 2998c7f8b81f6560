"""What a subscriber actor is: a part of the service that reads the bus, and may publish on it what it makes of it.

An actor runs in one process with the feeds or in a process of its own, and can't tell which. It knows nothing of feeds,
sockets or other actors: everything that it may touch is in the ActorContext. A new object is made each time the actor
is started, so a crash leaves no broken state behind.

This module holds types only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec
import trio

from feedbus.bus.subscriber import EventReader
from feedbus.proxies import DIRECT, Proxies
from feedbus.schema.events import MarketData


class Subscribe(Protocol):
    """Subscribes to all publishers of the service, as `feedbus.subscribe` does. Several actors may get the same events,
    so an actor must not change the lists in them."""

    def __call__(self, topics: str | Iterable[str]) -> AbstractAsyncContextManager[EventReader]:
        """Returns a context manager that subscribes for as long as it is open. Entering it neither fails nor waits when
        publishers aren't there yet."""


@dataclass(frozen=True)
class ActorContext:
    """Everything that an actor may use of the world around it."""

    subscribe: Subscribe
    publish: Callable[[Sequence[MarketData]], None]
    """Publishes events under the actor's own name. Raises RuntimeError for an actor whose `publishes` is False."""
    wall_ns: Callable[[], int]
    """The wall clock, in nanoseconds since the epoch."""
    proxies: Proxies = DIRECT
    """Which proxies lead out of this network."""
    stepped_ns: Callable[[], int] = lambda: 0
    """By how many nanoseconds the wall clock was set since the process began. It looks at the clocks, so it is asked
    where a time isn't what it should be, and not for every event."""


class Actor(Protocol):
    """One subscriber actor."""

    Options: ClassVar[type[msgspec.Struct]]
    """What the actor's key in the configuration may hold. Every field needs a default, and its type has to bound it."""
    publishes: ClassVar[bool]
    """Whether the actor publishes, and so needs a publisher of its own, which has the actor's name."""

    def __init__(self, options: msgspec.Struct, context: ActorContext) -> None:
        """Must be cheap and free of side effects, since checking a configuration makes an actor too. Raises ConfigError
        for options that contradict one another."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Works until it is cancelled. Calls `task_status.started()` once it is subscribed. Any exception is a bug, and
        so is a return. An actor that leaves what has come on one of its subscriptions unread counts as stuck after
        feedbus.bus.subscriber.READ_WITHIN seconds: its shell sees that without the actor's help."""

    def overdue(self, now: float) -> str | None:
        """Returns what the actor should have done by `now` (trio's clock) and hasn't, as one line for the log; None
        when nothing is late. An actor that waits for events is never late."""

    def counters(self) -> Mapping[str, int]:
        """Returns totals since the actor was made, by name."""
