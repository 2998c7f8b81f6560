"""A message bus in memory: Publishers send to it, and it can be subscribed to as the real bus is.

The messages are those of the real bus, byte for byte; only nng is left out. As with nng, a subscriber that doesn't read
loses its oldest messages, and learns of the loss from their sequence numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from feedbus.bus.nng import DRAIN
from feedbus.bus.receiver import Batch, Receiver
from feedbus.bus.subscriber import EventReader
from feedbus.runtime.mailbox import Mailbox
from feedbus.schema import codec
from feedbus.schema.events import Event

E = TypeVar("E", bound=Event)

KEPT = 100_000  # messages that the bus keeps for a test to look at
STALLED = 1024  # messages that wait for a subscriber before its oldest are dropped


class MemorySubscription(EventReader):
    """A subscription to a MemoryBus, with the methods of those from `feedbus.subscribe`. Only one task may iterate."""

    def __init__(self, topics: Iterable[str], stalled: int) -> None:
        super().__init__(Receiver(topics))
        self.mailbox = Mailbox[bytes](stalled)
        self._prefixes = tuple(self._receiver.wire_prefixes)
        self._batches: deque[Batch] = deque()

    def offer(self, message: bytes) -> None:
        """Take a bus message if its topic is subscribed to."""
        if message.startswith(self._prefixes):
            self.mailbox.put_nowait(message)

    async def next_batch(self) -> Batch:
        """Wait for the next batch of which nothing has been taken.

        Raises trio.ClosedResourceError once the subscription has ended and all has been read.
        """
        while not self._batches:
            self._waiting = True
            try:
                received = [self._receiver.receive(message) for message in await self.mailbox.get_batch(DRAIN)]
            except trio.EndOfChannel:
                raise trio.ClosedResourceError("the subscription is closed") from None
            finally:
                self._waiting = False
            self._batches.extend(batch for batch in received if batch is not None)
        self._taken += 1
        return self._batches.popleft()

    def _has_unread(self) -> bool:
        return bool(self._batches or len(self.mailbox))


class MemoryBus:
    """A Sink that several Publishers may share. `messages` holds the last `keep` of them, `sent` counts all."""

    def __init__(self, keep: int = KEPT) -> None:
        self.messages: deque[bytes] = deque(maxlen=keep)
        self.sent = 0
        self._subscriptions: list[MemorySubscription] = []

    def send(self, message: bytes) -> None:
        """Keep one message, and offer it to every subscription."""
        self.messages.append(message)
        self.sent += 1
        for subscription in self._subscriptions:
            subscription.offer(message)

    def take(self) -> list[bytes]:
        """Return the messages that are kept, and forget them."""
        messages = list(self.messages)
        self.messages.clear()
        return messages

    def decoded(self) -> list[tuple[codec.MessageHeader, list[codec.Group]]]:
        """The messages that are kept, without heartbeats, as (header, groups of events)."""
        return [_decode(message) for message in self.messages if not message.startswith(b"heartbeat.")]

    def events(self, of: type[E]) -> list[E]:
        """All events of one type in the messages that are kept, in their order."""
        everything = [event for _, groups in self.decoded() for _, _, events in groups for event in events]
        return [event for event in everything if isinstance(event, of)]

    @asynccontextmanager
    async def subscribe(
        self, topics: str | Iterable[str] = "", *, stalled: int = STALLED
    ) -> AsyncIterator[MemorySubscription]:
        """Subscribe as with `feedbus.subscribe`. Up to `stalled` messages wait to be read. Raises BadAddress for a text
        that is no topic."""
        subscription = MemorySubscription([topics] if isinstance(topics, str) else list(topics) or [""], stalled)
        await trio.lowlevel.checkpoint()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            subscription.mailbox.close()


def _decode(message: bytes) -> tuple[codec.MessageHeader, list[codec.Group]]:
    header, groups = codec.decode(message)
    return header, [(symbol, first, events) for symbol, first, events in groups]
