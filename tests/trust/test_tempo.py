"""How long a word is usually silent, as it is learnt from its own silences."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.trust.tempo import (
    BUCKETS,
    ENOUGH,
    FLOOR,
    HOURS,
    LEAST_BOUND,
    HourRow,
    SilenceBounds,
    StaleRules,
    Tempo,
    hour_of,
)

NS = 1_000_000_000
HOUR = 3600
RULES = StaleRules(stale_after=60.0, cap=14_400.0)
BUCKET = 2 ** (1 / 3)  # how much longer a silence is taken for at most


class Watched:
    """A Tempo that is told of messages and looked at once a second, as a feed does."""

    def __init__(self, tempo: Tempo | None = None, rules: StaleRules = RULES, now: float = 0.0) -> None:
        self.tempo = tempo or Tempo(rules)
        self.now = self.heard = now
        self.bounds = self.tempo.look(0.0, self.hour)

    @property
    def hour(self) -> int:
        return int(self.now // HOUR) % 24

    def speak_after(self, gaps: Iterable[float]) -> SilenceBounds:
        """Messages come, each after so many seconds."""
        for gap in gaps:
            end = self.heard + gap
            self.wait_until(end)
            if gap > FLOOR:
                self.tempo.gap(gap, int(end * NS))
            self.heard = end
        self.wait_until(self.heard + 1)
        return self.bounds

    def wait_until(self, end: float) -> SilenceBounds:
        """Nothing comes until then."""
        while self.now + 1 <= end:
            self.now += 1
            self.bounds = self.tempo.look(self.now - self.heard, self.hour)
        return self.bounds


def by_chance(mean: float, count: int, seed: int = 1) -> list[float]:
    chance = Random(seed)
    return [chance.expovariate(1 / mean) for _ in range(count)]


# While too little is known


def test_of_a_word_of_which_nothing_is_known_the_bound_is_the_configured_one() -> None:
    assert Tempo(RULES).look(1000.0, 12) == SilenceBounds(60.0, 60.0, False)


def test_until_enough_is_known_the_bound_is_ten_times_the_longest_silence() -> None:
    watched = Watched()
    bounds = watched.speak_after([2.0, 5.0, 3.0])
    assert (bounds.bound, bounds.learnt) == (60.0, False)
    bounds = watched.speak_after([20.0])
    assert not bounds.learnt
    assert 200 <= bounds.bound <= 200 * BUCKET
    assert watched.speak_after([4000.0]).bound == RULES.cap
    assert 20_000 * 1.25 <= watched.speak_after([20_000.0]).bound <= 20_000 * 1.25 * BUCKET  # it was that silent


def test_a_hundred_silences_of_an_hour_are_enough_and_are_of_that_hour_alone() -> None:
    watched = Watched(now=12 * HOUR)
    assert not watched.speak_after([10.0] * (ENOUGH - 3)).learnt
    assert watched.speak_after([10.0] * 3).learnt
    assert not watched.tempo.bounds_at(13).learnt
    assert watched.tempo.bounds_at(13).bound >= 100


def test_a_burst_of_a_hundred_messages_is_no_hundred_silences() -> None:
    watched = Watched()
    assert not watched.speak_after([0.01] * 5000).learnt
    assert watched.speak_after([0.01] * 10_000).learnt  # a hundred seconds more


# What is learnt


@pytest.mark.parametrize("mean", [2.0, 5.0, 20.0])
def test_of_messages_by_chance_the_bound_is_three_times_the_quantile_by_time(mean: float) -> None:
    """For 99.9 % of its time such a word is in silences of up to 9.2 times the mean, and for 99 % of up to 6.6."""
    tempo = Tempo(RULES)
    for day in range(20):
        watched = Watched(tempo, now=day * 24 * HOUR + 12 * HOUR)
        watched.speak_after(by_chance(mean, int(3000 / mean), seed=day))
    bounds = tempo.bounds_at(12)
    assert bounds.learnt
    assert 7 * mean <= bounds.quantile <= 12 * mean
    assert 5 * mean <= bounds.usual <= 8.5 * mean
    assert bounds.bound == pytest.approx(3 * bounds.quantile)


def test_a_word_that_never_pauses_is_known_in_seconds() -> None:
    assert Watched().speak_after([0.2] * 15_000).bound == 10.0
    assert LEAST_BOUND <= Watched().speak_after([0.2] * 10_000 + [1.5] * 300).bound <= 20


def test_bursts_do_not_hide_the_pauses_between_them() -> None:
    """A thousand messages in two seconds, and then a minute's pause: 999 of 1,000 gaps are of milliseconds."""
    chance = Random(1)
    pauses = [chance.uniform(40, 60) for _ in range(60)]
    bounds = Watched().speak_after(gap for pause in pauses for gap in [0.002] * 1000 + [pause])
    assert bounds.learnt
    assert bounds.usual >= 40
    assert bounds.bound >= 180


