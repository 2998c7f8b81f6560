"""exchangeInfo: its numbers are those of the catalogue."""

from __future__ import annotations

import json

import pytest

from feedbus.sim.binance.catalogue import SCALE, Pair, pairs
from feedbus.sim.binance.exchange_info import exchange_info
from feedbus.sim.binance.market import BinanceInstrument


@pytest.mark.parametrize("pair", pairs()[::7], ids=lambda pair: pair.symbol)
def test_a_pair_is_told_with_its_steps(pair: Pair) -> None:
    told = json.loads(exchange_info([BinanceInstrument(pair, 1, 0, 9)], 42, 777))
    (listed,) = told["symbols"]
    filters = {each["filterType"]: each for each in listed["filters"]}
    assert (listed["symbol"], listed["baseAsset"] + listed["quoteAsset"]) == (pair.symbol, pair.symbol)
    assert round(float(filters["PRICE_FILTER"]["tickSize"]) * SCALE) == pair.tick
    assert round(float(filters["LOT_SIZE"]["stepSize"]) * SCALE) == pair.lot
    assert float(filters["PRICE_FILTER"]["maxPrice"]) * SCALE > 2 * pair.price
    assert (told["serverTime"], told["rateLimits"][0]["limit"]) == (42, 777)
