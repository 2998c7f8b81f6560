"""Venues are found by their files alone, and each keeps the contract of feedbus.venues.protocol."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus import venues
from feedbus.errors import ConfigError, VenueError
from feedbus.venues.listings import Lists
from feedbus.venues.protocol import Account, AccountEffect, Fatal, Fetch, FetchResponse, Ready, Session, WakeAt
from tests.properties import talks, test_sessions
from tests.properties.soundness import sound
from tests.properties.talks import discreet

NAMES = venues.names()
TRIAL = Path(__file__).parent / "trial"


def test_the_venues_are_the_packages_of_the_folder() -> None:
    assert "moex" in NAMES
    assert "protocol" not in NAMES
    for name in NAMES:
        assert f"{venues.account_class(name).__module__}.".startswith(f"feedbus.venues.{name}.")


@pytest.mark.parametrize("name", ["nyse", "", "protocol", "moex.stomp", "../moex"])
def test_an_unknown_venue_is_a_configuration_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there are: {', '.join(NAMES)}$"):
        venues.account_class(name)


# What holds of every venue


def made(name: str) -> Account:
    return venues.account_class(name)(talks.credentials(name), [])


def begun(name: str) -> tuple[Session, list[str]]:
    """A session of an account that let us connect."""
    account = made(name)
    symbols = talks.samples(name).SYMBOLS[:2]
    assert [account.check_symbol(symbol) for symbol in symbols] == [None, None]
    for effect in account.start(0.0):
        if isinstance(effect, Fetch):
            list(account.fetched(effect, talks.answering(name)(effect), 0.0))
    return account.session(symbols), symbols


def names_its_venue_and_refuses_what_it_does_not_know(name: str) -> None:
    account_class = venues.account_class(name)
    assert account_class.venue == name
    credentials = talks.credentials(name)
    with pytest.raises(ConfigError, match="credentials: unknown key 'no such key'"):
        account_class({"no such key": "x"}, [])
    with pytest.raises(ConfigError, match="channels: unknown channel 'no such channel'"):
        account_class(credentials, ["no such channel"])
    for secret in credentials:
        with pytest.raises(ConfigError) as refused:
            account_class({**credentials, secret: "s3cret\n"}, [])
        assert "s3cret" not in str(refused.value)
    account = account_class(credentials, [])
    assert account.check_symbol("\n")
    assert account.channels
    assert all(address.startswith("https://") for address in account.services.values())
    twice = [*account.channels, *account.channels]
    assert list(account_class(credentials, twice, account.Options()).channels) == list(account.channels)


def sessions_of_one_account_are_independent(name: str) -> None:
    account = made(name)
    symbols = begun(name)[1]
    first = account.session(symbols)
    greeting = list(first.opened(1.0))
    list(first.unsubscribe(symbols, 1.0))
    second = account.session(symbols)
    assert list(second.opened(1.0)) == greeting
    assert (sum(first.instruments().values()), sum(second.instruments().values())) == (0, 2)


def yields_effects_and_never_raises_whatever_comes(name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), max_size=4))
    def check(received: list[bytes]) -> None:
        session, symbols = begun(name)
        sound(session.opened(0.0), name, symbols, 0)
        for at, data in enumerate(received):
            sound(session.frame(data, at, float(at)), name, symbols, at)
            sound(session.frame(bytearray(data), at, float(at)), name, symbols, at)
        sound(session.tick(5.0), name, symbols, 0)
        sound(session.subscribe(symbols, 5.0), name, symbols, 0)
        assert sum(session.instruments().values()) == 2
        sound(session.unsubscribe(symbols[:1], 6.0), name, symbols, 0)
        assert sum(session.instruments().values()) == 1
        sound(session.closing(), name, symbols, 0)
        assert all(type(count) is int for count in session.counters().values())

    check()


def an_account_outlives_failures_and_is_ready_in_the_end(name: str) -> None:
    """Whatever is answered to its Fetches at first: it asks again by itself, and no text of its holds a secret."""
    account, now = made(name), 0.0
    bad: list[FetchResponse | VenueError] = [VenueError("no")]
    bad += [FetchResponse(status, body, 1) for status, body in ((500, b""), (200, b"<html>"), (429, b"{}"), (200, b""))]
    effects = list(account.start(now))
    seen = list(effects)
    while fetches := [effect for effect in effects if isinstance(effect, Fetch)]:
        assert fetches[0].service in account.services
        assert fetches[0].path.startswith("/")
        answer = bad.pop() if bad else talks.answering(name)(fetches[0])
        effects = list(account.fetched(fetches[0], answer, now))
        seen += effects
        wakes = [effect.when for effect in effects if isinstance(effect, WakeAt)]
        if Ready() in effects:
            break
        assert wakes, f"nobody will wake it after {answer}"
        now = wakes[-1]
        effects = list(account.tick(now))
        seen += effects
    assert Ready() in seen
    assert not any(isinstance(effect, Fatal) for effect in seen)
    assert all(isinstance(effect, AccountEffect) for effect in seen)
    discreet(sound(seen, name, [], 0), talks.secrets(name))


def says_of_options_and_channels_that_there_are_what_they_are_about(name: str) -> None:
    account_class, known = venues.account_class(name), talks.credentials(name)
    options = {field.encode_name for field in msgspec.structs.fields(account_class.Options)}
    about: Mapping[str, Collection[str]] = getattr(account_class.Options, "ABOUT_CHANNELS", {})
    assert options.issuperset(about)
    assert options.issuperset(getattr(account_class.Options, "NAMES_SYMBOLS", ()))
    for channel in {channel for channels in about.values() for channel in channels}:
        assert list(account_class(known, [channel]).channels) == [channel]


def lists_over_https_if_it_lists_and_garbage_is_a_venue_error(name: str) -> None:
    account = made(name)
    if not isinstance(account, Lists):
        return
    assert account.check_board("\n")
    assert account.check_pattern("\n")
    selection = talks.samples(name).SELECTION
    assert [account.check_board(board) for board in selection.boards] == [None for _ in selection.boards]
    assert [account.check_pattern(pattern) for pattern in selection.pattern] == [None for _ in selection.pattern]
    assert account.check_selection(selection) is None
    assert account.services["rest"].startswith("https://")
    for listing in (account.listing(selection), account.listing_of(talks.samples(name).SYMBOLS)):
        first, *_ = listing.requests()
        assert first.path.startswith("/")
        with pytest.raises(VenueError):
            list(listing.fetched(first, 200, b"<html>", 1))


EVERY_VENUE = (
    names_its_venue_and_refuses_what_it_does_not_know,
    sessions_of_one_account_are_independent,
    yields_effects_and_never_raises_whatever_comes,
    an_account_outlives_failures_and_is_ready_in_the_end,
    says_of_options_and_channels_that_there_are_what_they_are_about,
    lists_over_https_if_it_lists_and_garbage_is_a_venue_error,
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("holds", EVERY_VENUE, ids=lambda check: check.__name__)
def test_a_venue(name: str, holds: Callable[[str], None]) -> None:
    holds(name)


def test_all_venues_here_can_be_asked_what_they_list() -> None:
    """An Account that lacks a single member of the protocol counts as one that can't be asked."""
    assert [name for name in NAMES if not isinstance(made(name), Lists)] == []


