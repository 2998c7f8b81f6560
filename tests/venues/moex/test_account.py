"""What a MOEX account takes from a configuration."""

from __future__ import annotations

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.moex.account import Account


@pytest.mark.parametrize(
    ("credentials", "complaint"),
    [
        ({"passcode": ""}, "credentials: passcode is empty or holds a control character"),
        ({"passcode": "hush\nlogin:other"}, "credentials: passcode is empty or holds a control character"),
        ({"login": "\ud800"}, "credentials: login is empty or holds a control character"),
    ],
)
def test_credentials_that_can_not_be_sent_are_refused(credentials: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Account(credentials, [])
    assert str(caught.value) == complaint


def test_a_connection_speaks_stomp_and_a_symbol_names_its_board() -> None:
    account = Account({}, [])
    assert account.subprotocols == ("STOMP",)
    assert account.check_symbol("SBER") is not None
