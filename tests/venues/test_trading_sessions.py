"""When venues trade, by the calendar, and what their own words say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedbus.trust.phases import Phase, always
from feedbus.venues import account_class, names
from feedbus.venues.trading_sessions import moscow_others, moscow_shares, unknown
from tests.properties import talks


def ns(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+03:00").astimezone(UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("moment", "shares", "others"),
    [
        ("2026-03-20T00:00", "closed", "closed"),  # a Friday
        ("2026-03-20T06:49:59", "closed", "closed"),
        ("2026-03-20T06:50", "auction", "extra"),
        ("2026-03-20T07:00", "extra", "extra"),
        ("2026-03-20T09:59:59", "extra", "extra"),
        ("2026-03-20T10:00", "trading", "extra"),
        ("2026-03-20T18:39:59", "trading", "extra"),
        ("2026-03-20T18:40", "auction", "extra"),
        ("2026-03-20T18:50", "closed", "extra"),
        ("2026-03-20T19:00", "auction", "extra"),
        ("2026-03-20T19:05", "extra", "extra"),
        ("2026-03-20T23:49:59", "extra", "extra"),
        ("2026-03-20T23:50", "closed", "closed"),
        ("2026-03-21T09:49", "closed", "closed"),  # a Saturday
        ("2026-03-21T09:50", "auction", "extra"),
        ("2026-03-21T10:00", "extra", "extra"),
        ("2026-03-22T18:59:59", "extra", "extra"),
        ("2026-03-22T19:00", "closed", "closed"),
        ("2026-03-23T18:54:59", "trading", "extra"),  # the Monday from which on it closes later
        ("2026-03-23T18:55", "auction", "extra"),
        ("2026-03-23T19:04:59", "auction", "extra"),
        ("2026-03-23T19:05", "extra", "extra"),
    ],
)
def test_the_hours_of_the_moscow_exchange(moment: str, shares: Phase, others: Phase) -> None:
    assert (moscow_shares(ns(moment)), moscow_others(ns(moment))) == (shares, others)


@pytest.mark.parametrize(
    ("venue", "symbol", "calendar"),
    [
        ("moex", "TQBR.SBER", moscow_shares),
        ("moex", "TQTF.LQDT", moscow_shares),
        ("moex", "TQOB.SU26238RMFS4", moscow_others),
        ("moex", "FORTS.RFUD.SiZ6", moscow_others),
        ("alor", "SBER", moscow_shares),
        ("alor", "T", moscow_shares),
        ("alor", "MOEX:SBER:TQBR", moscow_shares),
        ("alor", "MOEX:SU26238RMFS4:TQOB", moscow_others),
        ("alor", "SiZ6", moscow_others),
        ("alor", "CNY-3.23", moscow_others),
        ("alor", "USD000UTSTOM", moscow_others),
        ("alor", "SPBX:AAPL", unknown),
        ("binance", "BTCUSDT", always),
    ],
)
def test_the_calendar_of_an_instrument(venue: str, symbol: str, calendar: object) -> None:
    account = account_class(venue)(talks.credentials(venue), [])
    assert account.check_symbol(symbol) is None
    assert account.calendar(symbol) is calendar


def test_who_knows_no_hours_expects_nothing_and_who_never_closes_expects_something() -> None:
    assert {unknown(ns(f"2026-03-2{day}T03:00")) for day in range(7)} == {"extra"}
    assert {always(ns(f"2026-03-2{day}T03:00")) for day in range(7)} == {"trading"}


@pytest.mark.parametrize(
    ("venue", "channels", "words"),
    [
        ("moex", [], {"ticker"}),
        ("moex", ["orderbooks"], set()),
        ("alor", [], set()),
        ("alor", ["alltrades", "instruments"], {"instrument"}),
        ("binance", ["miniTicker"], set()),
    ],
)
def test_which_words_bring_the_status(venue: str, channels: list[str], words: set[str]) -> None:
    assert set(account_class(venue)(talks.credentials(venue), channels).status_words) == words


@pytest.mark.parametrize(
    ("venue", "phase", "statuses"),
    [
        ("moex", "trading", {"T"}),
        ("moex", "closed", {"N", "C"}),
        ("moex", "halted", {"B"}),
        ("moex", "auction", set("OFLSAabpIED")),
        ("alor", "trading", {"17"}),
        ("alor", "closed", {"18"}),
        ("alor", "halted", {"2"}),
        ("alor", "auction", {"102", "103", "106", "107", "118", "119", "120"}),
        ("binance", "trading", {"TRADING"}),
        ("binance", "closed", {"END_OF_DAY"}),
        ("binance", "halted", {"HALT", "BREAK", "CANCEL_ONLY"}),
        ("binance", "auction", set()),
    ],
)
def test_what_the_words_of_a_venue_mean(venue: str, phase: Phase, statuses: set[str]) -> None:
    assert {status for status, meant in account_class(venue).phases.items() if meant == phase} == statuses


@pytest.mark.parametrize("venue", names())
def test_a_status_at_which_nothing_is_traded_is_a_halt_or_a_close(venue: str) -> None:
    account = account_class(venue)
    assert {account.phases[status] for status in account.closed_statuses} <= {"closed", "halted"}
