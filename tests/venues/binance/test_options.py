"""The options of a feed of Binance spot."""

from __future__ import annotations

import msgspec
import pytest

from feedbus.venues.binance.options import BinanceOptions


def test_times_are_in_milliseconds_unless_microseconds_are_asked_for() -> None:
    assert BinanceOptions().time_unit == "ms"
    assert msgspec.convert({"time_unit": "us"}, BinanceOptions).time_unit == "us"
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'ns'"):
        msgspec.convert({"time_unit": "ns"}, BinanceOptions)