# A new one


@pytest.fixture(params=["bybit", "toyvenue"])
def new_venue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A venue that somebody has just written: a package beside the others with its samples, and nothing edited."""
    monkeypatch.setattr(venues, "__path__", [*venues.__path__, str(TRIAL)])
    monkeypatch.setattr(talks, "SAMPLES", TRIAL / "samples")
    name: str = request.param
    yield name
    talks.samples.cache_clear()
    sys.modules.pop(f"feedbus.venues.{name}", None)
    vars(venues).pop(name, None)


def test_a_new_package_is_a_new_venue(new_venue: str) -> None:
    assert {*NAMES, new_venue} <= set(venues.names())
    assert venues.account_class(new_venue).venue == new_venue
    assert venues.units(new_venue)


def test_the_trial_venue_is_no_longer_than_a_venue_may_be() -> None:
    assert len((TRIAL / "bybit" / "__init__.py").read_text().splitlines()) <= 200


@pytest.mark.parametrize("holds", EVERY_VENUE, ids=lambda check: check.__name__)
def test_what_holds_of_every_venue_holds_of_a_new_one(new_venue: str, holds: Callable[[str], None]) -> None:
    holds(new_venue)


def test_the_properties_of_every_session_hold_of_a_new_one(new_venue: str) -> None:
    properties = [check for name, check in vars(test_sessions).items() if name.startswith("test_")]
    assert len(properties) > 5
    for check in properties:
        check(name=new_venue)
