# mypy: disable-error-code="import-not-found, import-untyped, no-any-unimported, misc"
"""One side of an order book in several ways, as book_structures.py measures them; and one turn of one of them.

    python -m tests.bench.structures NAME < CHANGES

A turn is a process. What comes on standard input is a pickled Changes; one line of JSON goes out. Each way is imported
when it is asked for, because it may be in an environment of its own, without feedbus. Every level that is shown is
kept: none is beyond what is known.
"""

from __future__ import annotations

import json
import pickle
import sys
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from pathlib import Path
from time import process_time_ns
from typing import Any, Protocol

Level = tuple[float, float]
Changes = tuple[list[Level], list[Level], list[tuple[list[Level], list[Level]]]]
"""Bids, asks, and the changed bids and asks of each message."""

NONE: Level = (0.0, 0.0)
BOOKS = 500
ROUNDS = 3


class Side(Protocol):
    """What is measured. Levels come best first."""

    def update(self, levels: Iterable[Level]) -> None: ...
    def best(self) -> Level: ...
    def top(self, count: int) -> Sequence[Level]: ...


class Ours:
    """feedbus.books.book_side.BookSide."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        from feedbus.books.book_side import BookSide

        self.side = BookSide(is_bid=is_bid)
        self.side.replace(levels, whole=True)
        self.update = self.side.update
        self.top = self.side.top

    def best(self) -> Level:
        return self.side.best or NONE


class SortedList:
    """Sizes in a dict, and all prices in a sorted list, by bisection."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        self.is_bid = is_bid
        self.sizes = dict(levels)
        self.prices = sorted(self.sizes)

    def update(self, levels: Iterable[Level]) -> None:
        sizes, prices = self.sizes, self.prices
        for price, size in levels:
            if price in sizes:
                if size:
                    sizes[price] = size
                else:
                    del sizes[price]
                    del prices[bisect_left(prices, price)]
            elif size:
                sizes[price] = size
                insort(prices, price)

    def best(self) -> Level:
        if not self.prices:
            return NONE
        price = self.prices[-1 if self.is_bid else 0]
        return price, self.sizes[price]

    def top(self, count: int) -> Sequence[Level]:
        sizes = self.sizes
        return [
            (price, sizes[price]) for price in (self.prices[: -count - 1 : -1] if self.is_bid else self.prices[:count])
        ]


class SortedWhenAsked:
    """Sizes in a dict, whose prices are sorted when somebody asks for the best ones."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        self.is_bid = is_bid
        self.sizes = dict(levels)
        self.ranked: list[float] | None = None

    def update(self, levels: Iterable[Level]) -> None:
        sizes = self.sizes
        for price, size in levels:
            if size:
                sizes[price] = size
            else:
                sizes.pop(price, None)
        self.ranked = None

    def best(self) -> Level:
        if not self.sizes:
            return NONE
        price = max(self.sizes) if self.is_bid else min(self.sizes)
        return price, self.sizes[price]

    def top(self, count: int) -> Sequence[Level]:
        sizes = self.sizes
        if self.ranked is None:
            self.ranked = sorted(sizes, reverse=self.is_bid)
        return [(price, sizes[price]) for price in self.ranked[:count]]


class Heap(SortedWhenAsked):
    """Sizes in a dict, and a heap for the best price. Prices that are gone leave it when they are its first. More than
    the best one is sorted when it is asked for."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        super().__init__(is_bid, levels)
        self.sign = -1.0 if is_bid else 1.0
        self.heap: list[float] = []
        self.make()

    def make(self) -> None:
        self.heap = [self.sign * price for price in self.sizes]
        heapify(self.heap)

    def update(self, levels: Iterable[Level]) -> None:
        sizes, heap, sign = self.sizes, self.heap, self.sign
        for price, size in levels:
            if price in sizes:
                if size:
                    sizes[price] = size
                else:
                    del sizes[price]
            elif size:
                sizes[price] = size
                heappush(heap, sign * price)
        self.ranked = None
        if len(heap) > 2 * len(sizes) + 64:
            self.make()

    def best(self) -> Level:
        sizes, heap, sign = self.sizes, self.heap, self.sign
        while heap and sign * heap[0] not in sizes:
            heappop(heap)
        return (sign * heap[0], sizes[sign * heap[0]]) if heap else NONE


class TwoLists:
    """Prices in a sorted list, and their sizes in the same order in another one, by bisection."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        self.is_bid = is_bid
        ordered = sorted(levels)
        self.prices: Any = self.column(price for price, _ in ordered)
        self.sizes: Any = self.column(size for _, size in ordered)

    def column(self, values: Iterable[float]) -> Any:
        return list(values)

    def update(self, levels: Iterable[Level]) -> None:
        prices, sizes = self.prices, self.sizes
        for price, size in levels:
            at = bisect_left(prices, price)
            if at < len(prices) and prices[at] == price:
                if size:
                    sizes[at] = size
                else:
                    del prices[at], sizes[at]
            elif size:
                prices.insert(at, price)
                sizes.insert(at, size)

    def best(self) -> Level:
        at = -1 if self.is_bid else 0
        return (self.prices[at], self.sizes[at]) if self.prices else NONE

    def top(self, count: int) -> Sequence[Level]:
        part = slice(None, -count - 1, -1) if self.is_bid else slice(count)
        return list(zip(self.prices[part], self.sizes[part], strict=True))


class TwoArrays(TwoLists):
    """The same with arrays of doubles."""

    def column(self, values: Iterable[float]) -> Any:
        return array("d", values)


class Mapping:
    """Something that is like a dict and keeps its keys in order. Those of bids are negative prices."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        self.sign = -1.0 if is_bid else 1.0
        self.sizes = self.make()
        self.update(levels)

    def make(self) -> Any:
        raise NotImplementedError

    def update(self, levels: Iterable[Level]) -> None:
        sizes, sign = self.sizes, self.sign
        for price, size in levels:
            key = sign * price
            if size:
                sizes[key] = size
            elif key in sizes:
                del sizes[key]

    def best(self) -> Level:
        for price, size in self.first(1):
            return self.sign * price, size
        return NONE

    def top(self, count: int) -> Sequence[Level]:
        sign = self.sign
        return [(sign * price, size) for price, size in self.first(count)]

    def first(self, count: int) -> Iterable[Level]:
        return islice(self.sizes.items(), count)


