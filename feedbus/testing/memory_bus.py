"""A bus in memory: a Sink for Publishers that keeps every message, and subscriptions to it as the real bus has them.

Messages are the real ones, byte for byte; only nng is missing. As with nng, a subscriber that doesn't read loses its
oldest messages, and learns of it from the numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from feedbus.bus.receiver import Batch, Receiver
from feedbus.bus.subscriber import EventReader
from feedbus.runtime.mailbox import Mailbox
from feedbus.schema import codec
from feedbus.schema.events import Event

E = TypeVar("E", bound=Event)

KEPT = 100_000  # messages
STALLED = 1024  # messages that wait for a subscriber that doesn't read


class MemorySubscription(EventReader):
    """What `feedbus.subscribe` yields, in memory. One task may iterate."""

    def __init__(self, topics: Iterable[str], stalled: int) -> None:
        super().__init__(Receiver(topics))
        self.mailbox = Mailbox[bytes](stalled)
        self._prefixes = tuple(self._receiver.wire_prefixes)
        self._batches: deque[Batch] = deque()

    def offer(self, message: bytes) -> None:
        """One message is on the bus."""
        if message.startswith(self._prefixes):
            self.mailbox.put_nowait(message)

    async def next_batch(self) -> Batch:
        """The next batch. Raises trio.ClosedResourceError when the subscription has ended and all is read."""
        while not self._batches:
            try:
                received = [self._receiver.receive(message) for message in await self.mailbox.get_batch()]
            except trio.EndOfChannel:
                raise trio.ClosedResourceError("the subscription is closed") from None
            self._batches.extend(batch for batch in received if batch is not None)
        return self._batches.popleft()


class MemoryBus:
    """A Sink: it may be shared by several Publishers. Keeps the last `keep` messages; `sent` counts all of them."""

    def __init__(self, keep: int = KEPT) -> None:
        self.messages: deque[bytes] = deque(maxlen=keep)
        self.sent = 0
        self._subscriptions: list[MemorySubscription] = []

    def send(self, message: bytes) -> None:
        """Take one message."""
        self.messages.append(message)
        self.sent += 1
        for subscription in self._subscriptions:
            subscription.offer(message)

    def take(self) -> list[bytes]:
        """The messages that are kept, which are forgotten then."""
        messages = list(self.messages)
        self.messages.clear()
        return messages

    def decoded(self) -> list[tuple[codec.MessageHeader, list[codec.Group]]]:
        """The messages that are kept, but heartbeats: (header, groups of events)."""
        return [_decode(message) for message in self.messages if not message.startswith(b"heartbeat.")]

    def events(self, of: type[E]) -> list[E]:
        """All events of one type among them, in order."""
        everything = [event for _, groups in self.decoded() for _, _, events in groups for event in events]
        return [event for event in everything if isinstance(event, of)]

    @asynccontextmanager
    async def subscribe(
        self, topics: str | Iterable[str] = "", *, stalled: int = STALLED
    ) -> AsyncIterator[MemorySubscription]:
        """As `feedbus.subscribe`; up to `stalled` messages wait. Raises BadAddress for what is no topic."""
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
