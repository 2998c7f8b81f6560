"""What an account of Binance spot takes from a configuration."""

from __future__ import annotations

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Ready


def test_public_data_needs_no_account_and_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^credentials: unknown key 'api_key'; there are: none$"):
        Account({"api_key": "x"}, ())


def test_an_account_says_what_its_connections_may_do() -> None:
    account = Account({}, ())
    assert account.limits.subscriptions == 1024
    assert account.limits.connections is None
    assert account.services == {"rest": "https://api.binance.com"}
    assert account.channels == ("trade", "bookTicker", "miniTicker")
    assert list(account.start(0.0)) == [Ready()]
    assert account.check_symbol("btcusdt") == "write it BTCUSDT"
    assert Account({}, ["trade", "depth5", "trade"]).channels == ("trade", "depth5")
