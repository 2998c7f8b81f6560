"""The formulas of the best level where they have no meaning; tests/books/test_decimals.py has their decimals."""

from __future__ import annotations

from math import inf, nan

import pytest

from feedbus.books.top_of_book import UNDEFINED, of_best


@pytest.mark.parametrize(("bid", "ask"), [(2.0, 1.0), (nan, 1.0), (1.0, nan), (-inf, 1.0), (1.0, inf), (1.0, 1e101)])
def test_a_crossed_book_and_numbers_of_no_market_have_no_metrics(bid: float, ask: float) -> None:
    assert of_best(bid, 1.0, ask, 1.0) == UNDEFINED


def test_a_locked_book_has_a_spread_of_nothing_and_sizes_of_nothing_have_no_microprice() -> None:
    assert of_best(100.0, 1.0, 100.0, 3.0) == (0.0, 0.0, 100.0, 100.0)
    assert of_best(99.0, 0.0, 101.0, 0.0) == (2.0, 0.02, 100.0, None)
    assert of_best(-1.0, 1.0, 1.0, 1.0) == (2.0, None, 0.0, 0.0)
