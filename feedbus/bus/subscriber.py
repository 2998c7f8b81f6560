"""Subscribing to the bus: `feedbus.subscribe` for trio programs, `feedbus.subscribe_sync` for plain ones.

Both wait until the socket is readable, take what has arrived, and hand it to a Receiver. When nothing comes at first,
they log a warning that says why (silence.py). When a publisher falls silent later, a Gap says so (hearing.py).
"""

from __future__ import annotations

import logging
import math
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import trio

from feedbus.bus.hearing import LOOK_EVERY, Hearing
from feedbus.bus.nng import STALLED_BYTES
from feedbus.bus.receiver import Batch, Header, Receiver, Stats
from feedbus.bus.silence import why_away, why_silent
from feedbus.bus.sub_socket import SubSocket
from feedbus.errors import BusError
from feedbus.schema.events import Gap, MarketData
from feedbus.urls import usual_bus

WAIT = 1.0  # seconds that a plain program waits at most before Python runs the handlers of its signals
READ_WITHIN = 4.0  # seconds that a reader may leave what has come unread before it counts as stuck
WARN_AFTER = 2.0  # seconds without anything wanted, after which a waiting program is told why

SILENT = "nothing has come for %g s: %s"

log = logging.getLogger("feedbus.bus")


class _OpenBatch:
    """The batch whose events a program takes one by one. What the program leaves is kept for its next iteration."""

    def __init__(self) -> None:
        self.events: deque[MarketData | Gap] = deque()  # what hasn't been taken yet
        self._header: Header

    def open(self, batch: Batch) -> None:
        """Begin to take the events of this batch. The one before must have been taken."""
        self._header, events = batch
        self.events.extend(events)

    def rest(self) -> Batch:
        """Return what hasn't been taken yet as a batch, and forget it."""
        left = list(self.events)
        self.events.clear()
        return self._header.last(len(left)), left


