"""Venues are found by their files alone, and each keeps the contract of feedbus.session."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus import venues
from feedbus.errors import ConfigError, VenueError
from feedbus.events import MarketEvent
from feedbus.session import Effect, Lists, Session

SYMBOLS = ["TQBR.SBER", "SBER", "BTCUSDT", "TQBR.GAZP", "GAZP", "ETHUSDT"]


def test_the_venues_are_the_modules_with_an_account() -> None:
    assert venues.names() == ["moex"]
    assert venues.account_class("moex").__module__ == "feedbus.venues.moex"


def test_a_new_file_is_a_new_venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toyvenue.py").write_text("class Account:\n    venue = 'toyvenue'\n")
    (tmp_path / "toyhelper.py").write_text("")
    monkeypatch.setattr(venues, "__path__", [*venues.__path__, str(tmp_path)])
    try:
        assert venues.names() == ["moex", "toyvenue"]
        assert venues.account_class("toyvenue").venue == "toyvenue"
    finally:
        for name in ("toyvenue", "toyhelper"):
            sys.modules.pop(f"feedbus.venues.{name}", None)
            vars(venues).pop(name, None)


@pytest.mark.parametrize("name", ["nyse", "", "stomp", "moex_body", "../moex"])
def test_an_unknown_venue_is_a_configuration_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match="there are: moex"):
        venues.account_class(name)


def begun(name: str) -> tuple[Session, list[str]]:
    account = venues.account_class(name)({}, [])
    symbols = [symbol for symbol in SYMBOLS if account.check_symbol(symbol) is None][:2]
    assert len(symbols) == 2
    return account.session(symbols), symbols


def sound(name: str, effects: Iterable[Effect], ts_recv: int) -> list[Effect]:
    found = list(effects)
    for effect in found:
        assert isinstance(effect, Effect)
        if isinstance(effect, MarketEvent):
            assert (effect.venue, effect.ts_recv) == (name, ts_recv)
    return found


@pytest.mark.parametrize("name", venues.names())
def test_an_account_names_its_venue_and_refuses_what_it_does_not_know(name: str) -> None:
    account_class = venues.account_class(name)
    assert account_class.venue == name
    with pytest.raises(ConfigError):
        account_class({"no such key": "x"}, [])
    with pytest.raises(ConfigError):
        account_class({}, ["no such channel"])
    assert account_class({}, []).check_symbol("\n")


BOARDS = ["TQBR", "SPBX", "spot"]


@pytest.mark.parametrize("name", venues.names())
def test_a_venue_that_lists_asks_over_https_and_garbage_is_a_venue_error(name: str) -> None:
    account = venues.account_class(name)({}, [])
    if not isinstance(account, Lists):
        return
    assert account.check_board("\n")
    boards = [board for board in BOARDS if account.check_board(board) is None]
    assert account.services["rest"].startswith("https://")
    listing = account.listing(boards)
    first, *_ = listing.requests()
    assert first.path.startswith("/")
    with pytest.raises(VenueError):
        list(listing.fetched(first, 200, b"<html>", 1))


@pytest.mark.parametrize("name", venues.names())
def test_sessions_of_one_account_are_independent(name: str) -> None:
    account = venues.account_class(name)({}, [])
    symbols = begun(name)[1]
    first = account.session(symbols)
    greeting = list(first.opened(1.0))
    list(first.unsubscribe(symbols, 1.0))
    second = account.session(symbols)
    assert list(second.opened(1.0)) == greeting
    assert (sum(first.instruments().values()), sum(second.instruments().values())) == (0, 2)


@pytest.mark.parametrize("name", venues.names())
def test_whatever_comes_a_session_yields_effects_and_never_raises(name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), max_size=4))
    def check(received: list[bytes]) -> None:
        session, symbols = begun(name)
        sound(name, session.opened(0.0), 0)
        for at, data in enumerate(received):
            sound(name, session.frame(data, at, float(at)), at)
            sound(name, session.frame(bytearray(data), at, float(at)), at)
        sound(name, session.tick(5.0), 0)
        sound(name, session.subscribe(symbols, 5.0), 0)
        assert sum(session.instruments().values()) == 2
        sound(name, session.unsubscribe(symbols[:1], 6.0), 0)
        assert sum(session.instruments().values()) == 1
        sound(name, session.closing(), 0)
        assert all(type(count) is int for count in session.counters().values())

    check()
