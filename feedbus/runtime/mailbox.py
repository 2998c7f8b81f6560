"""The mailbox: a bounded queue between tasks that must not wait and one task that consumes. It uses trio only.

trio's memory channel makes a sender wait, or raises WouldBlock, when it is full. A publisher must do neither, and new
data is worth more than old data. So an item that is put into a full mailbox replaces the oldest one, which is dropped
and counted. At any time put_count == delivered + dropped + len(mailbox).
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds up to `capacity` items, in the order in which they were put. The counters are totals."""

    def __init__(self, capacity: int) -> None:
        """Raises ValueError for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"a mailbox can't hold {capacity} items: the capacity must be at least 1")
        self.put_count = 0
        self.delivered = 0
        self.dropped = 0
        self.closed = False
        self._queue: deque[T] = deque(maxlen=capacity)
        self._getter = trio.lowlevel.ParkingLot()
        self._getting = False

    def __len__(self) -> int:
        return len(self._queue)

    def put_nowait(self, item: T) -> None:
        """Put an item without waiting. Raises trio.ClosedResourceError when the mailbox is closed."""
        if self.closed:
            raise trio.ClosedResourceError("the mailbox is closed")
        self.dropped += len(self._queue) == self._queue.maxlen
        self._queue.append(item)
        self.put_count += 1
        self._getter.unpark()

    async def get_batch(self, limit: int | None = None) -> list[T]:
        """Wait until there are items, and take all of them, or the oldest `limit` items.

        A call that is cancelled has taken nothing. Raises trio.EndOfChannel when the mailbox is closed and empty,
        trio.BusyResourceError when another task is getting already, and ValueError for a limit below 1.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"a batch can't have {limit} items: the limit must be at least 1")
        if self._getting:
            raise trio.BusyResourceError("another task is getting from this mailbox")
        self._getting = True
        try:
            await trio.lowlevel.checkpoint()
            if not self._queue and not self.closed:
                await self._getter.park()
            if not self._queue:
                raise trio.EndOfChannel
            count = len(self._queue) if limit is None else min(limit, len(self._queue))
            self.delivered += count
            return [self._queue.popleft() for _ in range(count)]
        finally:
            self._getting = False

    def close(self) -> None:
        """Accept no more items. Those that are queued can still be taken. Closing twice does no harm."""
        self.closed = True
        self._getter.unpark_all()
