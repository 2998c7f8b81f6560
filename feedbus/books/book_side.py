"""One side of an order book: its levels, in order, and how far down they are known. Pure.

A side holds the sizes of all its levels in a dict, by price, and keeps only its best prices in order, in a short sorted
list. Two thirds of the changes that a venue sends add or remove a level. In order, each of them costs a search by
bisection and a move of memory, and most of them lie where hardly anybody looks. So the list is made anew, by sorting
the dict, when it has run out or grown too long; and it is longer from then on when somebody has asked for more.
docs/books.md has the figures of this and of other structures.

A venue shows only the levels nearest to the spread. What lies beyond the worst level that it has shown is unknown, and
not empty. So a side knows its range: every level inside it is known exactly, and levels outside it aren't kept, because
one of them says nothing of those around it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from math import inf, isfinite, nextafter

import msgspec

from feedbus.schema.events import Level

MAX_LEVELS = 10_000
"""The most levels that a side keeps unless it is told otherwise."""
LARGEST = nextafter(inf, 0.0)
"""The largest double that is a number."""
IN_ORDER = 64
"""How many of the best prices are put in order, to begin with. The list is too long when three times as many have come
besides."""
NEAR_LEVELS = 1000
"""Levels that are enough for who asks for the best ones only: the price seldom goes through so many of them before the
next full picture comes."""


class RangeDepth(msgspec.Struct, frozen=True):
    """What lies in a range of prices: the number of levels and the sum of their sizes (in the venue's unit of size).

    `complete` is False when the range goes beyond what is known of the side: there may be more than is counted here.
    """

    levels: int
    size: float
    complete: bool


class BookSide:
    """The bids or the asks of one book. Its levels are counted from the best one.

    `sizes` has the size of every level, by price, in no order. `near` has the best prices in ascending order: all that
    there are from the best one down to a certain price. It is empty only if the side is.
    """

    __slots__ = (
        "_first", "_highest", "_last", "_lowest", "_max", "_more", "_reach", "high", "is_bid", "low", "near", "sizes"
    )  # fmt: skip

    def __init__(self, *, is_bid: bool, max_levels: int = MAX_LEVELS, in_order: int = IN_ORDER) -> None:
        """A side of which nothing is known. When there are more than `max_levels` levels, the worst ones are forgotten,
        and the range that is known shrinks accordingly."""
        self.is_bid = is_bid
        self._max = max_levels
        self._reach = in_order  # how many prices are in `near` when it is made
        self._more = 3 * in_order  # how many more may come before it is made anew
        # self._first and self._last are the range of prices in which `near` has every level that is known, self._lowest
        # and self._highest that of the numbers from `low` to `high`: infinity is none, and costs no test of its own.
        self.forget()

    def __len__(self) -> int:
        """How many levels are known."""
        return len(self.sizes)

    @property
    def whole(self) -> bool:
        """Whether every level of the side is known, however far away."""
        return self.low == -inf and self.high == inf

    @property
    def best(self) -> Level | None:
        """The best level; None when the side is empty, and when its best level isn't known."""
        if not self.near:
            return None
        price = self.near[-1 if self.is_bid else 0]
        return price, self.sizes[price]

    def replace(self, levels: Iterable[Level], *, whole: bool) -> None:
        """Takes a full picture of the side, in any order. `whole`: there is no level besides these; otherwise nothing
        is known beyond the worst of them. A level of size 0 is none, and neither is one whose price isn't a finite
        number: it has no place in any order."""
        sizes = dict(levels)
        if 0 in sizes.values():
            sizes = {price: size for price, size in sizes.items() if size}
        if not isfinite(sum(sizes)):
            sizes = {price: size for price, size in sizes.items() if isfinite(price)}
        self.sizes = sizes
        # The levels from `low` to `high` are known. One of the two is infinite: nothing lies beyond the best level.
        if whole:
            self.low, self.high = -inf, inf
        elif self.is_bid:
            self.low, self.high = min(sizes, default=inf), inf
        else:
            self.low, self.high = -inf, max(sizes, default=-inf)
        self._arrange(self._max)

    def update(self, levels: Iterable[Level]) -> None:
        """Takes the new sizes of some levels. A size of 0 removes the level; a level beyond the known range is passed
        over, and so are one whose price isn't a finite number and the removal of one that isn't there."""
        sizes, near, first, last = self.sizes, self.near, self._first, self._last
        low, high = self._lowest, self._highest
        for price, size in levels:
            if price in sizes:
                if size:
                    sizes[price] = size
                else:
                    del sizes[price]
                    if first <= price <= last:
                        del near[bisect_left(near, price)]
            elif size and low <= price <= high:
                sizes[price] = size
                if first <= price <= last:
                    insort(near, price)
        most = self._max + (self._max >> 3)  # the worst levels aren't forgotten one by one: it means to sort them all
        if not 0 < len(near) <= self._reach + self._more or len(sizes) > most:
            self._arrange(most)

    def widen(self, levels: Collection[Level], *, whole: bool) -> bool:
        """Takes a full picture of the same moment if more is known by it than here, and returns whether it is."""
        other = BookSide(is_bid=self.is_bid, max_levels=self._max)
        other.replace(levels, whole=whole)
        if other.low >= self.low and other.high <= self.high:
            return False
        self.replace(levels, whole=whole)
        return True

    def forget(self) -> None:
        """Nothing is known of the side any more."""
        self.replace((), whole=False)

    def top(self, count: int | None = None) -> list[Level]:
        """The best `count` levels, or all that are known, best first."""
        sizes = self.sizes
        return [(price, sizes[price]) for price in self._best_prices(count)]

    def best_first(self) -> Iterator[Level]:
        """All levels that are known, one by one. Those far from the best one cost more, so whoever needs only the first
        ones doesn't pay for all."""
        sizes, near = self.sizes, self.near
        for price in reversed(near) if self.is_bid else near:
            yield price, sizes[price]
        if len(near) < len(sizes):
            yield from self.top()[len(near) :]

    def between(self, low: float, high: float) -> RangeDepth:
        """What lies at prices from `low` to `high`, both included."""
        prices = self._prices_between(low, high)
        size = sum(map(self.sizes.__getitem__, prices))
        return RangeDepth(len(prices), float(size), self.knows(low, high))

    def knows(self, low: float, high: float) -> bool:
        """Whether all levels at prices from `low` to `high` are known."""
        return self.low <= low and high <= self.high

    def volume(self, count: int) -> float | None:
        """The sum of the sizes of the best `count` levels, or of all where there are fewer; None when so many aren't
        known."""
        if count > len(self.sizes) and not self.whole:
            return None
        return float(sum(map(self.sizes.__getitem__, self._best_prices(count))))

    def _best_prices(self, count: int | None) -> Sequence[float]:
        if count is None:
            return sorted(self.sizes, reverse=self.is_bid)
        if count <= 0:
            return ()
        if len(self.near) < min(count, len(self.sizes)) and not self._reach_to(count):
            return sorted(self.sizes, reverse=self.is_bid)[:count]
        return self.near[: -count - 1 : -1] if self.is_bid else self.near[:count]

    def _prices_between(self, low: float, high: float) -> Sequence[float]:
        while not (self._first <= low and high <= self._last):
            if not self._reach_to(len(self.near)):
                return sorted(price for price in self.sizes if low <= price <= high)
        return self.near[bisect_left(self.near, low) : bisect_right(self.near, high)]

    def _reach_to(self, count: int) -> bool:
        """Keeps at least `count` of the best prices in order from now on. Returns False if that is half of the side:
        then it is cheaper to sort when it is asked for, since so many levels aren't read at every change."""
        if 2 * count >= len(self.sizes):
            return False
        self._reach = max(self._reach, 2 * count)  # twice, so that it isn't too few again as soon as one level goes
        self._arrange(len(self.sizes))
        return True

    def _arrange(self, most: int) -> None:
        """Puts the best prices in order. When there are more than `most`, the worst levels are forgotten, so that as
        many are left as may be."""
        prices = sorted(self.sizes)
        if len(prices) > most:
            kept = prices[-self._max :] if self.is_bid else prices[: self._max]
            for price in prices[: -self._max] if self.is_bid else prices[self._max :]:
                del self.sizes[price]
            self.low, self.high = (kept[0], inf) if self.is_bid else (-inf, kept[-1])
            prices = kept
        self._lowest, self._highest = max(self.low, -LARGEST), min(self.high, LARGEST)
        self._first, self._last = -inf, inf
        if len(prices) > self._reach:
            prices = prices[-self._reach :] if self.is_bid else prices[: self._reach]
            self._first, self._last = (prices[0], inf) if self.is_bid else (-inf, prices[-1])
        self.near = prices
