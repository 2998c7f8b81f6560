"""A series of bars with its indicators: what is said again when a bar is corrected, or found to be incomplete late."""

from __future__ import annotations

from math import fsum, isclose
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
from feedbus.analytics.bar_maker import BarMaker
from feedbus.analytics.bars import SECOND, BarState
from feedbus.analytics.indicators import IndicatorName
from feedbus.analytics.options import AggregateCounters, IndicatorOptions, Options
from feedbus.analytics.published_series import PublishedSeries
from feedbus.schema.events import Bar, Indicator, Trade
from feedbus.testing.strategies import examples

START = 28_000_005 * 60 * SECOND
SMA_2, EMA_2 = IndicatorOptions("sma", 2), IndicatorOptions("ema", 2)


def trade(at: float, price: float) -> Trade:
    ts = START + round(at * SECOND)
    return Trade("fake", "A", ts, ts, price, 1.0, None, None)


class Rig:
    """A series of bars of ten seconds, of which some have no trade. Whole from its first bar on."""

    def __init__(self, *indicators: IndicatorOptions, max_empty: int = 3) -> None:
        options = Options(periods=(10,), indicators=indicators, empty=True, max_empty=max_empty)
        self.series = PublishedSeries(10, "trades", options)
        self.series.tainted = False

    def close(self, *prices: float | None) -> list[tuple[Any, ...]]:
        """Has one bar after the other end, with a trade at this price or without one (None)."""
        said: list[tuple[Any, ...]] = []
        for price in prices:
            closed: list[BarState] = []
            if price is not None:
                before = self.series.closed
                begin = 0 if before is None else (before.end - START) // SECOND
                event = trade(begin, price)
                bar = self.series.find(event.ts_event, event, closed)
                assert bar is not None
                bar.add_trade(event, event.ts_event, price, 1.0, None)
            self.series.close(closed)
            for bar in closed:
                said += self.take(bar)
        return said

    def take(self, bar: BarState) -> list[tuple[Any, ...]]:
        return [brief(event) for event in self.series.indicators(bar)]

    def taint(self, since: float) -> list[tuple[Any, ...]]:
        found = self.series.taint(START + round(since * SECOND))
        return [each for bar in found for each in self.take(bar)]


def brief(event: Indicator) -> tuple[Any, ...]:
    """(start in seconds, name, value, revision, complete)."""
    return (event.start - START) // SECOND, event.name, event.value, event.revision, event.complete


def test_a_value_is_complete_once_its_window_is_full_of_complete_bars() -> None:
    rig = Rig(SMA_2)
    assert rig.close(10.0, 20.0, 30.0) == [
        (0, "sma", None, 0, False), (10, "sma", 15.0, 0, True), (20, "sma", 25.0, 0, True),
    ]  # fmt: skip


def test_an_exponential_average_reaches_back_over_three_windows() -> None:
    rig = Rig(EMA_2)
    said = rig.close(*[10.0] * 8)
    assert [complete for *_, complete in said] == [False] * 5 + [True] * 3
    rig.series.tainted = True  # the next bar is incomplete
    assert [complete for *_, complete in rig.close(*[10.0] * 7)] == [False] * 6 + [True]


def test_what_is_learnt_late_of_a_bar_is_said_again_for_all_values_that_it_is_in() -> None:
    rig = Rig(SMA_2, IndicatorOptions("sma", 1))
    rig.close(10.0, 20.0, None, None)
    assert rig.taint(12.0) == [
        (10, "sma", 15.0, 1, False), (10, "sma", 20.0, 1, False),
        (20, "sma", 20.0, 1, False), (20, "sma", 20.0, 1, False),
        (30, "sma", 20.0, 1, False), (30, "sma", 20.0, 1, False),
    ]  # fmt: skip
    assert rig.taint(12.0) == []


def test_only_the_bars_of_that_time_and_what_follows_are_said_again() -> None:
    rig = Rig(SMA_2, IndicatorOptions("sma", 1))
    rig.close(10.0, 20.0, None, None)
    assert rig.taint(25.0) == [
        (20, "sma", 20.0, 1, False), (20, "sma", 20.0, 1, False),
        (30, "sma", 20.0, 1, False), (30, "sma", 20.0, 1, False),
    ]  # fmt: skip
    # The bars after it are incomplete by themselves until the next trade, and that one's too.
    said = rig.close(50.0, 60.0, 70.0)
    assert [(start, complete) for start, name, value, _, complete in said if value != 20.0] == [
        (40, False), (40, False), (50, False), (50, True), (60, True), (60, True),
    ]  # fmt: skip


