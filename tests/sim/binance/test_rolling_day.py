"""The statistics of 24 hours: what was before the market opened is made up, and plausible."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance.candles import BinanceTrade
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.rolling_day import RollingDay


@given(seed=st.integers(0, 2**32), pair=st.sampled_from(pairs()), moves=st.lists(st.integers(-50, 50), max_size=20))
def test_a_day_holds_every_price_of_its_trades(seed: int, pair: object, moves: list[int]) -> None:
    (listed,) = [each for each in pairs() if each is pair]
    day = RollingDay(Random(seed), listed, listed.price, 100)
    volume, last = day.volume, day.last
    for number, move in enumerate(moves, 1):
        price = max(listed.tick, listed.price + move * listed.tick)
        day.add(BinanceTrade(last + number, number, price, listed.lot, maker=True))
        assert day.close == price
    assert 0 < day.low <= min(day.open, day.close) <= max(day.open, day.close) <= day.high
    assert (day.volume, day.last) == (volume + len(moves) * listed.lot, last + len(moves))