class EventReader(ABC):
    """What a subscription offers to a trio program, wherever its messages come from. Only one task may iterate.

    A program may stop iterating and begin again: the next iteration goes on behind the last event that was taken,
    whether it is over events or over messages.

    `_taken` counts the batches that were taken, and `_waiting` is True while the reading task waits for more: by these
    two `overdue` sees that it reads.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._opened = _OpenBatch()
        self._taken = 0
        self._waiting = False
        # How far reading had come when a call of `overdue` first found that it stands still, and the time of that call.
        self._stands = (0, math.inf)

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
            self._stands = (reached, math.inf)
        elif self._stands[0] != reached or self._stands[1] == math.inf:
            self._stands = (reached, now)
        return "the bus is not read" if now > self._stands[1] + READ_WITHIN else None

    @abstractmethod
    async def next_batch(self) -> Batch:
        """Wait for the next batch of which nothing has been taken. Raises trio.ClosedResourceError when there will be
        none."""

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
        """Iterate over (header, events) of each bus message that held something wanted.

        When some events of a message have been taken by iterating over events, the rest of them comes first.
        """
        return _Messages(self, self._opened)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MarketData | Gap:
        while not self._opened.events:
            self._opened.open(await self.next_batch())
        return self._opened.events.popleft()


class _Messages:
    def __init__(self, reader: EventReader, opened: _OpenBatch) -> None:
        self._reader = reader
        self._opened = opened

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        return self._opened.rest() if self._opened.events else await self._reader.next_batch()


class BusSubscription(EventReader):
    """An open subscription of a trio program. Iterating yields events and Gaps. Only one task may iterate."""

    def __init__(self, socket: SubSocket, receiver: Receiver, warn_after: float | None = None) -> None:
        super().__init__(receiver)
        self._socket = socket
        self._hearing = Hearing()
        self._batches: deque[Batch] = deque()
        self._warn_after = warn_after
        self._warn_at = math.inf

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
                if self._warn_after is None:
                    await trio.lowlevel.wait_readable(self._socket.fd)
                else:
                    await self._first_wait(self._warn_after)
            finally:
                self._waiting = False
            if self._socket.closed:
                continue  # another task has closed it since it became readable
            _receive(self._socket.drain(), self._receiver, self._batches)
            _note_heard(self._receiver, self._hearing, trio.current_time())
            if self._socket.rang:
                _look(self._socket, self._receiver, self._hearing, self._batches, trio.current_time())
        self._warn_after = None
        self._taken += 1
        return self._batches.popleft()

    def _has_unread(self) -> bool:
        return bool(self._batches) or self._socket.has_messages()

    async def _first_wait(self, warn_after: float) -> None:
        """Wait as long as nothing wanted has come yet. When that has taken too long, warn instead, and only once."""
        now = trio.current_time()
        self._warn_at = min(self._warn_at, now + warn_after)
        if now < self._warn_at:
            with trio.move_on_at(self._warn_at):
                await trio.lowlevel.wait_readable(self._socket.fd)
            return
        self._warn_after = None
        await trio.lowlevel.checkpoint()
        log.warning(SILENT, warn_after, self.why_silent())

    def why_silent(self, topics: Sequence[str] | None = None) -> str:
        """Return why nothing has come, for people: nobody listens there, permission is denied, nothing is published on
        these topics. `topics` are those of the subscribed ones that it is about; None: all of them.
        """
        return _why_silent(self._socket, self._receiver, topics)

    def why_away(self) -> str:
        """Return why there is no connection to those of the addresses that aren't connected, for people; "" when all
        of them are."""
        return why_away(self._socket.addresses, self._socket.connected())

    def silent_for(self, publisher: str) -> float | None:
        """Return for how many seconds nothing at all has come from the publisher of this name; None when nothing ever
        has.

        Publishers send heartbeats every second, and after SILENT_AFTER seconds (feedbus/bus/hearing.py) one counts as
        silent. It has to be asked again and again, at least once a second: longer times in which nobody asks and
        nothing comes are not counted in full, because this program may have stood still. What has come and isn't read
        yet ends no silence, but the silence doesn't grow either.
        """
        return _silent_for(publisher, self._socket, self._hearing, trio.current_time())


class SyncSubscription:
    """An open subscription of a program without trio. Iterating yields events and Gaps, and waits for them.

    A program may stop iterating and begin again: the next iteration goes on behind the last event that was taken,
    whether it is over events or over messages.
    """

    def __init__(self, socket: SubSocket, receiver: Receiver, warn_after: float | None = None) -> None:
        self._socket = socket
        self._receiver = receiver
        self._hearing = Hearing()
        self._warn_after = warn_after
        self._warn_at = math.inf
        self._batches: deque[Batch] = deque()
        self._opened = _OpenBatch()

    def stats(self) -> Stats:
        """Return the balance sheet up to now."""
        return self._receiver.stats()

    def messages(self) -> Iterator[Batch]:
        """Iterate over (header, events) of each bus message that held something wanted.

        When some events of a message have been taken by iterating over events, the rest of them comes first.
        """
        return _SyncMessages(self, self._opened)

    def next_batch(self) -> Batch:
        """Wait for the next batch of which nothing has been taken. Raises BusError when the subscription is closed."""
        while not self._batches:
            if self._socket.closed:
                raise BusError("the subscription is closed")
            # A signal that comes just before this call doesn't interrupt it. Its handler runs when the call returns,
            # so the wait is bounded.
            wait = WAIT if self._warn_after is None else self._first_wait(self._warn_after)
            _receive(self._socket.drain(wait), self._receiver, self._batches)
            _note_heard(self._receiver, self._hearing, time.monotonic())
            if self._socket.rang:
                _look(self._socket, self._receiver, self._hearing, self._batches, time.monotonic())
        self._warn_after = None
        return self._batches.popleft()

    def _first_wait(self, warn_after: float) -> float:
        """Return how long to wait, in seconds, as long as nothing wanted has come yet. When that has taken too long,
        warn, and only once."""
        now = time.monotonic()
        self._warn_at = min(self._warn_at, now + warn_after)
        if now < self._warn_at:
            return min(WAIT, self._warn_at - now)
        self._warn_after = None
        log.warning(SILENT, warn_after, self.why_silent())
        return 0.0

    def why_silent(self, topics: Sequence[str] | None = None) -> str:
        """Return why nothing has come, as BusSubscription.why_silent does."""
        return _why_silent(self._socket, self._receiver, topics)

    def why_away(self) -> str:
        """Return why addresses aren't connected, as BusSubscription.why_away does."""
        return why_away(self._socket.addresses, self._socket.connected())

    def silent_for(self, publisher: str) -> float | None:
        """Return for how long a publisher has said nothing, as BusSubscription.silent_for does."""
        return _silent_for(publisher, self._socket, self._hearing, time.monotonic())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MarketData | Gap:
        while not self._opened.events:
            self._opened.open(self.next_batch())
        return self._opened.events.popleft()


