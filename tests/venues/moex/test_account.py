"""What a MOEX account takes from a configuration."""

from __future__ import annotations

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.channels import CHANNELS


@pytest.mark.parametrize(
    ("credentials", "channels", "complaint"),
    [
        ({"token": "x"}, [], "credentials: unknown key 'token'; there are: domain, login, passcode"),
        ({"passcode": ""}, [], "credentials: passcode is empty or holds a control character"),
        ({"passcode": "hush\nlogin:other"}, [], "credentials: passcode is empty or holds a control character"),
        ({"login": "\ud800"}, [], "credentials: login is empty or holds a control character"),
        (
            {},
            ["trades"],
            "channels: unknown channel 'trades'; there are: " + ", ".join(CHANNELS),
        ),
    ],
)
def test_a_configuration_that_can_not_be_used_is_refused(
    credentials: dict[str, str], channels: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Account(credentials, channels)
    assert str(caught.value) == complaint


def test_no_channels_means_all_and_none_counts_twice() -> None:
    assert Account({}, []).channels == ("orderbooks", "securities")
    assert Account({}, ["securities", "securities"]).channels == ("securities",)
    assert Account({}, []).subprotocols == ("STOMP",)
    assert Account({}, []).check_symbol("TQBR.SBER") is None
    assert Account({}, []).check_symbol("SBER") is not None
