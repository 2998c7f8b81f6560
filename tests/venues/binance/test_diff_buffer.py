"""The buffered changes: a snapshot of any moment in their range becomes the book of their last update."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Level
from feedbus.testing.strategies import examples
from feedbus.venues.binance import diff_buffer
from feedbus.venues.binance.depth import DepthSnapshot, DepthUpdate
from feedbus.venues.binance.diff_buffer import DiffBuffer

CHANGE = st.tuples(st.booleans(), st.integers(1, 6).map(float), st.sampled_from([0.0, 1.0, 2.0]))


@examples(200)
@given(changes=st.lists(CHANGE, max_size=14), cuts=st.sets(st.integers(1, 14)), asked_at=st.integers(0, 14))
def test_a_snapshot_of_any_moment_becomes_the_book_of_the_last_update(
    changes: list[tuple[bool, float, float]], cuts: set[int], asked_at: int
) -> None:
    """Each change has an update id, from 1 on; a message holds those between two cuts."""
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    moments: list[list[dict[float, float]]] = [[{}, {}]]
    for is_bid, price, size in changes:
        side = sides[0 if is_bid else 1]
        side[price + (0 if is_bid else 100)] = size
        moments.append([{price: size for price, size in each.items() if size} for each in sides])
    edges = sorted({0, len(changes), *(cut for cut in cuts if cut < len(changes))})
    buffer = DiffBuffer(after=0)
    for start, end in pairwise(edges):
        newest: tuple[dict[float, float], dict[float, float]] = ({}, {})
        for is_bid, price, size in changes[start:end]:
            newest[0 if is_bid else 1][price + (0 if is_bid else 100)] = size
        assert buffer.add(
            DepthUpdate(time=0, first=start + 1, last=end, bids=list(newest[0].items()), asks=list(newest[1].items()))
        )
    shown = moments[min(asked_at, len(changes))]
    snapshot = DepthSnapshot(min(asked_at, len(changes)), [*shown[0].items()], [*shown[1].items()])
    book = buffer.book(snapshot, levels=100)
    assert [dict(book.bids.top()), dict(book.asks.top())] == moments[-1]
    assert (buffer.first, buffer.last, book.bids.whole, book.asks.whole) == (1, len(changes), True, True)


def test_it_says_when_there_are_too_many_prices_and_a_full_snapshot_is_not_whole() -> None:
    buffer = DiffBuffer()
    assert (buffer.first, buffer.last) == (None, None)
    most: list[Level] = [(float(price), 1.0) for price in range(1, diff_buffer.MAX_PRICES + 1)]
    assert buffer.add(DepthUpdate(time=0, first=5, last=6, bids=most, asks=[]))
    assert not buffer.add(DepthUpdate(time=0, first=7, last=7, bids=[], asks=[(1e6, 1.0)]))
    book = DiffBuffer(after=6).book(DepthSnapshot(6, [(2.0, 1.0), (1.0, 1.0)], [(3.0, 1.0)]), levels=2)
    assert (book.bids.whole, book.asks.whole, book.known_range[0]) == (False, True, 1.0)
