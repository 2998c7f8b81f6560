"""The list of instruments that the benchmark's Binance serves."""

from __future__ import annotations

import json

from feedbus.bench.binance_listing import binance_base, binance_symbol, exchange_info


def test_every_instrument_has_a_name_of_its_own_that_is_made_of_its_assets() -> None:
    listed = json.loads(exchange_info(120))["symbols"]
    assert [one["symbol"] for one in listed] == [binance_symbol(number) for number in range(120)]
    assert [one["baseAsset"] for one in listed] == [binance_base(number) for number in range(120)]
    assert all(one["symbol"] == one["baseAsset"] + one["quoteAsset"] for one in listed)
    assert len({one["symbol"] for one in listed}) == 120
    assert binance_symbol(0) == "BTCUSDT"
