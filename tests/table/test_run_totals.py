"""What was traded over the run: from trades, or from the ticker's sums of the day."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Ticker, Trade
from feedbus.table.market_table import MarketTable
from feedbus.table.run_totals import Total

Sums = tuple[float | None, float | None, float | None, float | None, str | None]


def trade(price: float, size: float, side: str | None = None, symbol: str = "SBER") -> Trade:
    return Trade("moex", symbol, 0, 1, price, size, side, None)  # type: ignore[arg-type]


DAY = 86_400_000_000_000


def ticker(
    volume: float | None, turnover: float | None = None, low: float = 1.0, high: float = 1000.0, day: int = 0
) -> Ticker:
    at = day * DAY + 1
    return Ticker("moex", "SBER", at, at, last=10.0, volume=volume, turnover=turnover, low=low, high=high)


def next_day(volume: float, turnover: float, low: float = 1.0, high: float = 1000.0) -> Ticker:
    return ticker(volume, turnover, low, high, day=1)


def total(*events: Trade | Ticker) -> Total:
    table = MarketTable(0)
    for event in events:
        table.add(event)
    (only,) = table.totals(5)
    return only


def sums(*events: Trade | Ticker) -> Sums:
    found = total(*events)
    return found.vwap, found.volume, found.bought, found.sold, found.source


def test_trades_are_added_up() -> None:
    assert sums(trade(10.0, 2.0, "buy"), trade(20.0, 6.0, "sell")) == (17.5, 8.0, 2.0, 6.0, "trades")
    assert sums(trade(10.0, 2.0, "buy")) == (10.0, 2.0, 2.0, 0.0, "trades")


def test_where_no_trade_has_a_side_it_is_not_known() -> None:
    assert sums(trade(10.0, 2.0)) == (10.0, 2.0, None, None, "trades")


def test_without_volume_there_is_no_vwap() -> None:
    assert sums(trade(10.0, 0.0)) == (None, 0.0, None, None, "trades")


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0.001, 1e6), st.sampled_from(["buy", "sell"])), min_size=1))
def test_the_vwap_is_within_the_prices_and_the_sides_make_up_the_volume(made: list[tuple[float, float, str]]) -> None:
    found = total(*(trade(*each) for each in made))
    assert found.vwap is not None
    assert found.bought is not None
    assert found.sold is not None
    prices = [price for price, _, _ in made]
    assert min(prices) * (1 - 1e-9) <= found.vwap <= max(prices) * (1 + 1e-9)
    assert found.bought + found.sold == pytest.approx(found.volume)


@pytest.mark.parametrize(
    ("tickers", "vwap", "volume"),
    [
        # what was traded before is no part of it
        ([ticker(100.0, 1000.0)], None, 0.0),
        ([ticker(100.0, 1000.0), ticker(103.0, 1060.0)], 20.0, 3.0),
        ([ticker(100.0, 1000.0), ticker(101.0, 1010.0), ticker(103.0, 1060.0)], 20.0, 3.0),
        ([ticker(100.0, 1000.0), ticker(None), ticker(103.0, 1060.0)], 20.0, 3.0),
        ([ticker(100.0), ticker(103.0)], None, 3.0),
        # a new day: all of it counts
        ([ticker(100.0, 1000.0), ticker(102.0, 1040.0), next_day(4.0, 80.0)], 20.0, 6.0),
        ([ticker(100.0, 1000.0), ticker(102.0, 1040.0), next_day(4.0, 80.0), next_day(10.0, 440.0)], 40.0, 12.0),
        ([ticker(100.0, 1000.0), next_day(4.0, 80.0), ticker(1.0, 20.0, day=4)], 20.0, 5.0),
        ([ticker(100.0, 1000.0), ticker(None), next_day(1.0, 20.0)], 20.0, 1.0),
        # of a thin paper, too: more than yesterday, or most of it
        ([ticker(1.0, 10.0), next_day(3.0, 60.0)], 20.0, 3.0),
        ([ticker(4.0, 40.0), next_day(3.0, 60.0)], 20.0, 3.0),
        # until then yesterday's sums are repeated
        ([ticker(4.0, 40.0), next_day(4.0, 40.0), next_day(3.0, 60.0), next_day(5.0, 100.0)], 20.0, 5.0),
        # corrected, or no sum of a day at all
        ([ticker(100.0, 1000.0), ticker(99.0, 990.0)], None, None),
        ([ticker(100.0, 1000.0), ticker(99.0, 990.0), ticker(200.0, 2000.0)], None, None),
        ([ticker(100.0, 1000.0), ticker(4.0, 80.0)], None, None),
    ],
)
def test_without_trades_it_is_what_the_sums_of_the_day_rose_by(
    tickers: list[Ticker], vwap: float | None, volume: float | None
) -> None:
    assert sums(*tickers) == (vwap, volume, None, None, "ticker")


@pytest.mark.parametrize(
    ("low", "high", "vwap"),
    [(19.0, 21.0, 20.0), (20.0, 20.0, 20.0), (0.5, 19.9, None), (20.1, 30.0, None), (None, 30.0, None),
     (1.0, None, None), (math.nan, 30.0, None)],
)  # fmt: skip
def test_a_vwap_that_no_price_could_have_is_none(low: float, high: float, vwap: float | None) -> None:
    found = total(ticker(100.0, 1000.0, low, high), ticker(103.0, 1060.0, low, high))
    assert (found.vwap, found.volume) == (vwap, 3.0)


def test_over_two_days_a_vwap_is_within_the_prices_of_both() -> None:
    days = [ticker(100.0, 1000.0, 10.0, 12.0), ticker(200.0, 2100.0, 10.0, 12.0), next_day(10.0, 300.0, 29.0, 31.0)]
    assert total(*days).vwap == pytest.approx(1400 / 110)


def test_trades_say_more_than_the_ticker() -> None:
    assert sums(ticker(100.0, 1000.0), trade(10.0, 2.0, "buy"), ticker(900.0, 9000.0))[1::3] == (2.0, "trades")


def test_the_most_active_come_first_with_their_last_price() -> None:
    table = MarketTable(0)
    for event in [trade(1.25, 1.0, symbol="A"), trade(2.0, 1.0, symbol="B"), trade(2.5, 1.0, symbol="B"), ticker(None)]:
        table.add(event)
    found = table.totals(2)
    assert [(each.symbol, each.updates, each.last, each.decimals) for each in found] == [
        ("B", 2, 2.5, 1),
        ("A", 1, 1.25, 2),
    ]
    assert table.totals(9)[2] == Total("moex", "SBER", 1, 10.0, 0, None, None, None, None, None)
