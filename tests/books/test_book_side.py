"""One side of a book against a naive one: a dict of what was shown, and of which prices it is known."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.book_side import BookSide, RangeDepth
from feedbus.testing.strategies import examples

PRICES = st.integers(1, 12).map(float)
SIZES = st.sampled_from([0.0, 1.0, 2.5, 7.0])
LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=8)


class NaiveSide:
    """A dict, a set of the prices that are known, and nothing clever."""

    def __init__(self, is_bid: bool, most: int) -> None:
        self.is_bid, self.most = is_bid, most
        self.sizes: dict[float, float] = {}
        self.known: tuple[float, float] = (inf, -inf)

    def ranked(self) -> list[tuple[float, float]]:
        return sorted(self.sizes.items(), reverse=self.is_bid)

    def replace(self, levels: list[tuple[float, float]], whole: bool) -> None:
        self.sizes = {price: size for price, size in dict(levels).items() if size}
        worst = [price for price, _ in self.ranked()][-1:]
        nothing = (inf, inf) if self.is_bid else (-inf, -inf)
        edge = ((worst[0], inf) if self.is_bid else (-inf, worst[0])) if worst else nothing
        self.known = (-inf, inf) if whole else edge
        self.shorten(self.most)

    def update(self, levels: list[tuple[float, float]]) -> None:
        low, high = self.known
        for price, size in levels:
            if low <= price <= high:
                self.sizes[price] = size
                if not size:
                    del self.sizes[price]
        if len(self.sizes) > self.most + self.most // 8:
            self.shorten(self.most)

    def shorten(self, most: int) -> None:
        if len(self.sizes) > most:
            kept = self.ranked()[:most]
            self.sizes = dict(kept)
            self.known = (kept[-1][0], inf) if self.is_bid else (-inf, kept[-1][0])


@examples(300)
@given(
    is_bid=st.booleans(),
    most=st.sampled_from([3, 8, 100]),
    in_order=st.sampled_from([1, 2, 64]),
    first=LEVELS,
    whole=st.booleans(),
    updates=st.lists(LEVELS, max_size=6),
    low=PRICES,
    reach=st.integers(0, 6),
    count=st.integers(0, 9),
)
def test_a_side_equals_a_naive_one_and_never_answers_from_beyond_what_is_known(
    is_bid: bool,
    most: int,
    in_order: int,
    first: list[tuple[float, float]],
    whole: bool,
    updates: list[list[tuple[float, float]]],
    low: float,
    reach: int,
    count: int,
) -> None:
    side, naive = BookSide(is_bid=is_bid, max_levels=most, in_order=in_order), NaiveSide(is_bid, most)
    side.replace(first, whole=whole)
    naive.replace(first, whole)
    for levels in [[], *updates]:
        side.update(levels)
        naive.update(levels)
        ranked = naive.ranked()
        assert (side.top(), (side.low, side.high)) == (ranked, naive.known)
        assert side.whole == (naive.known == (-inf, inf))
        assert side.near == sorted(price for price, _ in ranked[: len(side.near)])
        assert side.best == (ranked[0] if ranked else None)
        assert list(side.best_first()) == ranked
        assert side.top(count) == ranked[:count]
        assert len(side) == len(ranked) == len(side.sizes) <= most + most // 8
        known = side.whole or count <= len(ranked)
        assert side.volume(count) == (sum(size for _, size in ranked[:count]) if known else None)
        inside = [size for price, size in ranked if low <= price <= low + reach]
        complete = naive.known[0] <= low and low + reach <= naive.known[1]
        assert side.between(low, low + reach) == RangeDepth(len(inside), sum(inside), complete)


def test_nothing_is_known_of_a_new_side_and_of_one_that_was_forgotten() -> None:
    for is_bid in (True, False):
        side = BookSide(is_bid=is_bid)
        for _ in range(2):
            side.update([(1.0, 1.0)])
            assert (side.best, side.whole, side.volume(1), side.knows(1.0, 1.0)) == (None, False, None, False)
            side.replace([(1.0, 1.0)], whole=True)
            side.forget()


@pytest.mark.parametrize("is_bid", [True, False])
def test_only_so_many_prices_are_kept_in_order_as_have_been_asked_for(is_bid: bool) -> None:
    outward = -1.0 if is_bid else 1.0
    levels = [(1000 + outward * number, 1.0) for number in range(500)]
    side = BookSide(is_bid=is_bid, in_order=10)
    side.replace(levels, whole=True)
    assert (len(side.near), len(side.top()), len(list(side.best_first()))) == (10, 500, 500)
    for price, _ in levels[:9]:
        side.update([(price, 0.0)])
        assert side.volume(1) == 1
    assert len(side.near) == 1
    side.update([(1000 + outward * 9, 0.0)])
    assert (side.best, len(side.near)) == ((1000 + outward * 10, 1.0), 10)
    side.update([(1000 - outward * number, 1.0) for number in range(60)])
    assert (side.best, len(side.near)) == ((1000 - outward * 59, 1.0), 10)
    assert (len(side.top(30)), len(side.near)) == (30, 60)
    assert (side.between(*sorted((1000.0, 1000 - outward * 59))).levels, len(side.near)) == (60, 60)
    assert (side.between(*sorted((1000 + outward * 50, 1000 - outward * 59))).levels, len(side.near)) == (101, 120)
    for count in (300, 500, 600):  # half of the side and more is sorted when it is asked for
        assert (len(side.top(count)), len(side.near)) == (min(count, len(side)), 120)
    assert (side.between(0.0, 2000.0).levels, len(side.near)) == (len(side), 480)


@pytest.mark.parametrize("is_bid", [True, False])
def test_a_whole_side_that_is_empty_is_known_to_be_empty(is_bid: bool) -> None:
    side = BookSide(is_bid=is_bid)
    side.replace([(1.0, 0.0)], whole=True)
    assert (side.best, len(side), side.volume(3), side.between(-5.0, 5.0)) == (None, 0, 0.0, RangeDepth(0, 0.0, True))


@pytest.mark.parametrize("is_bid", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_price_that_is_no_number_is_no_level(is_bid: bool, whole: bool, bad: float) -> None:
    side = BookSide(is_bid=is_bid, in_order=1)
    side.update([(bad, 1.0)])
    assert (side.best, len(side)) == (None, 0)
    side.replace([(bad, 1.0), (2.0, 1.0), (bad, 2.0), (1.0, 3.0), (-bad, 1.0)], whole=whole)
    side.update([(2.0, 0.0), (bad, 1.0), (1.5, 1.0), (bad, 0.0)])
    assert side.top() == ([(1.5, 1.0), (1.0, 3.0)] if is_bid else [(1.0, 3.0), (1.5, 1.0)])


@pytest.mark.parametrize("is_bid", [True, False])
def test_a_side_takes_a_picture_of_the_same_moment_only_if_it_is_wider_than_what_it_may_keep(is_bid: bool) -> None:
    levels = [(100.0 + (-number if is_bid else number), 1.0) for number in range(9)]
    side = BookSide(is_bid=is_bid, max_levels=4)
    for shown, whole, wider, known in (
        (2, False, True, 2),
        (1, True, True, 1),
        (3, False, False, 1),
        (9, True, False, 1),
    ):
        assert (side.widen(levels[:shown], whole=whole), len(side)) == (wider, known)
    side.forget()
    for shown, whole, wider, known in (
        (3, False, True, 3),
        (9, False, True, 4),
        (9, True, False, 4),
        (2, False, False, 4),
    ):
        assert (side.widen(levels[:shown], whole=whole), len(side)) == (wider, known)


@pytest.mark.parametrize("is_bid", [True, False])
def test_a_whole_side_that_outgrows_its_bound_is_not_whole_any_more(is_bid: bool) -> None:
    outward = -1.0 if is_bid else 1.0
    side = BookSide(is_bid=is_bid, max_levels=8)
    side.replace([(100.0, 1.0)], whole=True)
    for number in range(1, 9):
        side.update([(100.0 + outward * number, 1.0)])
        assert (side.whole, side.volume(50)) == (True, number + 1.0)
    side.update([(100.0 + outward * 9, 1.0)])
    worst = 100.0 + outward * 7
    assert (side.whole, len(side), side.volume(50), side.volume(8)) == (False, 8, None, 8.0)
    assert (side.low, side.high) == ((worst, inf) if is_bid else (-inf, worst))
    assert (side.knows(worst, worst), side.knows(worst + outward, worst + outward)) == (True, False)
    side.update([(100.0 + outward * 8, 5.0), (100.0, 0.0)])  # what was forgotten comes no more
    assert (side.whole, len(side), side.volume(8), side.volume(7)) == (False, 7, None, 7.0)
