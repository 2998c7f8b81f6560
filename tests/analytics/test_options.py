"""The options of the aggregator: defaults, bounds, contradictions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedbus.analytics.options import AggregateCounters, IndicatorOptions, Options
from feedbus.errors import ConfigError


def test_all_of_it_has_usual_values() -> None:
    options = msgspec.convert({}, Options)
    options.check()
    assert options.periods == (60, 300, 900)
    assert options.indicators == (IndicatorOptions("sma", 20), IndicatorOptions("ema", 20))
    assert (options.levels, options.forming_every, options.book_every) == ((1, 5, 10), 1.0, 0.25)
    assert not options.empty


@pytest.mark.parametrize(
    "given",
    [
        {"periods": [0]},
        {"periods": [86401]},
        {"periods": list(range(1, 18))},
        {"indicators": [{"name": "rsi", "window": 3}]},
        {"indicators": [{"name": "sma", "window": 0}]},
        {"indicators": [{"name": "sma", "window": 1001}]},
        {"forming_every": -1},
        {"grace": 61},
        {"max_empty": 0},
        {"levels": []},
        {"levels": [0]},
        {"book_every": 3601},
        {"max_instruments": 0},
    ],
)
def test_what_is_out_of_bounds_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Options)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"periods": [60, 60]}, "periods: the same is there twice"),
        ({"levels": [1, 1]}, "levels: the same is there twice"),
        ({"levels": [5, 1]}, "levels: they have to ascend"),
        ({"indicators": [{"name": "sma", "window": 3}] * 2}, "indicators: the same is there twice"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        msgspec.convert(given, Options).check()


def test_one_name_with_two_windows_is_no_contradiction() -> None:
    Options(indicators=(IndicatorOptions("sma", 3), IndicatorOptions("sma", 5))).check()


def test_all_counters_begin_at_nothing() -> None:
    assert set(msgspec.to_builtins(AggregateCounters()).values()) == {0}
