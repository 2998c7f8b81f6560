"""Times in microseconds: what the option adds to the URL of a connection, and which URLs contradict it."""

from __future__ import annotations

import pytest

from feedbus.venues.binance.account import Account
from feedbus.venues.binance.options import BinanceOptions


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("wss://h:9443/stream", "wss://h:9443/stream?timeUnit=MICROSECOND"),
        ("wss://h/stream?key=a%2Bb&x=+", "wss://h/stream?key=a%2Bb&x=+&timeUnit=MICROSECOND"),
        ("wss://h/ws?timeUnit=microsecond", "wss://h/ws?timeUnit=microsecond"),
        ("ws://[::1]:9", "ws://[::1]:9/?timeUnit=MICROSECOND"),
    ],
)
def test_microseconds_are_asked_for_in_the_url(url: str, asked: str) -> None:
    plain, fine = Account({}, ()), Account({}, (), BinanceOptions(time_unit="us"))
    assert (plain.connect_url(url), fine.connect_url(url)) == (url, asked)


@pytest.mark.parametrize("unit", ["MILLISECOND", "millisecond", "HOUR", ""])
def test_a_url_of_another_unit_is_refused(unit: str) -> None:
    plain, fine = Account({}, ("trade",)), Account({}, ("trade",), BinanceOptions(time_unit="us"))
    url = f"wss://h/stream?timeUnit={unit}"
    assert plain.check_url(url) is None
    reason = fine.check_url(url)
    assert reason is not None
    assert reason.startswith("names the time unit ")
    assert reason.endswith(", and the option time_unit is us")
    assert fine.check_url("wss://h/stream?timeUnit=MICROSECOND") is None
    assert fine.check_url("wss://fstream.binance.com/stream") is not None