class _SyncMessages:
    def __init__(self, subscription: SyncSubscription, opened: _OpenBatch) -> None:
        self._subscription = subscription
        self._opened = opened

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        return self._opened.rest() if self._opened.events else self._subscription.next_batch()


def _receive(messages: Iterable[bytes], receiver: Receiver, batches: deque[Batch]) -> None:
    for data in messages:
        batch = receiver.receive(data)
        if batch is not None:
            batches.append(batch)


def _note_heard(receiver: Receiver, hearing: Hearing, now: float) -> None:
    hearing.read(receiver.heard, now)
    receiver.heard.clear()


def _look(socket: SubSocket, receiver: Receiver, hearing: Hearing, batches: deque[Batch], now: float) -> None:
    """Add a Gap for each publisher that has fallen silent. While there is more to read nobody is judged, and it is
    looked again when that has been read."""
    if socket.has_messages():
        return
    hearing.nothing_unread(now)
    batches.extend(map(receiver.silent, hearing.fallen_silent()))
    socket.ring(hearing.next_look())


def _silent_for(publisher: str, socket: SubSocket, hearing: Hearing, now: float) -> float | None:
    if not socket.has_messages():
        hearing.nothing_unread(now)
    return hearing.silent_for(publisher)


def _why_silent(socket: SubSocket, receiver: Receiver, topics: Sequence[str] | None = None) -> str:
    return why_silent(
        socket.addresses,
        socket.connected(),
        publishers=receiver.publishers(),
        topics=receiver.topics if topics is None else topics,
        spoken=receiver.spoken(),
    )


def _open(
    addresses: str | Iterable[str] | None, topics: str | Iterable[str], stalled_bytes: int
) -> tuple[SubSocket, Receiver]:
    receiver = Receiver([topics] if isinstance(topics, str) else list(topics) or [""])
    if addresses is None:
        addresses = usual_bus(os.environ)
    listed = [addresses] if isinstance(addresses, str) else list(addresses)
    socket = SubSocket(listed, receiver.wire_prefixes, stalled_bytes)
    socket.ring(LOOK_EVERY)
    return socket, receiver


@asynccontextmanager
async def subscribe(
    addresses: str | Iterable[str] | None = None,
    *,
    topics: str | Iterable[str] = "",
    stalled_bytes: int = STALLED_BYTES,
    warn_after: float | None = WARN_AFTER,
) -> AsyncIterator[BusSubscription]:
    """Subscribe to the publishers at `addresses`; None stands for the address at which feedbus usually publishes, and
    the empty topic for all topics.

    Entering the context neither fails nor waits when a publisher is missing: a missing or lost publisher is dialled
    again every 100 ms while the program waits for events. When nothing wanted has come within `warn_after` seconds of
    the first wait, the logger feedbus.bus says why, once; None: never.

    What a program leaves unread waits at the publisher, bounded by its `bus.stalled_bytes`, when the address is an
    ipc:// one, and here otherwise, bounded by `stalled_bytes`. When that is exceeded, the oldest messages are dropped
    and a Gap tells of it. A Gap with the cause "silent" says that nothing at all, not even a heartbeat, has come from a
    publisher for SILENT_AFTER seconds (feedbus/bus/hearing.py).

    Raises BadAddress for a malformed address or topic. A task that iterates while another one leaves the context gets
    trio.ClosedResourceError.
    """
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        await trio.lowlevel.checkpoint()
        yield BusSubscription(socket, receiver, warn_after)
    finally:
        # A task that waits for the descriptor is woken before the number may belong to another file.
        trio.lowlevel.notify_closing(socket.fd)
        socket.close()


@contextmanager
def subscribe_sync(
    addresses: str | Iterable[str] | None = None,
    *,
    topics: str | Iterable[str] = "",
    stalled_bytes: int = STALLED_BYTES,
    warn_after: float | None = WARN_AFTER,
) -> Iterator[SyncSubscription]:
    """Subscribe as `subscribe` does, in a program without trio. Iterating after leaving the context raises BusError."""
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        yield SyncSubscription(socket, receiver, warn_after)
    finally:
        socket.close()
