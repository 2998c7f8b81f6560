"""What an account of Binance spot takes from a configuration."""

from __future__ import annotations

from feedbus.venues.binance.account import Account


def test_an_account_says_what_its_connections_may_do() -> None:
    account = Account({}, ())
    assert account.limits.subscriptions == 1024
    assert account.limits.connections is None
    assert account.services == {"rest": "https://api.binance.com"}
    assert account.check_symbol("btcusdt") == "written in capitals: did you mean BTCUSDT?"
