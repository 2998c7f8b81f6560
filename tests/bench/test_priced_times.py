"""Times that are written as prices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedbus.bench.priced_times import WRAP, number_of, passed, price_of

TIMES = st.integers(10**18, 4 * 10**18)


@given(TIMES)
def test_a_time_survives_as_a_double_and_always_has_as_many_digits(time: int) -> None:
    written = price_of(time)
    assert len(written) == len("1234567.89012345")
    assert number_of(float(written)) == WRAP + time % WRAP


@given(TIMES, st.integers(0, WRAP - 1))
def test_what_has_passed_is_told_over_a_new_beginning_too(time: int, later: int) -> None:
    assert passed(float(price_of(time)), time + later) == later


@given(st.integers(1, WRAP - 1))
def test_the_number_of_a_round_stays_what_it_is(number: int) -> None:
    assert number_of(float(price_of(number))) == number
