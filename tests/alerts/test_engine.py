"""The alert engine: which rules see which event, its limits, its time, and properties that hold for any events."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts import AlertEngine, Rule
from feedbus.errors import ConfigError
from feedbus.schema.events import (
    Alert,
    Bar,
    BookSnapshot,
    FeedState,
    FeedStatus,
    Gap,
    Indicator,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

ALL_KINDS = [
    Rule("stale", 10, cooldown=3, keep_firing_for=2),
    Rule("not_live", for_=1, cooldown=1),
    Rule("connection_down", for_=2, cooldown=0),
    Rule("wide_spread", 1, for_=1, cooldown=2),
    Rule("crossed_book", for_=1, cooldown=2),
    Rule("large_trade", 50, cooldown=4),
    Rule("price_jump", 5, window=8, cooldown=1),
    Rule("volume_spike", 2, bars=2, cooldown=5),
]


def trade(symbol: str, size: float, *, venue: str = "moex", recv: int = START, price: float = 10.0) -> Trade:
    return Trade(venue, symbol, 1, recv, price, size, None, None)


def book(symbol: str, bid: float | None, ask: float | None) -> BookSnapshot:
    bids, asks = ([] if price is None else [(price, 1.0)] for price in (bid, ask))
    return BookSnapshot("moex", symbol, 1, START, bids, asks, None)


def test_a_rule_is_about_its_symbols_and_one_event_may_concern_several() -> None:
    engine = AlertEngine(
        [
            Rule("large_trade", 10, name="all"),
            Rule("large_trade", 10, name="b", symbols=("moex:B",)),
            Rule("large_trade", 100, name="large"),
        ]
    )
    found = {symbol: engine.add(trade(symbol, 50), START) for symbol in ("A", "B")}
    assert {symbol: [alert.rule for alert in alerts] for symbol, alerts in found.items()} == {
        "A": ["all"],
        "B": ["all", "b"],
    }


def test_an_event_of_another_kind_is_nobody_s() -> None:
    engine = AlertEngine([Rule("large_trade", 10)])
    assert not engine.add(Indicator("moex", "A", 1, START, "sma", 60, 5, 0, 1.0), START)
    assert not engine.add(Ticker("moex", "A", 1, START, last=1.0), START)


def test_instruments_beyond_the_limit_are_passed_over_and_counted() -> None:
    engine = AlertEngine([Rule("large_trade", 10, cooldown=0, symbols=("A*",))], max_instruments=2)
    for symbol in ("X", "Y", "Z", "A1", "A2"):  # those that no rule is about take nobody's place
        engine.add(trade(symbol, 1), START)
    assert (engine.watched, engine.passed_over) == (2, 0)
    assert not engine.add(trade("A3", 50), START)
    assert not engine.add(trade("A3", 50), START)
    assert engine.add(trade("A2", 50), START)
    assert (engine.watched, engine.passed_over) == (2, 2)


def test_instruments_that_no_rule_is_about_are_remembered_up_to_the_limit_only() -> None:
    engine = AlertEngine([Rule("large_trade", 10, symbols=("A*",))], max_instruments=2)
    for number in range(100):
        engine.add(trade(f"X{number}", 50), START)
    (table,) = engine._tables
    assert sum(map(len, table.by_venue.values())) == 2


@pytest.mark.parametrize("recv", [START - 3600 * SECOND, START, START + 3600 * SECOND])
def test_an_event_happens_when_it_is_judged_whatever_a_wall_clock_said(recv: int) -> None:
    engine = AlertEngine([Rule("stale", 10), Rule("large_trade", 10, cooldown=5)])
    assert [alert.ts_recv for alert in engine.add(trade("A", 50, recv=recv), START)] == [START]
    fired = engine.tick(START + 10 * SECOND)
    assert [(alert.rule, alert.state) for alert in fired] == [("large_trade", "resolved"), ("stale", "firing")]


def test_what_is_due_before_an_event_comes_first() -> None:
    engine = AlertEngine([Rule("stale", 10)])
    engine.add(trade("A", 1), START)
    late = START + 60 * SECOND
    alerts = engine.add(trade("A", 1, recv=late), late)
    assert [alert.state for alert in alerts] == ["firing", "resolved"]


def test_time_alone_is_asked_for_only_when_something_waits_for_it() -> None:
    engine = AlertEngine([Rule("stale", 10)])
    assert engine.next_due() is None
    assert not engine.tick(START)
    engine.add(trade("A", 1), START)
    assert engine.next_due() == START + 10 * SECOND
    assert [alert.rule for alert in engine.tick(START + 10 * SECOND)] == ["stale"]
    assert engine.next_due() is None


def test_timers_are_as_many_as_watches_however_many_events_come() -> None:
    engine = AlertEngine(ALL_KINDS)
    now = START
    for number in range(5000):
        now += SECOND // 50
        engine.add(trade("AB"[number % 2], 100 * (number % 3), recv=now, price=10 + number % 7), now)
    assert len(engine._timers) <= 2 * 2 * len(ALL_KINDS) + 64


def test_rules_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ConfigError, match="rule price_jump: threshold"):
        AlertEngine([Rule("price_jump")])


# Whatever comes

symbols = st.sampled_from(["A", "B"])
numbers = st.sampled_from([None, 90.0, 99.0, 100.0, 101.0, 110.0])
sizes = st.sampled_from([1.0, 60.0])
states: st.SearchStrategy[FeedState] = st.sampled_from(["online", "waiting", "stopped", "refused"])
recvs = st.integers(-15, 15).map(lambda seconds: seconds * SECOND)


@st.composite
def said(draw: st.DrawFn, now: int) -> Status | Gap:
    """Draws a status of an instrument, or a Gap that concerns it."""
    symbol, recv = draw(symbols), now + draw(recvs)
    if draw(st.integers(0, 2)):
        state, word = draw(st.sampled_from(get_args(TrustState))), draw(st.sampled_from(["", "trade", "book", "quote"]))
        return Status("moex", symbol, 0, recv, state, "hole", recv - draw(st.integers(0, 9)) * SECOND, 1, word)
    topic = draw(st.sampled_from(["", f"status.moex.{symbol}", f"trade.moex.{symbol}"]))
    return Gap(topic, "p", 1, None, None, draw(st.sampled_from(["lost", "silent", "restart"])))


@st.composite
def events(draw: st.DrawFn, now: int) -> MarketEvent:
    """Draws any event that was received around now, some earlier and some later than now."""
    symbol, recv = draw(symbols), now + draw(recvs)
    match draw(st.integers(0, 5)):
        case 5:
            bid, ask = draw(numbers), draw(numbers)
            return book(symbol, bid, ask)
        case 0:
            return trade(symbol, draw(sizes), recv=recv, price=draw(numbers) or -1.0)
        case 1:
            return Quote("moex", symbol, 1, recv, draw(numbers), 1.0, draw(numbers), 1.0, None)
        case 2:
            return Ticker("moex", symbol, 1, recv, draw(numbers), draw(numbers), draw(numbers))
        case 3:
            up = draw(st.integers(0, 2))
            return FeedStatus("moex", f"moex/{symbol}", 0, recv, draw(states), "", up, 2, {}, 0.0, None, 1)
        case _:
            start, final = draw(st.integers(0, 9)), draw(st.booleans())
            return Bar(
                "moex", symbol, 1, recv, "trades", 60, start,
                1, 1, 1, 1, draw(sizes), 1, 1, 1, 1, 1, final, 0, True,
            )  # fmt: skip


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[int, MarketEvent | Gap | None]]:
    """Draws steps of (now, event or None)."""
    now, script = START, list[tuple[int, MarketEvent | Gap | None]]()
    for _ in range(draw(st.integers(1, 60))):
        now += draw(st.integers(0, 12)) * SECOND
        script.append((now, draw(st.none() | events(now) | said(now))))
    return script


def alerts_of(script: list[tuple[int, MarketEvent | Gap | None]]) -> list[Alert]:
    engine, alerts = AlertEngine(ALL_KINDS), list[Alert]()
    for now, event in script:
        if isinstance(event, Gap):
            alerts += engine.add_gap(event, now)
        else:
            alerts += engine.tick(now) if event is None else engine.add(event, now, "p")
        due = engine.next_due()
        assert due is None or event is not None or due > now
    return alerts


@given(scripts())
def test_of_a_rule_and_an_instrument_firing_and_resolved_take_turns_in_time(
    script: list[tuple[int, MarketEvent | Gap | None]],
) -> None:
    by_key: dict[tuple[str, str, str], list[Alert]] = {}
    for alert in alerts_of(script):
        by_key.setdefault((alert.rule, alert.venue, alert.symbol), []).append(alert)
        assert alert.text.isprintable()
    for alerts in by_key.values():
        states = [alert.state for alert in alerts]
        assert states == (["firing", "resolved"] * len(states))[: len(states)]
        assert all(one.ts_recv <= other.ts_recv for one, other in pairwise(alerts))


@given(scripts())
def test_the_same_events_at_the_same_times_give_the_same_alerts(
    script: list[tuple[int, MarketEvent | Gap | None]],
) -> None:
    assert alerts_of(script) == alerts_of(script)


finite = st.floats(allow_nan=False, allow_infinity=False)
absurd = st.sampled_from([0.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 1e154, 1.0, 1.0000000000000002, -1.0]) | finite
SENSITIVE = [
    Rule("wide_spread", 1e-9, cooldown=0),
    Rule("crossed_book", cooldown=0),
    Rule("large_trade", 1e-9, cooldown=0),
    Rule("large_trade", 1e-9, name="notional", of="notional", cooldown=0),
    Rule("price_jump", 1e-9, window=60, cooldown=0),
    Rule("volume_spike", 1e-9, bars=2, cooldown=0),
]


@st.composite
def absurd_events(draw: st.DrawFn) -> MarketEvent:
    """Draws an event with any finite numbers in it."""
    match draw(st.integers(0, 4)):
        case 4:
            return book("A", draw(absurd), draw(absurd))
        case 0:
            return trade("A", draw(absurd), price=draw(absurd))
        case 1:
            return Quote("moex", "A", 1, START, draw(absurd), 1.0, draw(absurd), 1.0, None)
        case 2:
            return Ticker("moex", "A", 1, START, draw(absurd), draw(absurd), draw(absurd), volume=draw(absurd))
        case _:
            start, final = draw(st.integers(0, 9)), draw(st.booleans())
            return Bar(
                "moex", "A", 1, START, "trades", 60, start, 1, 1, 1, 1, draw(absurd), 1, 1, 1, 1, 1, final, 0, True
            )


@given(st.lists(absurd_events(), max_size=40))
def test_finite_numbers_give_alerts_with_finite_values(script: list[MarketEvent]) -> None:
    engine = AlertEngine(SENSITIVE)
    for second, event in enumerate(script):
        now = START + second * SECOND
        for alert in [*engine.tick(now), *engine.add(event, now)]:
            assert alert.value is None or isfinite(alert.value)
            assert not {"inf", "nan"} & set(alert.text.replace(",", "").split())


def test_numbers_that_no_market_has_are_counted() -> None:
    engine = AlertEngine(SENSITIVE)
    assert not engine.add(trade("A", 1e200, price=1e200), START)  # both of large_trade, and price_jump
    assert not engine.add(Quote("moex", "A", 1, START, 1.0, 1.0, 1e308, 1.0, None), START)
    assert not engine.add(Quote("moex", "A", 1, START, 1e308, 1.0, 0.0, 1.0, None), START)
    assert engine.unusable == 5
