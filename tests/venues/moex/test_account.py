"""What a MOEX account takes from a configuration."""

from __future__ import annotations

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.session import GUEST

OWN = {"domain": "passport", "login": "me", "passcode": "hush"}
NEEDED = "an account of your own has domain, login and passcode, and the guest needs none of them"
DOMAIN_OF_THE_GUEST = (
    "credentials: the domain DEMO takes only the guest's login: did you mean domain: passport "
    "(where the file takes it from MOEX_DOMAIN, set that)?"
)


@pytest.mark.parametrize("credentials", [{}, OWN, GUEST, {"domain": "DEMO"}, {"login": "guest", "passcode": "guest"}])
def test_credentials_are_an_account_s_own_or_the_guest_s(credentials: dict[str, str]) -> None:
    assert list(Account(credentials, []).channels) == ["orderbooks", "securities"]


@pytest.mark.parametrize(
    ("credentials", "complaint"),
    [
        ({"passcode": ""}, "credentials: passcode is empty or holds a control character"),
        ({"passcode": "hush\nlogin:other"}, "credentials: passcode is empty or holds a control character"),
        ({"login": "\ud800"}, "credentials: login is empty or holds a control character"),
        ({"domain": "passport"}, f"credentials: login and passcode are missing, or the guest's: {NEEDED}"),
        ({**OWN, "login": "guest"}, f"credentials: login is missing, or the guest's: {NEEDED}"),
        ({**OWN, "passcode": "guest"}, f"credentials: passcode is missing, or the guest's: {NEEDED}"),
        ({"login": "me", "passcode": "hush"}, DOMAIN_OF_THE_GUEST),
        ({**OWN, "domain": "DEMO"}, DOMAIN_OF_THE_GUEST),
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
