"""The bus within one process: publishers hand their messages to the readers of the same process, without nng.

A message that crosses to another process is encoded, goes through nng's threads and is decoded there. A reader in the
process of the publisher needs none of that: it is given the events themselves, and finds gaps by their numbers as every
subscriber does. All readers get the same objects. Events are frozen, but the lists in them (the levels of a book) are
shared as well, so nobody may change them.

Each reader has a queue of its own, which is bounded. When it is full the oldest message is dropped, and the hole in the
numbers becomes a Gap. A reader may have a socket besides, for the publishers of other processes.

Who has fallen silent is looked for by the bus itself, in `watch`, so that it costs the readers nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from feedbus.bus.hearing import LOOK_EVERY, Hearing
from feedbus.bus.nng import DRAIN, STALLED_BYTES
from feedbus.bus.receiver import Batch, Receiver
from feedbus.bus.sub_socket import SubSocket
from feedbus.bus.subscriber import EventReader
from feedbus.schema import codec

EXPANSION = 8
"""How many bytes of memory the events of a message take for each byte of the message, at most: 7.7 where they are books
of 10 + 10 levels, less where they are trades."""


class LocalReader(EventReader):
    """A subscription within the process of the publishers. Only one task may iterate."""

    def __init__(self, receiver: Receiver, stalled_bytes: int, others: SubSocket | None = None) -> None:
        """`stalled_bytes` bounds the memory of what waits here to be read, but one message may always wait. `others` is
        the socket for the publishers of other processes, None when there are none."""
        super().__init__(receiver)
        self._queue: deque[tuple[codec.MessageHeader, Sequence[codec.Group], int]] = deque()
        self._queued = 0  # the bytes of the messages in the queue
        self._most_queued = stalled_bytes // EXPANSION
        self._others = others
        self._batches: deque[Batch] = deque()
        self._hearing = Hearing()
        self._closed = False
        self._parked = trio.lowlevel.ParkingLot()  # the task that waits, if there is no socket
        if others is not None:
            others.wake()  # takes its descriptor now, where no publisher would have to bear a failure

    def offer(self, header: codec.MessageHeader, groups: Sequence[codec.Group], size: int) -> None:
        """Take one message without waiting, unless its topics aren't wanted. Its task runs later, so that no error of
        the reader's comes up here. `size` is what the message has in bytes."""
        if self._receiver.wants(header.word, header.venue):
            self._queue.append((header, groups, size))
            self._queued += size
            while self._queued > self._most_queued and len(self._queue) > 1:
                self._queued -= self._queue.popleft()[2]
            if len(self._queue) == 1:  # nobody waits while there are more
                self._wake()

    async def next_batch(self) -> Batch:
        """Wait for the next batch of which nothing has been taken. Raises trio.ClosedResourceError when the reader is
        closed, and trio.BusyResourceError when another task waits already.

        Other tasks get their turn when the queue is looked at, and not for each batch.
        """
        while not self._batches:
            if self._closed:
                raise trio.ClosedResourceError("the subscription is closed")
            if self._waiting:
                raise trio.BusyResourceError("another task waits for this subscription")
            self._waiting = True
            try:
                await self._something()
            finally:
                self._waiting = False
            self._receive()
        self._taken += 1
        return self._batches.popleft()

    def look(self, now: float) -> None:
        """Give the reader a Gap for each publisher that has fallen silent by `now` (monotonic seconds). While there is
        something to read nobody is judged."""
        self._hearing.read(self._receiver.heard, now)
        self._receiver.heard.clear()
        if self._queue or (self._others is not None and self._others.has_messages()):
            return
        self._hearing.nothing_unread(now)
        fallen = self._hearing.fallen_silent()
        if fallen:
            self._batches.extend(map(self._receiver.silent, fallen))
            self._wake()

    def close(self) -> None:
        """Forget what waits, close the socket, and wake the task that waits."""
        self._closed = True
        self._queue.clear()
        self._parked.unpark()
        if self._others is not None:
            trio.lowlevel.notify_closing(self._others.fd)  # before the number may belong to another file
            self._others.close()

    def _wake(self) -> None:
        if self._others is None:
            self._parked.unpark()
        elif self._waiting:
            self._others.wake()

    async def _something(self) -> None:
        """Wait until something has come, or only let other tasks run when it has."""
        if self._queue:
            await trio.lowlevel.checkpoint()
        elif self._others is None:
            await self._parked.park()
        else:
            await trio.lowlevel.wait_readable(self._others.fd)

    def _receive(self) -> None:
        """Take what has come, up to DRAIN messages of each source."""
        queue, batches, receiver = self._queue, self._batches, self._receiver
        for _ in range(min(DRAIN, len(queue))):
            header, groups, size = queue.popleft()
            self._queued -= size
            batch = receiver.take(header, groups, size)
            if batch is not None:
                batches.append(batch)
        if self._others is not None and not self._closed:
            batches += [batch for data in self._others.drain() if (batch := receiver.receive(data)) is not None]

    def _has_unread(self) -> bool:
        return bool(self._batches or self._queue) or (self._others is not None and self._others.has_messages())


class LocalBus:
    """The bus as the parts of one process have it: its publishers hand over what they send, and its readers get that,
    and what comes from the publishers of other processes."""

    def __init__(self, others: Sequence[str] = (), stalled_bytes: int = STALLED_BYTES) -> None:
        """`others` are the addresses of publishers in other processes. `stalled_bytes` bounds the memory of what may
        wait for each reader: of the messages of this process, and as much of those of others."""
        self._others = others
        self._stalled_bytes = stalled_bytes
        self._readers: list[LocalReader] = []

    def hand_over(self, header: codec.MessageHeader, groups: Sequence[codec.Group], size: int) -> None:
        """Give one message to every reader that wants it, without waiting. `size` is what it has in bytes. Nobody may
        change the lists in `groups` or in its events afterwards."""
        for reader in self._readers:
            reader.offer(header, groups, size)

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell the readers by a Gap of each publisher that says nothing any more, here or elsewhere, until cancelled.
        Without it they aren't told."""
        task_status.started()
        while True:
            await trio.sleep(LOOK_EVERY / 2)
            for reader in self._readers:
                reader.look(trio.current_time())

    @asynccontextmanager
    async def subscribe(self, topics: str | Iterable[str] = "") -> AsyncIterator[LocalReader]:
        """Subscribe as `feedbus.subscribe` does. Nobody is told when nothing comes. Raises BadAddress for a malformed
        address or topic."""
        receiver = Receiver([topics] if isinstance(topics, str) else list(topics) or [""])
        socket = SubSocket(self._others, receiver.wire_prefixes, self._stalled_bytes) if self._others else None
        reader = LocalReader(receiver, self._stalled_bytes, socket)
        self._readers.append(reader)
        try:
            await trio.lowlevel.checkpoint()
            yield reader
        finally:
            self._readers.remove(reader)
            reader.close()
