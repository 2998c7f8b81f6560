"""The candles of the simulated ALOR: they follow one another, add up, and are those of its trades."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.alor import market
from feedbus.sim.alor import venue as venue_module
from feedbus.sim.alor.market import AlorListing
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from tests.sim.alor.markets import SAMPLE, START_NS, venue


def sber(steps: int = 0, **options: Any) -> AlorListing:
    listing = venue(steps=steps, **options).find("MOEX", "SBER")
    assert listing is not None
    return listing


@pytest.mark.parametrize("seconds", [60, 120, 300, 600, 900, 1800, 3600, 14400, 86400, 604800])
def test_bars_follow_one_another_and_end_at_the_last_price(seconds: int) -> None:
    listing = sber(60, rate=1.0)
    bars = listing.bars(seconds, 0)
    assert len(bars) > 10
    assert all(after.time - before.time == seconds for before, after in pairwise(bars))
    assert all(before.close == after.open for before, after in pairwise(bars[:-1]))
    assert bars[-1].close == listing.instrument.last
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)


LENGTHS = st.sampled_from([5, 15, 30, 60, 300, 600, 1800, 3600, 14400, 86400, 604800])


@settings(max_examples=30, deadline=None)
@given(back=st.integers(-500, 20_000), seconds=LENGTHS, steps=st.integers(0, 400), far=st.integers(0, 400))
def test_bars_since_a_time_are_the_last_of_all_bars(back: int, seconds: int, steps: int, far: int) -> None:
    listing = sber(steps, rate=1.0)
    since = START_NS // 1_000_000_000 - back * far
    everything = listing.bars(seconds, 0)
    assert listing.bars(seconds, since) == [bar for bar in everything if bar.time >= since]


@pytest.mark.parametrize("fills", [1024, 40])
@pytest.mark.parametrize(("short", "long"), [(15, 60), (5, 30), (60, 600), (3600, 14400)])
def test_short_bars_add_up_to_longer_ones(short: int, long: int, fills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the fills that parts of a minute are made of aren't kept any more."""
    for reader in (market, venue_module):
        monkeypatch.setattr(reader, "FILLS", fills)
    listing = sber(600, rate=1.0)
    parts = listing.bars(short, 0)
    for whole in listing.bars(long, 0)[-5:]:
        inside = [bar for bar in parts if whole.time <= bar.time < whole.time + long]
        assert whole.volume == sum(bar.volume for bar in inside)
        assert (whole.open, whole.close) == (inside[0].open, inside[-1].close)
        assert (whole.high, whole.low) == (max(bar.high for bar in inside), min(bar.low for bar in inside))


def test_parts_of_a_minute_are_those_of_its_trades() -> None:
    listing = sber(600, rate=1.0)
    newest = listing.bars(15, 0)[-1]
    trades = [each for each in listing.trades_after(0) if each.time_us // 1_000_000 >= newest.time]
    assert (newest.volume, newest.close) == (sum(each.lots for each in trades), trades[-1].price)
    assert (newest.high, newest.low) == (max(each.price for each in trades), min(each.price for each in trades))


def test_days_and_weeks_are_named_by_their_date_in_moscow() -> None:
    listing = sber(1, rate=1.0)  # on Monday, 2024-07-01, at 12:18 in Moscow
    monday = START_NS // 1_000_000_000 // 86400 * 86400
    assert [bar.time for bar in listing.bars(86400, 0)][-2:] == [monday - 86400, monday]
    assert [bar.time for bar in listing.bars(604800, 0)][-2:] == [monday - 604800, monday]


def test_a_market_that_is_not_open_yet_forgets_the_bars_that_it_told() -> None:
    made = AlorVenue(AlorSimOptions(), securities=SAMPLE)
    made.market.await_opening(START_NS)
    listing = made.find("MOEX", "SBER")
    assert listing is not None
    before = listing.bars(60, 0)
    made.market.open(START_NS + 120_000_000_000)
    after = listing.bars(60, 0)
    assert after[-1].time - before[-1].time == 120
    assert listing.bars(60, 0) == after
