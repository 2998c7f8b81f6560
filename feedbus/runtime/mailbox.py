"""The mailbox: a bounded queue between the tasks that put and the one task that gets. trio alone.

What happens to an item that finds it full is its policy:
  block         the putter waits; nothing is lost
  drop_oldest   the oldest item makes room, and is counted
  conflate      items have keys: a newer one takes the place of the waiting one with its key, and is counted; where
                there is none, the oldest key makes room as with drop_oldest

At any time put == delivered + dropped + conflated + len(mailbox).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, Literal, TypeVar

import trio

T = TypeVar("T")

Policy = Literal["block", "drop_oldest", "conflate"]


class Mailbox(Generic[T]):
    """Up to `capacity` items, in the order of their places. Counters are plain totals."""

    def __init__(self, capacity: int, policy: Policy, *, key: Callable[[T], Hashable] | None = None) -> None:
        """`key` is for conflate, which must have it. Raises ValueError for a capacity below 1, or a key amiss."""
        if capacity < 1:
            raise ValueError(f"a mailbox for {capacity} items")
        if (key is not None) != (policy == "conflate"):
            raise ValueError(f"policy {policy}, and {'no key' if key is None else 'a key'}")
        self.capacity = capacity
        self.policy = policy
        self.put_count = 0
        self.delivered = 0
        self.dropped = 0
        self.conflated = 0
        self.closed = False
        self._key = key
        self._queue: deque[T] = deque()
        self._by_key: OrderedDict[Hashable, T] = OrderedDict()  # holds the items in place of the queue, when conflating
        self._putters = trio.lowlevel.ParkingLot()
        self._promised = 0  # free places that putters have been woken for
        self._getter = trio.lowlevel.ParkingLot()
        self._getting = False

    def __len__(self) -> int:
        return len(self._queue) or len(self._by_key)

    def counts(self) -> dict[str, int]:
        """Plain numbers for metrics."""
        return {
            "put": self.put_count,
            "delivered": self.delivered,
            "dropped": self.dropped,
            "conflated": self.conflated,
            "waiting": len(self),
        }

    def put_nowait(self, item: T) -> None:
        """Put an item, without waiting.

        Raises trio.WouldBlock when the policy is block and it is full, trio.ClosedResourceError after `close`.
        """
        if self.closed:
            raise trio.ClosedResourceError("the mailbox is closed")
        if self._must_wait():
            raise trio.WouldBlock
        self._accept(item)

    async def put(self, item: T) -> None:
        """Put an item; where the policy is block, wait for a place, first come, first served.

        Cancelled, it has not put the item. Raises trio.ClosedResourceError after `close`, also while it waits.
        """
        await trio.lowlevel.checkpoint()
        if self._must_wait() and not self.closed:
            await self._putters.park()
            self._promised -= 1  # woken with a place of its own, or by the close, after which nobody counts them
        if self.closed:
            raise trio.ClosedResourceError("the mailbox is closed")
        self._accept(item)

    async def get_batch(self, limit: int | None = None) -> list[T]:
        """Wait until there is something, and take all of it, or the first `limit` items.

        Cancelled, it has taken nothing. Raises trio.EndOfChannel when the mailbox is closed and empty,
        trio.BusyResourceError when another task gets already, and ValueError for a limit below 1.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"a batch of at most {limit} items")
        if self._getting:
            raise trio.BusyResourceError("another task gets from this mailbox")
        self._getting = True
        try:
            await trio.lowlevel.checkpoint()
            if not len(self) and not self.closed:
                await self._getter.park()
            if not len(self):
                raise trio.EndOfChannel
            return self._take(limit)
        finally:
            self._getting = False

    def close(self) -> None:
        """Take no more items; those that wait may still be got. Closing twice does no harm."""
        self.closed = True
        self._putters.unpark_all()
        self._getter.unpark_all()

    def _must_wait(self) -> bool:
        return self.policy == "block" and len(self) + self._promised >= self.capacity

    def _accept(self, item: T) -> None:
        if self._key is not None:
            self._conflate(self._key(item), item)
        else:
            if len(self._queue) >= self.capacity:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(item)
        self.put_count += 1
        self._getter.unpark()

    def _conflate(self, key: Hashable, item: T) -> None:
        if key in self._by_key:
            self.conflated += 1
        elif len(self._by_key) >= self.capacity:
            self._by_key.popitem(last=False)
            self.dropped += 1
        self._by_key[key] = item

    def _take(self, limit: int | None) -> list[T]:
        count = len(self) if limit is None else min(limit, len(self))
        if self._key is not None:
            batch = [self._by_key.popitem(last=False)[1] for _ in range(count)]
        else:
            batch = [self._queue.popleft() for _ in range(count)]
        self.delivered += count
        self._wake_putters()
        return batch

    def _wake_putters(self) -> None:
        woken = self._putters.unpark(count=self.capacity - len(self) - self._promised)
        self._promised += len(woken)
