"""The Account of ALOR: what it takes from the configuration, and its connections together through a token's life."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pytest

from feedbus.errors import ConfigError
from feedbus.venues.alor.account import Account
from feedbus.venues.alor.requests import Options
from feedbus.venues.protocol import (
    AccountDue,
    Confirmed,
    Effect,
    Fatal,
    Fetch,
    FetchResponse,
    Limits,
    NoOptions,
    Ready,
    RestLimit,
    Send,
    Subscription,
    WakeAt,
)

SECRET = {"refresh_token": "5c2f1a90-refresh"}
FETCH = Fetch("/refresh", "auth", "POST", b'{"token":"5c2f1a90-refresh"}')


def ok(token: str) -> FetchResponse:
    return FetchResponse(200, json.dumps({"AccessToken": token}).encode(), 1)


def ack(guid: str, code: int = 200) -> bytes:
    return json.dumps({"requestGuid": guid, "httpCode": code, "message": "said"}).encode()


def tokens(effects: Iterable[Effect]) -> list[str]:
    """The tokens of what is sent."""
    return [json.loads(effect.data)["token"] for effect in effects if isinstance(effect, Send)]


# Configuration


def test_there_is_no_account_without_a_refresh_token() -> None:
    with pytest.raises(ConfigError, match=r"^credentials: refresh_token is missing$"):
        Account({}, [])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (Options(format="Simple", frequency=24), "options: frequency is 24 ms, under the 25 of format Simple"),
        (Options(format="Simple", frequency=10), "options: frequency is 10 ms, under the 25 of format Simple"),
        (Options(format="Slim", frequency=9), "options: frequency is 9 ms, under the 10 of format Slim"),
    ],
)
def test_options_that_contradict_one_another_are_a_configuration_error(options: Options, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(reason)}$"):
        Account(SECRET, [], options)


@pytest.mark.parametrize("options", [None, Options(), Options(format="Simple", frequency=25), Options(frequency=10)])
def test_options_that_agree_are_taken(options: Options | None) -> None:
    assert Account(SECRET, [], options).channels == ("orderbook", "alltrades", "quotes")


@pytest.mark.parametrize(("channel", "length"), [("bars_M", "month"), ("bars_Y", "year")])
def test_bars_of_no_fixed_length_are_refused_with_the_reason(channel: str, length: str) -> None:
    with pytest.raises(ConfigError, match=f"^channels: {channel}: a {length} has no fixed number of seconds"):
        Account(SECRET, ["bars_60", channel])


def test_each_length_of_bars_is_one_that_its_name_tells() -> None:
    named = {"bars_D": 86400, "bars_W": 604800}
    for channel, seconds in Account.bar_periods.items():
        assert named.get(channel, 0) or int(channel.removeprefix("bars_")) == seconds
        assert Account(SECRET, [channel]).channels == (channel,)


def test_another_venue_s_options_are_a_bug() -> None:
    with pytest.raises(TypeError, match="NoOptions"):
        Account(SECRET, [], NoOptions())


def test_what_it_says_of_itself() -> None:
    account = Account(SECRET, [])
    assert account.services == {"rest": "https://api.alor.ru", "auth": "https://oauth.alor.ru"}
    assert account.limits == Limits(connections=10, subscriptions=5000, rest=RestLimit(100, 1.0))
    assert account.check_symbol("TQBR:SBER") == (
        "begins with no exchange, of which there are MOEX and SPBX: did you mean MOEX:SBER:TQBR?"
    )
    assert SECRET["refresh_token"] not in repr(account) + repr(account.session(["SBER"])) + repr(vars(Account))


# The connections together


def test_many_connections_with_a_refused_token_make_one_renewal_and_all_go_on() -> None:
    account = Account(SECRET, ["orderbook"])
    account.start(0.0)
    account.fetched(FETCH, ok("tok1"), 0.0)
    sessions = [account.session([f"S{number}", f"Z{number}"]) for number in range(10)]
    for session in sessions:
        assert tokens(session.opened(100.0)) == ["tok1", "tok1"]
    dues = [
        [
            effect
            for guid in ("o1", "o2")
            for effect in session.frame(ack(guid, 401), 1, 101.0)
            if not isinstance(effect, WakeAt)
        ]
        for session in sessions
    ]
    assert dues == [[AccountDue()], *[[]] * 9]
    assert list(account.tick(101.0)) == [FETCH]
    assert list(account.tick(101.0)) == []
    assert account.fetched(FETCH, ok("tok2"), 102.0) == (WakeAt(101.0 + 1200),)
    for number, session in enumerate(sessions):
        assert tokens(session.tick(102.0)) == ["tok2", "tok2"]
        confirmed = Confirmed(Subscription("orderbook", f"S{number}"))
        assert confirmed in list(session.frame(ack("o3"), 1, 103.0))
        assert session.instruments() == {"confirmed": 1, "sent": 1}


def test_the_account_starts_again_after_its_tokens_were_refused() -> None:
    account = Account(SECRET, ["orderbook"])
    account.start(0.0)
    account.fetched(FETCH, ok("tok1"), 0.0)
    session = account.session(["SBER"])
    list(session.opened(0.0))
    assert list(session.frame(ack("o1", 401), 1, 0.0)) == [AccountDue()]
    assert list(account.tick(0.0)) == [WakeAt(10.0)]
    assert list(account.tick(10.0)) == [FETCH]
    account.fetched(FETCH, ok("tok2"), 10.0)
    assert tokens(session.tick(10.0)) == ["tok2"]
    (fatal,) = session.frame(ack("o2", 401), 1, 11.0)
    assert isinstance(fatal, Fatal)
    assert list(account.start(300.0)) == [FETCH]
    assert list(account.fetched(FETCH, ok("tok3"), 300.0)) == [Ready(), WakeAt(1500.0)]
    assert tokens(account.session(["SBER"]).opened(300.0)) == ["tok3"]


# The configuration's own checks


def test_orders_have_an_address_of_their_own() -> None:
    account = Account({"refresh_token": "x"}, [])
    assert account.check_url("wss://api.alor.ru/ws") is None
    assert account.check_url("wss://api.alor.ru/cws") == "the path /cws takes orders, and sends no market data: use /ws"
