"""Which bar of an instrument is shown."""

import math
from typing import Literal

import pytest

from feedbus.schema.events import Bar
from feedbus.table import bar_table
from feedbus.table.bar_table import NO_BAR, SECOND, BarsSeen, BarTable, BarView, buyers

NOW = 1_000_000 * 60 * SECOND
Source = Literal["venue", "trades", "ticker"]


def bar(
    volume: float | None = 1.0,
    *,
    start: int = 0,
    period: int = 60,
    source: Source = "trades",
    symbol: str = "SBER",
    at: int = NOW,
    prices: tuple[float | None, float | None] = (100.0, 101.0),
    vwap: float | None = None,
    sides: tuple[float | None, float | None] = (None, None),
) -> Bar:
    return Bar(
        "moex", symbol, at, at, source, period, NOW + start * 60 * SECOND, prices[0], None, None, prices[1], volume,
        None, None, *sides, vwap, False, 0, True,
    )  # fmt: skip


def table(*bars: Bar) -> BarTable:
    made = BarTable()
    for each in bars:
        made.add(each)
    return made


@pytest.mark.parametrize(
    ("bars", "volume"),
    [
        ([], None),
        ([bar(1)], 1),
        ([bar(1), bar(2)], 2),
        ([bar(1), bar(2, start=1)], 2),
        ([bar(1, start=1), bar(2)], 1),
        # the shortest period that came
        ([bar(1), bar(2, period=300)], 1),
        ([bar(1, period=300), bar(2)], 2),
        ([bar(1, period=300), bar(2, symbol="GAZP")], None),
        # of one time, the source that says most
        ([bar(1, source="trades"), bar(2, source="ticker")], 1),
        ([bar(1, source="ticker"), bar(2, source="venue")], 1),
        ([bar(1, source="venue"), bar(2, source="ticker"), bar(3, source="trades")], 3),
        ([bar(1, source="trades"), bar(2, source="ticker", start=1)], 2),
    ],
)
def test_it_is_the_newest_of_the_shortest_period(bars: list[Bar], volume: float | None) -> None:
    assert table(*bars).of("moex", "SBER", NOW).volume == volume


def test_a_bar_says_how_the_price_changed_and_who_bought() -> None:
    made = table(bar(8.0, prices=(100.0, 102.0), vwap=101.5, sides=(6.0, 2.0)))
    assert made.of("moex", "SBER", NOW) == BarView(102.0 / 100.0 - 1, 101.5, 8.0, 0.75)
    assert made.of("alor", "SBER", NOW) is NO_BAR


@pytest.mark.parametrize(
    "prices", [(None, 1.0), (1.0, None), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0)]
)
def test_without_an_open_price_above_zero_there_is_no_change(prices: tuple[float | None, float | None]) -> None:
    assert table(bar(prices=prices)).of("moex", "SBER", NOW).change is None


@pytest.mark.parametrize(
    ("bought", "sold", "share"),
    [(1.0, 3.0, 0.25), (0.0, 3.0, 0.0), (None, 3.0, None), (1.0, None, None), (0.0, 0.0, None), (math.nan, 1.0, None)],
)
def test_the_buyers_part_is_of_what_is_known(bought: float | None, sold: float | None, share: float | None) -> None:
    assert buyers(bought, sold) == share


@pytest.mark.parametrize(("period", "seconds"), [(60, 130), (1, 12)])
def test_a_bar_is_shown_for_two_periods_after_its_last_event(period: int, seconds: int) -> None:
    made = table(bar(period=period))
    assert made.of("moex", "SBER", NOW + seconds * SECOND).volume == 1
    assert made.of("moex", "SBER", NOW + seconds * SECOND + 1) is NO_BAR


def test_what_bars_have_said_is_remembered_until_there_is_a_shorter_period() -> None:
    made = table(bar(None, prices=(None, None)))
    assert made.seen == BarsSeen(60)
    made.add(bar(1, vwap=1.0, sides=(1.0, 1.0)))
    made.add(bar(None, prices=(None, None)))
    made.add(bar(None, prices=(None, None), period=300))
    assert made.seen == BarsSeen(60, change=True, vwap=True, volume=True, buys=True)
    made.add(bar(1, prices=(None, None), period=10))
    assert made.seen == BarsSeen(10, volume=True)


def test_instruments_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_table, "MAX_BARS", 1)
    made = table(bar(1), bar(2, symbol="GAZP"), bar(3))
    assert (made.of("moex", "SBER", NOW).volume, made.of("moex", "GAZP", NOW)) == (3, NO_BAR)
    assert made.not_shown == 1
