"""What a subscriber actor is: a program that is fed by the bus, in a process with the feeds or in one of its own.

An actor is one file in this folder with a class `Actor`; its name is the file's, and so is its key under `actors` in
the configuration. It is made anew whenever it is started, so it keeps nothing of a life that crashed. It knows nothing
of feeds, sockets or other actors: what it needs is Given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec
import trio

from feedbus.bus.subscriber import EventReader
from feedbus.schema.events import MarketData


class Subscribe(Protocol):
    """As `feedbus.subscribe`, the addresses left out: they are all publishers' of the service."""

    def __call__(self, topics: str | Iterable[str]) -> AbstractAsyncContextManager[EventReader]:
        """Entering neither fails nor waits when publishers are missing."""


@dataclass(frozen=True)
class ActorContext:
    """What an actor works with. `publish` is there for those that publish; `wall_ns` is nanoseconds since the epoch."""

    subscribe: Subscribe
    publish: Callable[[Sequence[MarketData]], None]
    wall_ns: Callable[[], int]


class Actor(Protocol):
    """One subscriber actor.

    Options is the struct of what its key in the configuration may hold; every field has a default, and its type bounds
    it. `publishes` says whether it has a publisher of its own, with its own name.
    """

    Options: ClassVar[type[msgspec.Struct]]
    publishes: ClassVar[bool]

    def __init__(self, options: msgspec.Struct, given: ActorContext) -> None:
        """Raises ConfigError for options that contradict one another. It has no side effects, and is cheap: checking a
        configuration makes one too."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled; started() once it is subscribed. Whatever it raises is a bug."""

    def overdue(self, now: float) -> str | None:
        """What it should have done by `now` (trio's clock) and has not; None while it is on time. To wait for events
        misses nothing."""

    def counters(self) -> Mapping[str, int]:
        """Plain totals since it was made, by name."""
