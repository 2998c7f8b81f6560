"""Differences of decimal numbers are decimal numbers, however they are stored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.books.decimals import difference
from feedbus.books.top_of_book import of_best

DIGITS = st.integers(0, 10**15 - 1)
DECIMALS = st.integers(0, 12)


@given(DIGITS, DIGITS, DECIMALS)
def test_a_spread_has_exactly_the_decimals_of_its_prices(one: int, other: int, decimals: int) -> None:
    bid, ask = (Decimal(digits).scaleb(-decimals) for digits in sorted((one, other)))
    assert Decimal(repr(difference(float(ask), float(bid)))) == ask - bid
    assert Decimal(repr(difference(float(bid), float(ask)))) == bid - ask
    spread, _, _, _ = of_best(float(bid), 1.0, float(ask), 1.0)
    assert Decimal(repr(spread)) == ask - bid


@given(st.integers(1, 10**13), st.integers(0, 1000), DECIMALS)
def test_a_mid_has_one_decimal_more_and_equal_sizes_have_it_as_their_microprice(
    low: int, step: int, decimals: int
) -> None:
    bid, ask = (Decimal(digits).scaleb(-decimals) for digits in (low, low + step))
    _, _, mid, micro = of_best(float(bid), 3.0, float(ask), 3.0)
    assert Decimal(repr(mid)) == (bid + ask) / 2
    assert micro == mid


@pytest.mark.parametrize(
    ("bid", "ask", "spread", "mid"),
    [
        (100.01, 100.02, 0.01, 100.015),
        (0.1, 0.3, 0.2, 0.2),
        (61837.63, 61837.64, 0.01, 61837.635),
        (0.00001234, 0.00001235, 1e-8, 0.000012345),
        (-37.64, -37.63, 0.01, -37.635),
        (-0.3, 0.1, 0.4, -0.1),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_what_people_see(bid: float, ask: float, spread: float, mid: float) -> None:
    assert of_best(bid, 1.0, ask, 2.0)[0::2] == (spread, mid)


@given(st.floats(0, 1e100), st.floats(0, 1e100))
def test_rounding_changes_no_more_than_the_last_digits(one: float, other: float) -> None:
    found, largest = difference(one, other), max(one, other)
    assert abs(found - (one - other)) <= 5e-15 * largest or abs(found - (one - other)) <= 1e-22
