"""The mailbox: a bounded queue from tasks that must not wait to the one task that gets. Knows trio alone.

An item that finds the mailbox full takes the place of the oldest one, which is dropped and counted.
At any time put_count == delivered + dropped + len(mailbox).
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Up to `capacity` items, in the order in which they were put. Counters are plain totals."""

    def __init__(self, capacity: int) -> None:
        """Raises ValueError for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"a mailbox for {capacity} items")
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
        """Put an item, without waiting. Raises trio.ClosedResourceError after `close`."""
        if self.closed:
            raise trio.ClosedResourceError("the mailbox is closed")
        self.dropped += len(self._queue) == self._queue.maxlen
        self._queue.append(item)
        self.put_count += 1
        self._getter.unpark()

    async def get_batch(self, limit: int | None = None) -> list[T]:
        """Wait until there is something, and take all of it, or the first `limit` items.

        When it is cancelled it has taken nothing. Raises trio.EndOfChannel when the mailbox is closed and empty,
        trio.BusyResourceError when another task gets already, and ValueError for a limit below 1.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"a batch of at most {limit} items")
        if self._getting:
            raise trio.BusyResourceError("another task gets from this mailbox")
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
        """Take no more items; those that wait may still be got. Closing twice does no harm."""
        self.closed = True
        self._getter.unpark_all()
