"""The options of books, as a configuration writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus import config
from feedbus.errors import ConfigError
from feedbus.venues.binance.options import USUAL_LEVELS, BinanceOptions

TEXT = """
bus: {publish: "inproc://x"}
feeds:
  b: {venue: binance, url: wss://stream.binance.com:9443/stream, channels: [depth], symbols: [BTCUSDT], options: {%s}}
"""


def options(text: str) -> BinanceOptions:
    read = config.parse(TEXT % text, name="x", directory=Path(), environ={}).feeds[0].options
    return read if isinstance(read, BinanceOptions) else BinanceOptions()


def test_snapshots_have_as_many_levels_for_all_or_for_some() -> None:
    assert options("").levels_of("BTCUSDT") == USUAL_LEVELS
    assert options("snapshot_levels: 100").levels_of("BTCUSDT") == 100
    some = options("snapshot_levels: {BTCUSDT: 5000}, snapshot_priority: [ETHUSDT, BTCUSDT]")
    assert (some.levels_of("BTCUSDT"), some.levels_of("ETHUSDT")) == (5000, USUAL_LEVELS)
    assert some.snapshot_priority == ("ETHUSDT", "BTCUSDT")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("snapshot_levels: 4", "options.snapshot_levels: must be a whole number from 5 to 5000, not '4'"),
        ("snapshot_levels: {BTCUSDT: 5001}", "options.snapshot_levels.BTCUSDT: must be a whole number from 5 to 5000"),
        ("snapshot_levels: [1]", "options.snapshot_levels: must be a whole number from 5 to 5000, not a list"),
        ("republish_s: 0", "options.republish_s: must be a number from 0.1 to 3600"),
    ],
)
def test_what_is_no_such_number_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options(text)
    assert place in str(caught.value)
