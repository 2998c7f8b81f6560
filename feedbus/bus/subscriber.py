"""Subscribing to the bus: `feedbus.subscribe` for trio programs, `feedbus.subscribe_sync` for plain ones.

Both wait until the socket is readable, take what has arrived, and hand it to a Receiver.
"""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import Self

import trio

from feedbus.bus.nng import STALLED_BYTES, SubSocket
from feedbus.bus.receiver import Batch, Receiver, Stats
from feedbus.errors import BusError
from feedbus.schema.events import Gap, MarketData

WAIT_MS = 1000  # milliseconds that a plain program waits at most before Python runs the handlers of its signals
READ_WITHIN = 4.0  # seconds that a reader may leave what has come unread before it counts as stuck
DRAIN = 64  # messages that are taken from the socket before other tasks get their turn


class EventReader(ABC):
    """What a subscription offers to a trio program, wherever its messages come from. Only one task may iterate.

    `_taken` counts the batches that were taken, and `_waiting` is True while the reading task waits for more: by these
    two `overdue` sees that it reads.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._events: deque[MarketData | Gap] = deque()
        self._taken = 0
        self._waiting = False
        # How far reading had come when a call of `overdue` first found that it stands still, and the time of that call.
        self._stands = (0, inf)

    @abstractmethod
    def _has_unread(self) -> bool:
        """Return True when something has come that isn't read yet."""

    def overdue(self, now: float) -> str | None:
        """Return a line when nothing has been read for READ_WITHIN seconds up to `now` (trio's clock), although
        something could be; None when all is well.

        Nobody may have asked for the next batch all that time, or whoever waits for it wasn't woken. The calls of this
        method are the only times that are known, so that reading costs nothing more: it has to be called again and
        again, at least every few seconds.
        """
        reached = self._taken + self._receiver.messages
        if self._waiting and not self._has_unread():
            self._stands = (reached, inf)
        elif self._stands[0] != reached or self._stands[1] == inf:
            self._stands = (reached, now)
        return "the bus is not read" if now > self._stands[1] + READ_WITHIN else None

    @abstractmethod
    async def next_batch(self) -> Batch:
        """Wait for the next batch. Raises trio.ClosedResourceError when there will be none."""

    def stats(self) -> Stats:
        """Return the balance sheet up to now."""
        return self._receiver.stats()

    def publishers(self) -> dict[str, tuple[int, int]]:
        """Return, by name, each publisher's present epoch and the number of its newest heartbeat (0 when none has
        come).

        Heartbeats are received whatever topics were subscribed.
        """
        return self._receiver.publishers()

    def messages(self) -> AsyncIterator[Batch]:
        """Iterate over (header, events) of each bus message that held something wanted."""
        return _Messages(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MarketData | Gap:
        while not self._events:
            self._events.extend((await self.next_batch())[1])
        return self._events.popleft()


class _Messages:
    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        return await self._reader.next_batch()


class BusSubscription(EventReader):
    """An open subscription of a trio program. Iterating yields events and Gaps. Only one task may iterate."""

    def __init__(self, socket: SubSocket, receiver: Receiver) -> None:
        super().__init__(receiver)
        self._socket = socket
        self._batches: deque[Batch] = deque()

    async def next_batch(self) -> Batch:
        """Wait for the next batch.

        Other tasks get their turn when the socket is read, and not for each batch, which would cost more than the
        batch.
        """
        while not self._batches:
            if self._socket.closed:
                raise trio.ClosedResourceError("the subscription is closed")
            self._waiting = True
            try:
                await trio.lowlevel.wait_readable(self._socket.fd)
            finally:
                self._waiting = False
            _receive_all(self._socket, self._receiver, self._batches)
        self._taken += 1
        return self._batches.popleft()

    def _has_unread(self) -> bool:
        return bool(self._batches) or self._socket.has_messages()


class SyncSubscription:
    """An open subscription of a program without trio. Iterating yields events and Gaps, and waits for them."""

    def __init__(self, socket: SubSocket, receiver: Receiver) -> None:
        self._socket = socket
        self._receiver = receiver
        self._batches: deque[Batch] = deque()
        self._poll = select.poll()
        self._poll.register(socket.fd, select.POLLIN)

    def stats(self) -> Stats:
        """Return the balance sheet up to now."""
        return self._receiver.stats()

    def messages(self) -> Iterator[Batch]:
        """Iterate over (header, events) of each bus message that held something wanted."""
        while True:
            while not self._batches:
                if self._socket.closed:
                    raise BusError("the subscription is closed")
                # A signal that comes just before this call doesn't interrupt it. Its handler runs when the call
                # returns, so the wait is bounded.
                self._poll.poll(WAIT_MS)
                _receive_all(self._socket, self._receiver, self._batches)
            yield self._batches.popleft()

    def __iter__(self) -> Iterator[MarketData | Gap]:
        for _, events in self.messages():
            yield from events


def _receive_all(socket: SubSocket, receiver: Receiver, batches: deque[Batch]) -> None:
    for data in socket.drain(DRAIN):
        batch = receiver.receive(data)
        if batch is not None:
            batches.append(batch)


def _open(
    addresses: str | Iterable[str], topics: str | Iterable[str], stalled_bytes: int
) -> tuple[SubSocket, Receiver]:
    receiver = Receiver([topics] if isinstance(topics, str) else list(topics) or [""])
    listed = [addresses] if isinstance(addresses, str) else list(addresses)
    return SubSocket(listed, receiver.wire_prefixes, stalled_bytes), receiver


@asynccontextmanager
async def subscribe(
    addresses: str | Iterable[str], *, topics: str | Iterable[str] = "", stalled_bytes: int = STALLED_BYTES
) -> AsyncIterator[BusSubscription]:
    """Subscribe to the publishers at `addresses`. The empty topic stands for all topics.

    Entering the context neither fails nor waits when a publisher is missing: a missing or lost publisher is dialled
    again at least every 100 ms. `stalled_bytes` bounds what may wait here unread; when it is exceeded, the oldest
    messages are dropped and a Gap tells of it. Raises BadAddress for a malformed address or topic. A task that iterates
    while another one leaves the context gets trio.ClosedResourceError.
    """
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        await trio.lowlevel.checkpoint()
        yield BusSubscription(socket, receiver)
    finally:
        # A task that waits for the descriptor is woken before the number may belong to another file.
        trio.lowlevel.notify_closing(socket.fd)
        socket.close()


@contextmanager
def subscribe_sync(
    addresses: str | Iterable[str], *, topics: str | Iterable[str] = "", stalled_bytes: int = STALLED_BYTES
) -> Iterator[SyncSubscription]:
    """Subscribe as `subscribe` does, in a program without trio. Iterating after leaving the context raises BusError."""
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        yield SyncSubscription(socket, receiver)
    finally:
        socket.close()
