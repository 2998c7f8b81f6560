"""A quiet week of fifty words of different paces: no false alarm, and one that falls mute is known in time.

`make fuzz` runs a whole week after another week of learning, a minute or two with a fresh seed each time. `make test`
runs an hour, after that hour of six days.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quiet_market import HOUR, WEEK, QuietMarket

DAYS, BEGIN = 6, 10 * HOUR
A_LULL = 8.0
"""How many times longer all gaps are in it."""


def learnt(seed: int) -> QuietMarket:
    """A market of which one hour of the day is known, at the beginning of that hour."""
    market = QuietMarket(seed, BEGIN, fastest=1.0)
    for day in range(DAYS):
        for _ in market.seconds(HOUR - 1):
            pass
        market.skip_to(BEGIN + (day + 1) * 24 * HOUR)
    return market


def test_one_that_falls_mute_is_known_in_time_and_a_lull_of_all_is_no_alarm() -> None:
    market = learnt(1)
    assert market.alarms(HOUR // 4) == {}
    for at in [at for at, word in enumerate(market.words) if word.by_chance and word.mean < 8][:3]:
        word = market.words[at]
        bounds = word.tempo.bounds_at(BEGIN // HOUR)
        assert bounds.learnt
        assert 7 * word.mean < bounds.quantile < 14 * word.mean
        word.is_mute = True
        assert next(stale for stale in market.seconds(HOUR // 4) if stale) == [at]
        assert market.now - word.heard <= 3 * bounds.quantile + 1  # a sweep later
        market.subscribe_again(at)
    market.lull = A_LULL
    assert market.alarms(HOUR // 4) == {}


@pytest.mark.timeout(900)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=1)
def test_no_false_alarm_in_a_quiet_week(seed: int) -> None:
    if settings.default is not None and settings.default.derandomize:  # not `make fuzz`
        market, judged = learnt(seed), HOUR - 1
    else:
        market, judged = QuietMarket(seed), WEEK
        for _ in market.seconds(WEEK):
            pass
    assert market.alarms(judged) == {}