def test_where_few_silences_come_near_the_longest_the_bound_is_ten_times_the_quantile() -> None:
    few = Watched().speak_after([0.5] * 2000 + [30.0] * 5 + [0.5] * 200)
    many = Watched().speak_after([0.5] * 1000 + [20.0] * 110)
    assert 300 <= few.bound <= 300 * BUCKET
    assert 60 <= many.bound <= 60 * BUCKET


def test_the_heavier_the_tail_the_more_times_the_quantile() -> None:
    """As many near the quantile, but among ten times as many that aren't."""
    watched = Watched()
    watched.speak_after([2.0] * 500 + [20.0] * 110)
    light = watched.tempo.bounds_at(0)
    tempo = Tempo(RULES)
    for day in range(10):
        watched = Watched(tempo, now=day * 24 * HOUR)
        watched.speak_after([2.0] * 1000 + [20.0] * 12)
    heavy = tempo.bounds_at(0)
    assert light.bound == pytest.approx(3 * light.quantile)
    assert heavy.quantile == light.quantile
    assert 5 <= heavy.bound / heavy.quantile <= 7


def test_one_outage_does_not_become_the_quantile_and_is_not_forgotten_either() -> None:
    gaps = by_chance(3.0, 900)
    watched = Watched()
    watched.speak_after(gaps)
    before = watched.tempo.bounds_at(0)
    watched.speak_after([500.0])
    after = watched.tempo.bounds_at(0)
    assert (after.quantile, after.usual) == (before.quantile, before.usual)
    assert 1000 <= after.bound <= 1000 * BUCKET


def test_the_cap_limits_the_margin_and_not_what_the_word_does() -> None:
    strict = StaleRules(stale_after=30.0, cap=50.0)
    assert Watched(rules=strict).speak_after([20.0] * 150).bound == 50.0
    slow = Watched(rules=strict).speak_after([300.0] * 11)
    assert 375 <= slow.bound <= 375 * BUCKET


# The hours of the day


def test_a_silence_counts_for_the_hour_in_which_its_middle_lay() -> None:
    tempo = Tempo(RULES)
    for _ in range(ENOUGH):
        tempo.gap(600.0, (9 * HOUR + 10) * NS)
    assert tempo.bounds_at(8).learnt
    assert not tempo.bounds_at(9).learnt


def test_the_first_burst_after_a_long_night_changes_nothing_of_the_morning() -> None:
    """Silent all night, one message in ten minutes; from 9 on one a second."""
    tempo = Tempo(RULES)
    for day in range(8):
        watched = Watched(tempo, now=(24 * day + 6) * HOUR)
        watched.speak_after([600.0] * 17 + [600.0 + 300.0])
        watched.speak_after([0.7, 1.4] * 1500)
    assert tempo.bounds_at(9).bound <= 20
    assert tempo.bounds_at(8).bound >= 1200


def test_a_silence_that_began_in_the_hour_before_keeps_that_hours_bound() -> None:
    tempo = Tempo(RULES)
    for day in range(8):
        watched = Watched(tempo, now=(24 * day + 6) * HOUR)
        watched.speak_after([600.0] * 17 + [500.0])
        watched.speak_after([0.7, 1.4] * 1500)
    watched = Watched(tempo, now=24 * 9 * HOUR + 9 * HOUR - 300)
    watched.speak_after([10.0])
    night = watched.wait_until(24 * 9 * HOUR + 9 * HOUR - 1)
    assert watched.wait_until(24 * 9 * HOUR + 9 * HOUR + 200).bound == night.bound >= 1200
    assert watched.speak_after([510.0, 0.5, 0.5, 0.5]).bound <= 1000
    assert watched.speak_after([0.5] * 100).bound == tempo.bounds_at(9).bound