def test_another_close_is_said_again_and_the_same_one_is_not() -> None:
    rig = Rig(SMA_2)
    rig.close(10.0, 20.0)
    closed = rig.series.closed
    assert closed is not None
    assert rig.take(closed) == []
    closed.add_trade(trade(12.0, 40.0), START + 12 * SECOND, 40.0, 1.0, None)
    assert rig.take(closed) == [(10, "sma", 25.0, 1, True)]
    closed.complete = False
    assert rig.take(closed) == [(10, "sma", 25.0, 2, False)]
    closed.complete = True
    assert rig.take(closed) == [(10, "sma", 25.0, 3, True)]
    assert rig.close(20.0) == [(20, "sma", 30.0, 0, True)]


def test_a_bar_that_is_no_longer_kept_changes_nothing() -> None:
    rig = Rig(SMA_2)
    rig.close(10.0)
    old = rig.series.closed
    assert old is not None
    rig.close(20.0)
    old.complete = False
    assert rig.take(old) == []


def test_without_indicators_nothing_is_said() -> None:
    assert Rig().close(10.0, None, 20.0) == []


# Against the definition


def naive(bars: list[Bar], of: IndicatorOptions) -> list[tuple[float | None, bool]]:
    """The value over each of these bars, and whether it is complete, from the definition."""
    found: list[tuple[float | None, bool]] = []
    ema: float | None = None
    for at, bar in enumerate(bars):
        assert bar.close is not None
        closes = [one.close or 0.0 for one in bars[max(0, at - of.window + 1) : at + 1]]
        mean = fsum(closes) / of.window if len(closes) == of.window else None
        ema = mean if ema is None else ema + 2 / (of.window + 1) * (bar.close - ema)
        reach = of.window if of.name == "sma" else 3 * of.window
        complete = at + 1 >= reach and all(one.complete for one in bars[at - reach + 1 : at + 1])
        found.append((mean if of.name == "sma" else ema, complete))
    return found


KINDS = st.sampled_from(["trade", "trade", "trade", "late", "gap", "wait"])
STEPS = st.lists(st.tuples(KINDS, st.integers(1, 25), st.integers(1, 9)), max_size=60)
NAMES: list[IndicatorName] = ["sma", "ema"]
INDICATORS = st.lists(st.builds(IndicatorOptions, st.sampled_from(NAMES), st.integers(1, 3)), max_size=3, unique=True)


@given(STEPS, INDICATORS, st.integers(1, 4), st.booleans())
@examples(300)
def test_what_was_said_last_is_what_the_bars_that_were_said_last_give(
    steps: list[tuple[str, int, int]], indicators: list[IndicatorOptions], max_empty: int, empty: bool
) -> None:
    options = Options(periods=(10,), indicators=tuple(indicators), empty=empty, max_empty=max_empty, forming_every=0.0)
    maker = BarMaker(options, AggregateCounters(), trading_day=venues.trading_day)
    bars: dict[int, Bar] = {}
    said: dict[tuple[IndicatorName, int], dict[int, Indicator]] = {(of.name, of.window): {} for of in indicators}
    now = 0.0
    for kind, seconds, number in steps:
        if kind == "late":
            maker.add_trade(trade(max(0.0, now - seconds), float(number)), now)
        elif kind == "gap":
            maker.mark_gap("trades", "fake", "A", now)
        else:
            now += seconds
            if kind == "trade":
                maker.add_trade(trade(now, float(number)), now)
        for event in maker.take(now):
            if isinstance(event, Bar):
                bars[event.start] = event
                continue
            assert isinstance(event, Indicator)
            versions = said[event.name, event.window]  # type: ignore[index]
            before = versions.get(event.start)
            assert event.revision == (0 if before is None else before.revision + 1)
            assert before is None or (before.value, before.complete) != (event.value, event.complete)
            versions[event.start] = event
    final = [bars[start] for start in sorted(bars) if bars[start].final]
    for of in indicators:
        versions = said[of.name, of.window]
        assert sorted(versions) == [bar.start for bar in final]
        for bar, (value, complete) in zip(final, naive(final, of), strict=True):
            one = versions[bar.start]
            assert one.complete == complete
            assert one.value == value or (value is not None and isclose(one.value or 0.0, value, rel_tol=1e-12))