class SortedContainers(Mapping):
    """sortedcontainers.SortedDict."""

    def make(self) -> Any:
        from sortedcontainers import SortedDict

        return SortedDict()

    def best(self) -> Level:
        if not self.sizes:
            return NONE
        price, size = self.sizes.peekitem(0)
        return self.sign * price, size


class BTree(Mapping):
    """BTrees.OOBTree."""

    def make(self) -> Any:
        from BTrees.OOBTree import OOBTree

        return OOBTree()

    def first(self, count: int) -> Iterable[Level]:
        return islice(self.sizes.iteritems(), count)

    def best(self) -> Level:
        if not self.sizes:
            return NONE
        price = self.sizes.minKey()
        return self.sign * price, self.sizes[price]


class RedBlackTree(Mapping):
    """sorteddict.SortedDict."""

    def make(self) -> Any:
        from sorteddict import SortedDict

        return SortedDict()


class CryptofeedBook:
    """order_book.SortedDict, which cryptofeed uses. Its licence is the GPL."""

    def __init__(self, is_bid: bool, levels: Iterable[Level]) -> None:
        from order_book import SortedDict

        self.sizes = SortedDict(ordering="DESC" if is_bid else "ASC")
        self.update(levels)

    def update(self, levels: Iterable[Level]) -> None:
        sizes = self.sizes
        for price, size in levels:
            if size:
                sizes[price] = size
            elif price in sizes:
                del sizes[price]

    def best(self) -> Level:
        found: Level = self.sizes.index(0) if len(self.sizes) else NONE
        return found

    def top(self, count: int) -> Sequence[Level]:
        sizes = self.sizes
        return [sizes.index(at) for at in range(min(count, len(sizes)))]


STRUCTURES: dict[str, Callable[[bool, Iterable[Level]], Side]] = {
    "feedbus": Ours,
    "dict and sorted list": SortedList,
    "dict, sorted when asked": SortedWhenAsked,
    "dict and heap": Heap,
    "two lists": TwoLists,
    "two arrays": TwoArrays,
    "sortedcontainers": SortedContainers,
    "BTrees": BTree,
    "sorteddict": RedBlackTree,
    "order_book": CryptofeedBook,
}


def best(number: int, bids: Side, asks: Side) -> object:
    return bids.best(), asks.best()


def top_10(number: int, bids: Side, asks: Side) -> object:
    return tuple(bids.top(10)), tuple(asks.top(10))


def top_100(number: int, bids: Side, asks: Side) -> object:
    """The best prices each time, and a hundred levels each fiftieth time."""
    return best(number, bids, asks) if number % 50 else (tuple(bids.top(100)), tuple(asks.top(100)))


QUESTIONS = (best, top_10, top_100)


def play(
    make: Callable[[bool, Iterable[Level]], Side], changes: Changes, ask: Callable[[int, Side, Side], object]
) -> tuple[float, int]:
    """CPU microseconds a message, with the question asked after each, and a hash of the answers, which is taken in a
    second run."""
    bids, asks, messages = changes
    least = float("inf")
    for _ in range(ROUNDS):
        bid_side, ask_side = make(True, bids), make(False, asks)
        begin = process_time_ns()
        for number, (changed_bids, changed_asks) in enumerate(messages):
            bid_side.update(changed_bids)
            ask_side.update(changed_asks)
            ask(number, bid_side, ask_side)
        least = min(least, (process_time_ns() - begin) / len(messages) / 1000)
    bid_side, ask_side = make(True, bids), make(False, asks)
    answers = 0
    for number, (changed_bids, changed_asks) in enumerate(messages):
        bid_side.update(changed_bids)
        ask_side.update(changed_asks)
        answers = hash((answers, ask(number, bid_side, ask_side)))
    return least, answers


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def memory(make: Callable[[bool, Iterable[Level]], Side], changes: Changes) -> float:
    """Megabytes of so many books, each with numbers of its own."""
    bids, asks, _ = changes
    kept = [make(True, bids)]
    before = resident()
    for _ in range(BOOKS):
        for is_bid, levels in ((True, bids), (False, asks)):
            kept.append(make(is_bid, [(price + 0.0, size + 0.0) for price, size in levels]))
    return (resident() - before) / 2**20


def main() -> None:
    """One turn."""
    make = STRUCTURES[sys.argv[1]]
    changes: Changes = pickle.load(sys.stdin.buffer)
    megabytes = memory(make, changes)
    played = [play(make, changes, ask) for ask in QUESTIONS]
    said = {"megabytes": megabytes, "cpu_us": [us for us, _ in played], "answers": [answers for _, answers in played]}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