@pytest.mark.parametrize("into", [0.2, 0.9])
def test_so_does_one_that_began_within_the_last_second_of_the_hour(into: float) -> None:
    tempo = Tempo(RULES)
    for day in range(8):
        Watched(tempo, now=(24 * day + 6) * HOUR).speak_after([600.0] * 17)
        Watched(tempo, now=(24 * day + 9) * HOUR).speak_after([0.7, 1.4] * 1000)
    night = tempo.look(20.0, 8).bound
    assert tempo.look(into, 9).bound == night
    assert tempo.look(60.0, 9).bound == night


def test_what_is_usual_stays_for_an_hour_and_the_bound_follows_at_once() -> None:
    """Else a lull would become usual within minutes."""
    tempo = Tempo(RULES)
    Watched(tempo, now=12 * HOUR).speak_after([5.0, 4.0] * 390)
    watched = Watched(tempo, now=36 * HOUR)
    before = watched.speak_after([5.0])
    after = watched.speak_after([50.0] * 10)
    assert after.usual == before.usual
    assert after.bound > 100 > before.bound
    assert tempo.bounds_at(12).usual > 2 * before.usual


# Memory


def test_what_was_learnt_long_ago_fades() -> None:
    tempo = Tempo(RULES)
    Watched(tempo).speak_after([*by_chance(3.0, 1100), 200.0])
    known = tempo.bounds_at(0)
    tempo.fade()
    assert tempo.bounds_at(0).learnt
    assert tempo.bounds_at(0).bound < known.bound  # the one of 200 s is forgotten
    for _ in range(16):
        tempo.fade()
    assert tempo.rows() == []
    assert tempo.look(0.0, 0) == SilenceBounds(60.0, 60.0, False)


def test_counts_do_not_overflow() -> None:
    tempo = Tempo(RULES)
    for _ in range(70_000):
        tempo.gap(2.0, 0)
        tempo.look(0.5, 0)
    assert 30_000 < tempo.rows()[0][1] < 65_536
    assert tempo.bounds_at(0).bound < 20
    tempo.gap(1e9, 5 * 10**17)
    assert tempo.bounds_at(0).bound >= 65_536


def test_a_word_takes_less_than_three_kilobytes() -> None:
    tempo = Tempo(RULES)
    Watched(tempo).speak_after(by_chance(20.0, 5000))
    parts = [tempo, tempo._counts, tempo._spoken, tempo._bounds]
    assert sum(map(sys.getsizeof, parts)) < 3000


rows = st.lists(
    st.tuples(st.integers(0, HOURS - 1), st.integers(0, 65_535), st.binary(max_size=2 * BUCKETS)),
    max_size=5,
)


@given(rows=rows, hour=st.integers(0, HOURS - 1), silent=st.floats(0, 1e6))
def test_whatever_is_known_the_bounds_are_bounds_and_are_the_same_in_the_next_life(
    rows: list[HourRow], hour: int, silent: float
) -> None:
    tempo = Tempo.of_rows(RULES, rows)
    bounds = tempo.bounds_at(hour)
    assert LEAST_BOUND <= bounds.bound <= 1.25 * 2**16
    assert 0 < bounds.usual <= bounds.bound
    again = Tempo.of_rows(RULES, tempo.rows())
    assert [again.bounds_at(each) for each in range(HOURS)] == [tempo.bounds_at(each) for each in range(HOURS)]
    assert again.look(silent, hour) == tempo.look(silent, hour)


def test_the_hour_of_a_time_is_that_of_the_day_in_utc() -> None:
    assert hour_of(1_719_825_533_789_000_000) == 9  # 2024-07-01 09:18:53
    assert hour_of(0) == 0
