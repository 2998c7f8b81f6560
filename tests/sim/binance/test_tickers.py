"""The last 24 hours over REST: the numbers of the streams under the names of the documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedbus.sim.binance import wire
from feedbus.sim.binance.catalogue import pairs, symbols
from feedbus.sim.binance.market import BinanceInstrument
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.tickers import full, mini
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.seam import SimRequest

NOW = 1_723_161_255_343_999_999
FULL = {
    "symbol": "s", "priceChange": "p", "priceChangePercent": "P", "weightedAvgPrice": "w", "prevClosePrice": "x",
    "lastPrice": "c", "lastQty": "Q", "bidPrice": "b", "bidQty": "B", "askPrice": "a", "askQty": "A", "openPrice": "o",
    "highPrice": "h", "lowPrice": "l", "volume": "v", "quoteVolume": "q", "openTime": "O", "closeTime": "C",
    "firstId": "F", "lastId": "L", "count": "n",
}  # fmt: skip
MINI = ["symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", *list(FULL)[14:]]


@pytest.mark.parametrize("pair", pairs()[::9], ids=lambda pair: pair.symbol)
def test_they_are_the_numbers_of_the_stream(pair: Any) -> None:
    instrument = BinanceInstrument(pair, 1, NOW, 9)
    stream = json.loads(wire.ticker(instrument, NOW, wire.MILLISECOND))
    told = full(instrument, NOW)
    assert list(told) == list(FULL)
    assert told == {name: stream[key] for name, key in FULL.items()}
    assert list(mini(instrument, NOW)) == MINI
    assert mini(instrument, NOW) == {name: told[name] for name in MINI}


def test_one_symbol_is_an_object_and_several_are_a_list() -> None:
    rest = BinanceRest(BinanceVenue(BinanceSimOptions(start_ns=NOW)))

    def asked(query: str) -> Any:
        return json.loads(rest(SimRequest("GET", f"/api/v3/ticker/24hr{query}", now_ns=NOW)).body)

    assert list(asked("?symbol=BTCUSDT")) == list(FULL)
    assert list(asked("?symbol=BTCUSDT&type=MINI")) == MINI
    assert [each["symbol"] for each in asked("")] == symbols()
    assert [list(each) for each in asked('?symbols=["ETHUSDT"]&type=MINI')] == [MINI]
    assert asked("?symbols=[]") == []
