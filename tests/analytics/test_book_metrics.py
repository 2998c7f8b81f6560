"""Book metrics: a table of cases for each value, incomplete books, and properties that hold for any book."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics.book_metrics import of_book, of_quote, unknown
from feedbus.books.top_of_book import MAX_NUMBER
from feedbus.schema.events import BookMetrics, BookSnapshot, Level, Quote
from feedbus.testing.strategies import examples

LEVELS = (1, 2, 5)


def of_picture(
    bids: Sequence[Level], asks: Sequence[Level], levels: Sequence[int], whole: tuple[bool, bool] = (True, True)
) -> BookMetrics | None:
    event = BookSnapshot("fake", "A", 1, 2, list(bids), list(asks), None, *whole)
    return of_book(event, bids, asks, levels, bids_whole=whole[0], asks_whole=whole[1])


def metrics(
    bids: Sequence[Level],
    asks: Sequence[Level],
    levels: Sequence[int] = LEVELS,
    whole: tuple[bool, bool] = (True, True),
) -> BookMetrics:
    found = of_picture(bids, asks, levels, whole)
    assert found is not None
    return found


def quote(bid: float | None, bid_size: float | None, ask: float | None, ask_size: float | None) -> BookMetrics | None:
    return of_quote(Quote("fake", "A", 1, 2, bid, bid_size, ask, ask_size, None))


def test_every_value_of_a_book() -> None:
    assert metrics([(99.0, 1.0), (98.0, 2.0), (97.0, 4.0)], [(101.0, 3.0), (102.0, 5.0)]) == BookMetrics(
        "fake", "A", 1, 2,
        spread=2.0,
        relative_spread=0.02,
        mid=100.0,
        microprice=(99.0 * 3 + 101.0 * 1) / 4,
        levels=[1, 2, 5],
        bid_depth=[1.0, 3.0, 7.0],
        ask_depth=[3.0, 8.0, 8.0],
        imbalance=[-0.5, -5 / 11, -1 / 15],
        liquidity=99.0 + 196.0 + 388.0 + 303.0 + 510.0,
    )  # fmt: skip


def test_liquidity_is_of_the_deepest_level_asked_for() -> None:
    assert metrics([(10.0, 1.0), (9.0, 1.0)], [(11.0, 2.0), (12.0, 1.0)], (1,)).liquidity == 32.0


@pytest.mark.parametrize(
    ("whole", "levels", "bid_depth", "ask_depth"),
    [
        ((True, True), [1, 2, 5], [1.0, 1.0, 1.0], [3.0, 8.0, 8.0]),
        ((False, True), [1], [1.0], [3.0]),
        ((True, False), [1, 2], [1.0, 1.0], [3.0, 8.0]),
        ((False, False), [1], [1.0], [3.0]),
    ],
)
def test_depths_that_are_not_known_are_left_out(
    whole: tuple[bool, bool], levels: list[int], bid_depth: list[float], ask_depth: list[float]
) -> None:
    found = metrics([(99.0, 1.0)], [(101.0, 3.0), (102.0, 5.0)], whole=whole)
    assert (found.levels, found.bid_depth, found.ask_depth) == (levels, bid_depth, ask_depth)
    assert found.liquidity == (99.0 + 303.0 + 510.0 if levels[-1] == 5 else None)
    assert (found.spread, found.mid) == (2.0, 100.0)
    assert len(found.imbalance) == len(levels)


BEST = ("spread", "relative_spread", "mid", "microprice")


@pytest.mark.parametrize(
    ("bids", "asks", "best"),
    [
        ([], [], (None, None, None, None)),
        ([(99.0, 1.0)], [], (None, None, None, None)),
        ([], [(99.0, 1.0)], (None, None, None, None)),
        ([(101.0, 1.0)], [(99.0, 1.0)], (None, None, None, None)),  # crossed
        ([(100.0, 1.0)], [(100.0, 3.0)], (0.0, 0.0, 100.0, 100.0)),  # locked
        ([(-2.0, 1.0)], [(-1.0, 1.0)], (1.0, None, -1.5, -1.5)),
        ([(-1.0, 1.0)], [(1.0, 1.0)], (2.0, None, 0.0, 0.0)),
        ([(99.0, 0.0)], [(101.0, 0.0)], (2.0, 0.02, 100.0, None)),
        ([(99.0, 0.0)], [(101.0, 5.0)], (2.0, 0.02, 100.0, 99.0)),
        ([(0.0, 1.0)], [(5e-324, 1.0)], (5e-324, None, 0.0, 0.0)),
    ],
)
def test_the_best_level_of_books_that_are_special(
    bids: list[Level], asks: list[Level], best: tuple[float | None, ...]
) -> None:
    found = metrics(bids, asks)
    assert tuple(getattr(found, name) for name in BEST) == best


@pytest.mark.parametrize(
    ("bids", "asks", "imbalance", "liquidity"),
    [
        ([], [], None, 0.0),
        ([(99.0, 2.0)], [], 1.0, 198.0),
        ([], [(99.0, 2.0)], -1.0, 198.0),
        ([(99.0, 0.0)], [(101.0, 0.0)], None, 0.0),
        ([(101.0, 3.0)], [(99.0, 1.0)], 0.5, 402.0),  # crossed: what is on offer is still known
    ],
)
def test_depths_of_books_that_are_special(
    bids: list[Level], asks: list[Level], imbalance: float | None, liquidity: float
) -> None:
    found = metrics(bids, asks, (1,))
    assert found.imbalance == [imbalance]
    assert found.liquidity == liquidity
    assert found.bid_depth == [sum(size for _, size in bids)]
    assert found.ask_depth == [sum(size for _, size in asks)]


@pytest.mark.parametrize("bad", [(nan, 1.0), (inf, 1.0), (-inf, 1.0), (1.0, nan), (1.0, inf), (inf, 0.0), (1.0, -1.0)])
@pytest.mark.parametrize("at", [0, 1])
def test_a_book_with_numbers_that_are_none_has_no_metrics(bad: Level, at: int) -> None:
    bids: list[Level] = [(100.0, 1.0), (99.0, 1.0)]
    asks: list[Level] = [(101.0, 1.0), (102.0, 1.0)]
    for side in (bids, asks):
        kept, side[at] = side[at], bad
        assert of_picture(bids, asks, LEVELS) is None
        side[at] = kept
    assert metrics(bids, asks).mid == 100.5


def test_sizes_whose_sum_would_be_infinite_are_garbage_too() -> None:
    bids: list[Level] = [(0.0, 1e308)] * 2
    assert of_picture(bids, [], LEVELS) is None


@pytest.mark.parametrize(
    ("sides", "best", "depths"),
    [
        ((99.0, 1.0, 101.0, 3.0), (2.0, 0.02, 100.0, 99.5), ([1], [1.0], [3.0], [-0.5], 402.0)),
        ((99.0, 1.0, None, None), (None, None, None, None), ([1], [1.0], [0.0], [1.0], 99.0)),
        ((None, None, 101.0, 3.0), (None, None, None, None), ([1], [0.0], [3.0], [-1.0], 303.0)),
        ((None, None, None, None), (None, None, None, None), ([1], [0.0], [0.0], [None], 0.0)),
        ((99.0, None, 101.0, 3.0), (2.0, 0.02, 100.0, None), ([], [], [], [], None)),
        ((99.0, None, 101.0, None), (2.0, 0.02, 100.0, None), ([], [], [], [], None)),
        ((99.0, None, None, None), (None, None, None, None), ([], [], [], [], None)),
        ((101.0, 1.0, 99.0, 1.0), (None, None, None, None), ([1], [1.0], [1.0], [0.0], 200.0)),
    ],
)
def test_a_quote_is_a_book_of_one_level(
    sides: tuple[Any, Any, Any, Any], best: tuple[float | None, ...], depths: tuple[Any, ...]
) -> None:
    found = quote(*sides)
    assert found is not None
    assert tuple(getattr(found, name) for name in BEST) == best
    assert (found.levels, found.bid_depth, found.ask_depth, found.imbalance, found.liquidity) == depths


@pytest.mark.parametrize("sides", [(nan, 1.0, 2.0, 1.0), (1.0, nan, 2.0, 1.0), (1.0, -1.0, 2.0, 1.0)])
def test_a_quote_with_numbers_that_are_none_has_no_metrics(sides: tuple[float, float, float, float]) -> None:
    assert quote(*sides) is None


@pytest.mark.parametrize("bid", [nan, -inf, -2 * MAX_NUMBER])
def test_a_quote_without_sizes_never_says_a_number_that_is_none(bid: float) -> None:
    found = quote(bid, None, 2.0, None)
    assert found is not None
    assert tuple(getattr(found, name) for name in BEST) == (None, None, None, None)


def test_what_is_unknown_has_no_values_and_no_levels() -> None:
    found = unknown(BookSnapshot("fake", "A", 1, 2, [(1.0, 1.0)], [], None))
    assert found == BookMetrics("fake", "A", 1, 2, None, None, None, None, [], [], [], [], None)


ANY_SIDE = st.lists(st.tuples(st.floats(), st.floats()), max_size=7)
PRICE = st.floats(-1e90, 1e90) | st.floats(0, 1000)
SIDE = st.lists(st.tuples(PRICE, st.floats(0, 1e90) | st.floats(0, 10)), max_size=7)
ANY_LEVELS = st.sets(st.integers(1, 9), min_size=1, max_size=4).map(sorted)


WHOLE = st.tuples(st.booleans(), st.booleans())


@given(ANY_SIDE | SIDE, ANY_SIDE | SIDE, ANY_LEVELS, WHOLE)
@examples(300)
def test_whatever_the_book_no_value_is_infinite_or_nan(
    bids: list[Level], asks: list[Level], levels: list[int], whole: tuple[bool, bool]
) -> None:
    found = of_picture(bids, asks, levels, whole)
    if found is None:
        return
    numbers = [found.spread, found.relative_spread, found.mid, found.microprice, found.liquidity]
    numbers += found.bid_depth + found.ask_depth + found.imbalance
    assert all(number is None or isfinite(number) for number in numbers)


@given(SIDE, SIDE, ANY_LEVELS, WHOLE)
@examples(200)
def test_what_holds_of_all_books(
    bids: list[Level], asks: list[Level], levels: list[int], whole: tuple[bool, bool]
) -> None:
    found = metrics(bids, asks, levels, whole)
    known = [
        level
        for level in levels
        if all(each or level <= len(side) for side, each in zip((bids, asks), whole, strict=True))
    ]
    assert found.levels == known
    assert (found.liquidity is not None) == (known == levels)
    for sizes, depth in ((bids, found.bid_depth), (asks, found.ask_depth)):
        assert depth == [pytest.approx(sum(size for _, size in sizes[:level])) for level in known]
        assert depth == sorted(depth)
    assert all(value is None or -1 <= value <= 1 for value in found.imbalance)
    if found.spread is not None:
        bid, ask = bids[0][0], asks[0][0]
        assert found.spread >= 0
        assert found.mid is not None
        assert bid <= found.mid <= ask
        assert found.microprice is None or bid <= found.microprice <= ask
        assert found.relative_spread is None or found.relative_spread >= 0
