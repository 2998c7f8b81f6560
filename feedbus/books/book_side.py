"""One side of an order book: its levels, in order, and how far down they are known. Pure.

A side holds its sizes by price and its prices in a sorted list. Most changes touch levels that are there already, and
cost one look-up; a new or a removed level costs a search by bisection and a move of memory besides. docs/books.md has
the figures of this and of other structures.

A venue shows only the levels nearest to the spread. What lies beyond the worst level that it has shown is unknown, and
not empty. So a side knows its range: every level inside it is known exactly, and levels outside it aren't kept, because
one of them says nothing of those around it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from feedbus.schema.events import Level

MAX_LEVELS = 10_000
"""The most levels that a side keeps unless it is told otherwise."""


class RangeDepth(msgspec.Struct, frozen=True):
    """What lies in a range of prices: the number of levels and the sum of their sizes (in the venue's unit of size).

    `complete` is False when the range goes beyond what is known of the side: there may be more than is counted here.
    """

    levels: int
    size: float
    complete: bool


class BookSide:
    """The bids or the asks of one book. Its levels are counted from the best one."""

    __slots__ = ("_max", "high", "is_bid", "low", "prices", "sizes")

    def __init__(self, *, is_bid: bool, max_levels: int = MAX_LEVELS) -> None:
        """A side of which nothing is known. When there are more than `max_levels` levels, the worst ones are forgotten,
        and the range that is known shrinks accordingly."""
        self.is_bid = is_bid
        self._max = max_levels
        self.sizes: dict[float, float] = {}
        self.prices: list[float] = []  # ascending
        # The levels from `low` to `high` are known. One of the two is infinite: nothing lies beyond the best level.
        self.low, self.high = (inf, inf) if is_bid else (-inf, -inf)

    def __len__(self) -> int:
        """How many levels are known."""
        return len(self.prices)

    @property
    def whole(self) -> bool:
        """Whether every level of the side is known, however far away."""
        return self.low == -inf and self.high == inf

    @property
    def best(self) -> Level | None:
        """The best level; None when the side is empty, and when its best level isn't known."""
        if not self.prices:
            return None
        price = self.prices[-1 if self.is_bid else 0]
        return price, self.sizes[price]

    def replace(self, levels: Iterable[Level], *, whole: bool) -> None:
        """Takes a full picture of the side, in any order. `whole`: there is no level besides these; otherwise nothing
        is known beyond the worst of them. A level of size 0 is none."""
        sizes = dict(levels)
        if 0 in sizes.values():
            sizes = {price: size for price, size in sizes.items() if size}
        self.sizes = sizes
        self.prices = prices = sorted(sizes)
        if whole:
            self.low, self.high = -inf, inf
        elif self.is_bid:
            self.low, self.high = (prices[0] if prices else inf), inf
        else:
            self.low, self.high = -inf, (prices[-1] if prices else -inf)
        if len(prices) > self._max:
            self._shorten()

    def update(self, levels: Iterable[Level]) -> None:
        """Takes the new sizes of some levels. A size of 0 removes the level; a level beyond the known range is passed
        over, and so is the removal of one that isn't there."""
        sizes, prices, low, high = self.sizes, self.prices, self.low, self.high
        for price, size in levels:
            if size:
                if price not in sizes:
                    if not low <= price <= high:
                        continue
                    insort(prices, price)
                sizes[price] = size
            elif price in sizes:
                del sizes[price]
                del prices[bisect_left(prices, price)]
        if len(prices) > self._max + (self._max >> 3):  # not at every level, because it moves the whole list
            self._shorten()

    def forget(self) -> None:
        """Nothing is known of the side any more."""
        self.replace((), whole=False)

    def top(self, count: int | None = None) -> list[Level]:
        """The best `count` levels, or all that are known, best first."""
        sizes = self.sizes
        return [(price, sizes[price]) for price in self._best_prices(count)]

    def between(self, low: float, high: float) -> RangeDepth:
        """What lies at prices from `low` to `high`, both included."""
        first, end = bisect_left(self.prices, low), bisect_right(self.prices, high)
        size = sum(map(self.sizes.__getitem__, self.prices[first:end]))
        return RangeDepth(max(0, end - first), float(size), self.knows(low, high))

    def knows(self, low: float, high: float) -> bool:
        """Whether all levels at prices from `low` to `high` are known."""
        return self.low <= low and high <= self.high

    def volume(self, count: int) -> float | None:
        """The sum of the sizes of the best `count` levels, or of all where there are fewer; None when so many aren't
        known."""
        if count > len(self.prices) and not self.whole:
            return None
        return float(sum(map(self.sizes.__getitem__, self._best_prices(count))))

    def _best_prices(self, count: int | None) -> Sequence[float]:
        prices = self.prices
        if not self.is_bid:
            return prices if count is None else prices[: max(0, count)]
        if count is None or count >= len(prices):
            return prices[::-1]
        return prices[: -count - 1 : -1] if count > 0 else ()

    def _shorten(self) -> None:
        """Forgets the worst levels, so that as many are left as may be."""
        prices = self.prices
        if self.is_bid:
            gone, self.prices = prices[: -self._max], prices[-self._max :]
            self.low = self.prices[0]
        else:
            gone, self.prices = prices[self._max :], prices[: self._max]
            self.high = self.prices[-1]
        for price in gone:
            del self.sizes[price]
