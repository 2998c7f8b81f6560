"""The columns of the live table: how numbers are written, which columns there are."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.table.bar_table import BarsSeen
from feedbus.table.columns import (
    COLUMNS,
    clock_text,
    columns_of,
    percent_text,
    period_text,
    price_text,
    share_text,
    short_volume_text,
    silence_text,
    span_text,
    volume_text,
    vwap_decimals,
)
from feedbus.table.keys import SORTS


@pytest.fixture
def in_moscow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "MSK-3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.44, "0.4 s"), (9.99, "9.9 s"), (10, "10 s"), (12.9, "12 s"), (59.9, "59 s"), (60, "1 min"),
     (3599, "59 min"), (3600, "1 h"), (7300, "2 h"), (47 * 3600, "47 h"), (48 * 3600, "2 d"), (900, "15 min")],
)  # fmt: skip
def test_spans_are_told_in_their_largest_unit(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("price", "decimals", "text"),
    [(306.1, 1, "306.1"), (306.0, 2, "306.00"), (None, 2, "-"), (0.07525, 5, "0.07525"), (0.0, 2, "0.00"),
     (1e-12, 8, "0.000000000001"), (1.5e13, 2, "15000000000000"), (1e-20, 8, "1e-20"),
     (1e300, 0, "1e+300"), (-37.63, 2, "-37.63"), (123456789.5, 1, "123456789.5"),
     (float("nan"), 0, "nan"), (float("inf"), 0, "inf")],
)  # fmt: skip
def test_prices_are_written_with_the_instruments_decimals(price: float | None, decimals: int, text: str) -> None:
    assert price_text(price, decimals) == text


@pytest.mark.parametrize(
    ("volume", "text"),
    [(None, "-"), (0.0, "0"), (1234567.0, "1,234,567"), (1234.567, "1,234.57"), (0.00012345, "0.0001234"),
     (1e18, "1e+18"), (float("nan"), "nan"), (float("inf"), "inf")],
)  # fmt: skip
def test_volumes_have_thousands_separators(volume: float | None, text: str) -> None:
    assert volume_text(volume) == text


@pytest.mark.parametrize(
    ("volume", "text"),
    [(None, "-"), (0.0, "0"), (0.25, "0.25"), (12.0, "12"), (12.345, "12.35"), (999.999, "1,000"), (7803.39, "7,803"),
     (999_999.4, "999,999"), (999_999.6, "1.00M"), (1_173_607.0, "1.17M"), (82_845_796.0, "82.8M"), (99.96e6, "100M"),
     (999.6e6, "1.00G"), (5.41e9, "5.41G"), (9.996e9, "10.0G"), (9.99e14, "999T"), (1e18, "1e+18"), (-5.41e9, "-5.41G"),
     (float("nan"), "nan"), (float("inf"), "inf")],
)  # fmt: skip
def test_volumes_of_the_table_are_short(volume: float | None, text: str) -> None:
    assert short_volume_text(volume) == text


@given(st.floats(1, 1e15) | st.integers(1, 10**15).map(float))
def test_a_short_volume_has_at_most_seven_characters_and_is_right_to_half_a_percent(volume: float) -> None:
    text = short_volume_text(volume)
    number = float(text.rstrip("MGT").replace(",", "")) * {"M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    assert len(text) <= 7
    assert number == pytest.approx(volume, rel=0.0051)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (1_719_825_533_789_999_999, "12:18:53.789"),
        (1_719_867_599_999_000_000, "23:59:59.999"),
        (1_719_867_600_000_000_000, "00:00:00.000"),
        (1, "03:00:00.000"),
        (0, "-"),
        (2**64, "02:34:33.709"),
    ],
)
def test_clock_times_are_local_and_cut_to_milliseconds(in_moscow: None, ns: int, text: str) -> None:
    assert clock_text(ns) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "-"), (0.0, "0.000"), (0.000153, "0.015"), (-0.5, "-50.000"), (-0.000001, "0.000"), (1e300, "1e+302")],
)
def test_spreads_are_in_percent(share: float | None, text: str) -> None:
    assert percent_text(share) == text


@pytest.mark.parametrize(("share", "text"), [(None, "-"), (0.0, "0"), (0.507, "51"), (1.0, "100")])
def test_shares_are_in_whole_percent(share: float | None, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1s"),
        (10, "10s"),
        (60, "1m"),
        (90, "90s"),
        (900, "15m"),
        (3600, "1h"),
        (5400, "90m"),
        (86400, "1d"),
        (0, "0s"),
    ],
)
def test_periods_are_told_in_their_largest_whole_unit(seconds: int, text: str) -> None:
    assert period_text(seconds) == text


@pytest.mark.parametrize(("decimals", "vwap"), [(0, 2), (1, 2), (2, 3), (5, 6), (8, 8)])
def test_an_average_has_a_digit_more_than_the_prices(decimals: int, vwap: int) -> None:
    assert vwap_decimals(decimals) == vwap


def titles(bars: BarsSeen | None, *, clock: bool = False) -> list[str]:
    return [column.title for column in columns_of(bars, clock=clock)]


def test_without_bars_there_are_no_columns_for_them() -> None:
    assert columns_of(None) == COLUMNS
    assert titles(BarsSeen(60)) == [column.title for column in COLUMNS]


def test_what_bars_have_said_has_its_column_after_those_of_the_day() -> None:
    every = titles(BarsSeen(60, change=True, vwap=True, volume=True, buys=True))
    at = every.index("Last")
    assert every[at : at + 9] == ["Last", "Chg %", "High", "Low", "Chg 1m %", "VWAP 1m", "Vol 1m", "Buy 1m %", "Volume"]
    some = titles(BarsSeen(300, change=True, volume=True), clock=True)
    assert some[at : at + 7] == ["Last", "Chg %", "High", "Low", "Chg 5m %", "Vol 5m", "Volume"]
    assert ("Updated" in some, "Age" in some) == (True, False)


def test_every_sort_has_its_column() -> None:
    for clock in (False, True):
        assert {column.sort for column in columns_of(None, clock=clock)} - {None} == set(SORTS.values())


def test_silent_publishers_are_named_and_many_are_counted() -> None:
    assert silence_text({"moex": 61.0}) == "nothing has come from the publisher moex for 1 min"
    many = {f"p{number}": 3.5 for number in range(5)}
    assert silence_text(many) == "nothing has come from the publishers p0 for 3 s, p1 for 3 s, p2 for 3 s and 2 more"
