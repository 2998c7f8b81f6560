"""The errors: whose fault each is, and that its text is one line with the place."""

from __future__ import annotations

import pytest

from feedbus import errors


def test_bad_data_names_the_place() -> None:
    error = errors.BadData("orderbooks TQBR.SBER row 3", "PRICE is null")
    assert str(error) == "orderbooks TQBR.SBER row 3: PRICE is null"
    assert (error.place, error.reason) == ("orderbooks TQBR.SBER row 3", "PRICE is null")


def test_a_close_keeps_code_and_reason() -> None:
    assert str(errors.ClosedByPeer(1001, "going away")) == "closed by the venue: 1001 going away"
    assert str(errors.ClosedByPeer(1006)) == "closed by the venue: 1006"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.ConnectFailed, "connect_failed"),
        (errors.ProxyFailed, "proxy_failed"),
        (errors.TimedOut, "timed_out"),
        (errors.BadData, "bad_data"),
        (errors.ClosedByPeer, "closed_by_peer"),
        (errors.RateLimited, "rate_limited"),
        (errors.LoginRefused, "login_refused"),
    ],
)
def test_every_cause_is_a_venue_error_with_a_word_of_its_own(error: type[errors.VenueError], cause: str) -> None:
    assert error.cause == cause
    assert issubclass(error, errors.VenueError)


def test_the_operators_and_the_bus_errors_are_no_venue_errors() -> None:
    for error in (errors.ConfigError, errors.BusError):
        assert issubclass(error, errors.FeedbusError)
        assert not issubclass(error, errors.VenueError)
