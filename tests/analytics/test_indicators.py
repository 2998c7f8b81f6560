"""Moving averages: tables of cases, and properties that hold for any closes."""

from __future__ import annotations

import statistics
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics.indicators import INDICATORS, Ema, IndicatorName, MovingAverage, Sma
from feedbus.testing.strategies import examples

CLOSES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("indicator", "closes", "values"),
    [
        (Sma(1), [1.0, 5.0, 3.0], [1.0, 5.0, 3.0]),
        (Sma(3), [1.0, 2.0, 6.0, 4.0, -1.0], [None, None, 3.0, 4.0, 3.0]),
        (Ema(1), [1.0, 5.0, 3.0], [1.0, 5.0, 3.0]),
        # alpha is 1/2: the mean of 1, 2, 6 is 3; 3 + (4 - 3) / 2; 3.5 + (-1 - 3.5) / 2
        (Ema(3), [1.0, 2.0, 6.0, 4.0, -1.0], [None, None, 3.0, 3.5, 1.25]),
        (Ema(9), [10.0] * 9 + [20.0], [None] * 8 + [10.0, 12.0]),  # alpha is 1/5
    ],
)
def test_values(indicator: MovingAverage, closes: list[float], values: list[float | None]) -> None:
    assert [indicator.add(close) for close in closes] == values


@pytest.mark.parametrize("name", get_args(IndicatorName))
def test_every_name_makes_an_indicator_of_the_window(name: IndicatorName) -> None:
    indicator = INDICATORS[name](4)
    assert indicator.window == 4
    assert [indicator.add(close) for close in (1.0, 2.0, 3.0, 6.0)] == [None, None, None, 3.0]


@pytest.mark.parametrize("name", get_args(IndicatorName))
@given(CLOSES, st.integers(1, 30), st.data())
@examples(60)
def test_a_corrected_close_is_as_if_it_had_been_the_first(
    name: IndicatorName, closes: list[float], window: int, data: st.DataObject
) -> None:
    plain, corrected = INDICATORS[name](window), INDICATORS[name](window)
    for close in closes:
        expected = plain.add(close)
        value = corrected.add(data.draw(st.sampled_from([close, close + 1, 0.0])))
        for _ in range(data.draw(st.integers(0, 2))):
            value = corrected.replace(close + 2)
        value = corrected.replace(close)
        assert value == expected


@given(CLOSES, st.integers(1, 30))
@examples(60)
def test_the_simple_average_is_the_mean_of_the_last_closes(closes: list[float], window: int) -> None:
    sma = Sma(window)
    for number, close in enumerate(closes, 1):
        value = sma.add(close)
        if number < window:
            assert value is None
        else:
            assert value == pytest.approx(statistics.fmean(closes[number - window : number]), rel=1e-12, abs=1e-9)


@given(CLOSES, st.integers(1, 30))
@examples(60)
def test_the_exponential_average_stays_between_the_closes(closes: list[float], window: int) -> None:
    ema = Ema(window)
    values = [ema.add(close) for close in closes]
    assert all(value is None for value in values[: window - 1])
    for value in values[window - 1 :]:
        assert value is not None
        assert min(closes) - 1e-6 <= value <= max(closes) + 1e-6
