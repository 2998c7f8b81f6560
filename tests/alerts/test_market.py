"""The rules about trades, jumps and volumes: what fires, with which value, and what resolves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts import AlertEngine, Rule
from feedbus.schema.events import (
    Alert,
    Bar,
    FeedState,
    FeedStatus,
    Gap,
    Instrument,
    MarketEvent,
    Status,
    Ticker,
    Trade,
    TrustState,
)

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def play(rule: Rule, events: Sequence[MarketEvent], until: float = 0.0) -> list[Alert]:
    """Returns the alerts of these events, each of which is taken in at its `ts_recv`, and of the time after them."""
    engine, alerts = AlertEngine([rule]), list[Alert]()
    for event in events:
        while (due := engine.next_due()) is not None and due <= event.ts_recv:
            alerts += engine.tick(due)
        alerts += engine.add(event, event.ts_recv)
    while (due := engine.next_due()) is not None and due <= at(until):
        alerts += engine.tick(due)
    return alerts


def told(alerts: Sequence[Alert]) -> list[tuple[str, float]]:
    return [(alert.state, (alert.ts_recv - START) / SECOND) for alert in alerts]


# large_trade


def trade(seconds: float, price: float, size: float = 1.0) -> Trade:
    return Trade("moex", "A", 1, at(seconds), price, size, "sell", 1)


@pytest.mark.parametrize(
    ("of", "threshold", "text", "value"),
    [("size", 50, "trade sell 50 at 10", 50), ("notional", 500, "trade sell 50 at 10 = 500 (price times size)", 500)],
)
def test_a_trade_at_the_threshold_fires_and_resolves_by_itself(
    of: str, threshold: float, text: str, value: float
) -> None:
    rule = Rule("large_trade", threshold, of="notional" if of == "notional" else "size", cooldown=30)
    alerts = play(rule, [trade(0, 10, 49.9), trade(1, 10, 50), trade(2, 10, 70), trade(40, 10, 49)], 100)
    assert told(alerts) == [("firing", 1), ("resolved", 31)]
    assert [(alert.value, alert.text) for alert in alerts] == [(value, text), (value, "30 s have passed since")]


def test_a_trade_of_the_past_fires_nothing() -> None:
    past, live, wrong = (
        msgspec.structs.replace(trade(second, 10, size), ts_event=at(ts_event))
        for second, size, ts_event in ((2, 99, -61), (3, 99, -57), (1, 1, 1e6))
    )
    events = [msgspec.structs.replace(trade(0, 10, 1), ts_event=at(0)), wrong, past, live]
    assert told(play(Rule("large_trade", 50), events)) == [("firing", 3)]


@pytest.mark.parametrize(
    ("of", "size", "price", "text"),
    [
        ("size", 15e9, 0.00001234, "trade buy 15000000000 lots at 0.00001234"),
        ("notional", 20_000.0, 300.0, "trade buy 20000 lots at 300 = 60000000 (price times lots of 10)"),
    ],
)
def test_a_large_trade_says_its_units_in_plain_decimals(
    of: Literal["size", "notional"], size: float, price: float, text: str
) -> None:
    event = Trade("moex", "A", 1, 2, price, size, "buy", None)
    rule = Rule("large_trade", 1000, of=of)
    engine = AlertEngine([rule], units=lambda venue: {"moex": {"trades": "lots"}}[venue])
    engine.add(paper(10.0), 1)
    (alert,) = engine.add(event, 2)
    assert alert.text == text
    (alert,) = AlertEngine([rule]).add(event, 2)
    assert alert.text == text.replace(" lots at", " at").replace("60000000", "6000000").replace("lots of 10", "size")


def paper(lot: float | None, currency: str | None = "RUB", venue: str = "moex") -> Instrument:
    return Instrument(venue, "A", 0, 1, None, lot, None, None, currency, None, None, None)


NOTIONAL = Rule("large_trade", 1000, of="notional", cooldown=1)


def fires(units: str, *events: MarketEvent) -> tuple[list[bool], AlertEngine]:
    """Whether each trade among the events fires, five seconds apart."""
    engine = AlertEngine([NOTIONAL], units=lambda _: {"trades": units} if units else {})
    found = []
    for number, event in enumerate(events):
        now = at(5 * number)
        engine.tick(now)
        fired = any(alert.state == "firing" for alert in engine.add(event, now))
        found += [fired] if isinstance(event, Trade) else []
    return found, engine


@pytest.mark.parametrize(
    ("units", "events", "found", "unpriced"),
    [
        ("lots", [trade(0, 10, 200)], [False], 1),
        ("lots", [paper(10.0), trade(0, 10, 10), trade(1, 10, 9)], [True, False], 0),
        ("lots", [paper(10.0), trade(0, 10, 10), paper(1.0), trade(1, 10, 10)], [True, False], 0),
        ("lots", [paper(1.0), paper(None), trade(0, 10, 200)], [False], 1),
        ("lots", [paper(10.0, None), trade(0, 10, 200)], [False], 1),
        ("lots", [paper(10.0, venue="alor"), trade(0, 10, 200)], [False], 1),
        ("base units", [trade(0, 10, 100), trade(1, 10, 99)], [True, False], 0),
        ("base units", [paper(0.5), trade(0, 10, 100), trade(1, 10, 200)], [False, True], 0),
        ("", [trade(0, 10, 100)], [True], 0),
    ],
)
def test_a_notional_value_is_price_times_size_times_lot_and_is_not_judged_without_the_lot(
    units: str, events: list[MarketEvent], found: list[bool], unpriced: int
) -> None:
    fired, engine = fires(units, *events)
    assert (fired, engine.unpriced, engine.unusable) == (found, unpriced, 0)


def test_lots_are_bounded_and_no_sign_of_life() -> None:
    engine = AlertEngine([NOTIONAL, Rule("stale", 10)], max_instruments=1)
    engine.add(trade(0, 1, 1), at(0))
    engine.add(paper(10.0), at(9))
    engine.add(paper(10.0, venue="alor"), at(9))
    assert engine.passed_over == 1
    assert [alert.rule for alert in engine.tick(at(11))] == ["stale"]


# price_jump


def traded(seconds: float, last: float | None, volume: float | None = None, trades: int | None = None) -> Ticker:
    return Ticker("moex", "A", 1, at(seconds), last=last, volume=volume, trades=trades)


def test_a_jump_up_fires_until_the_lowest_price_has_left_the_window() -> None:
    alerts = play(Rule("price_jump", 10, window=16), [trade(0, 100), trade(5, 109.9), trade(9, 110)], 100)
    assert told(alerts) == [("firing", 9), ("resolved", 16)]
    assert alerts[0].value == 10.0
    assert alerts[0].text == "last 110 is +10 % from the lowest 100 of 16 s"
    assert alerts[1].text == "last 110, within 109.9 to 110 in 16 s"


def test_a_fall_is_below_zero_and_is_over_when_the_price_comes_back() -> None:
    alerts = play(Rule("price_jump", 10, window=16), [trade(0, 100), trade(5, 90), trade(6, 98)])
    assert told(alerts) == [("firing", 5), ("resolved", 6)]
    assert alerts[0].value == -10.0
    assert alerts[0].text == "last 90 is -10 % from the highest 100 of 16 s"


@pytest.mark.parametrize(
    "events",
    [
        [trade(0, 100), trade(20, 120)],
        [trade(0, 100), trade(5, -50), trade(6, 0), trade(7, 101)],
        [trade(0, 100), trade(1, 109), trade(16, 118)],
        [traded(0, None), trade(1, 100), traded(2, None)],
    ],
)
def test_slow_moves_and_prices_without_a_per_cent_are_no_jumps(events: list[MarketEvent]) -> None:
    assert play(Rule("price_jump", 10, window=16), events, 100) == []


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([traded(0, 90), traded(1, 100), trade(2, 111)], [("firing", 2)]),
        ([traded(0, 100), traded(1, 111)], []),  # the first one may tell a price of yesterday
        ([traded(0, 90), traded(1, 100), *(traded(each, 100) for each in range(2, 30)), traded(30, 111)], []),
        ([traded(0, 90), traded(1, 100, 5), traded(14, 100, 6), traded(28, 111, 7)], [("firing", 28)]),
        ([traded(0, 90), traded(1, 100, None, 5), traded(14, 100, None, 6), traded(28, 111)], [("firing", 28)]),
    ],
    ids=["trade after", "first", "repeated", "volume", "trades"],
)
def test_a_ticker_s_last_is_a_price_when_somebody_has_traded(
    events: list[MarketEvent], expected: list[tuple[str, float]]
) -> None:
    assert told(play(Rule("price_jump", 10, window=16), events)) == expected


def status(seconds: float, state: FeedState, up: int) -> FeedStatus:
    return FeedStatus("moex", "moex/0", 0, at(seconds), state, "", up, 2, {}, 0.0, None, 1)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([trade(0, 100), status(1, "waiting", 1), status(3, "online", 2), trade(4, 111), trade(5, 112)], []),
        ([trade(0, 100), status(1, "waiting", 1), trade(4, 111), trade(5, 90)], [("firing", 5)]),  # still down
        ([traded(0, 90), traded(1, 100), status(2, "waiting", 1), traded(9, 111), trade(10, 111)], []),
        ([trade(0, 100), status(1, "online", 2), trade(4, 111)], [("firing", 4)]),
        ([status(0, "online", 2), trade(1, 100), trade(16.5, 111)], []),  # the feed fell silent at 15
        ([status(0, "online", 2), trade(1, 100), trade(14.5, 111)], [("firing", 14.5)]),
    ],
    ids=["over", "during", "tickers", "none", "silent", "not yet silent"],
)
def test_a_price_is_not_compared_with_one_before_an_outage(
    events: list[MarketEvent], expected: list[tuple[str, float]]
) -> None:
    assert told(play(Rule("price_jump", 10, window=64), events)) == expected


def test_an_outage_lets_a_jump_end_with_the_next_price() -> None:
    events = [trade(0, 100), trade(1, 111), status(2, "waiting", 1), trade(3, 112)]
    assert told(play(Rule("price_jump", 10, window=16), events)) == [("firing", 1), ("resolved", 3)]


def timed(seconds: float, ts_event: int, price: float = 120.0) -> Trade:
    return Trade("moex", "A", ts_event, at(seconds), price, 50.0, "buy", None)


@pytest.mark.parametrize("rule", [Rule("price_jump", 10, window=60), Rule("large_trade", 50)], ids=["jump", "large"])
@pytest.mark.parametrize(
    ("ts_event", "fires"),
    [(at(0.5), True), (at(-50), True), (at(-60), False), (at(-9999), False), (0, True), (at(9999), True)],
)
def test_an_event_that_is_older_than_the_window_of_its_rule_fires_nothing(
    rule: Rule, ts_event: int, fires: bool
) -> None:
    first = msgspec.structs.replace(timed(0, at(0), 100.0), size=1.0)
    alerts = play(rule, [first, timed(1, ts_event)])
    assert [alert.state for alert in alerts] == ["firing"] * fires


def test_one_time_in_the_future_makes_no_history_of_what_follows() -> None:
    events = [timed(0, at(9999), 100.0), timed(1, at(1), 100.0), timed(2, at(2), 120.0)]
    assert told(play(Rule("price_jump", 10, window=60), events)) == [("firing", 2)]


def test_one_wrong_price_is_a_jump_there_and_one_back() -> None:
    events = [trade(0, 100), trade(1, 150), trade(2, 100), trade(12, 100)]
    assert told(play(Rule("price_jump", 10, window=16), events, 100)) == [("firing", 1), ("resolved", 17)]


def test_a_jump_that_must_hold_does_not_fire_when_the_price_is_near_again_by_then() -> None:
    rule = Rule("price_jump", 10, window=16, for_=2)
    assert told(play(rule, [trade(0, 100), trade(1, 111), trade(2, 105)], 14)) == []
    assert told(play(rule, [trade(0, 100), trade(1, 111)], 14)) == [("firing", 3)]


prices = st.lists(st.tuples(st.floats(0, 3), st.integers(90, 115)), min_size=1, max_size=80)


@given(prices)
def test_a_jump_fires_as_the_definition_says(taken: list[tuple[float, int]]) -> None:
    rule, now = Rule("price_jump", 10, window=16, cooldown=0), 0.0
    engine, firing = AlertEngine([rule]), False
    seen: list[tuple[float, int]] = []
    for step, price in taken:
        now += step
        seen.append((at(now), price))
        for alert in engine.add(trade(now, price), at(now)):
            firing = alert.state == "firing"

        def jumped(window: float, price: int = price, now: float = now) -> bool:
            near = [other for when, other in seen if at(now) - when <= window * SECOND]
            return (price - min(near)) * 100 >= 10 * min(near) or (max(near) - price) * 100 >= 10 * max(near)

        assert jumped(16) or not firing
        assert firing or not jumped(15)


# volume_spike


def bar(start: int, volume: float | None, *, final: bool = True, revision: int = 0, period: int = 60) -> Bar:
    return Bar(
        "moex", "A", 0, at(start * 60 + revision), "trades", period, at(start * 60),
        1, 1, 1, 1, volume, None, None, None, None, None, final, revision, True,
    )  # fmt: skip


def half(start: int, volume: float) -> Bar:
    """A bar that isn't complete."""
    return msgspec.structs.replace(bar(start, volume), complete=False)


SPIKE = Rule("volume_spike", 3, bars=3, cooldown=0)


def fired(events: Sequence[MarketEvent], rule: Rule = SPIKE) -> list[float | None]:
    return [alert.value for alert in play(rule, events) if alert.state == "firing"]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 30)], [3]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 29.9)], []),
        ([bar(1, 10), bar(2, 10), bar(3, 90)], []),
        ([bar(1, 90), bar(2, 10), bar(3, 10), bar(4, 10), bar(5, 30)], [3]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 40, final=False), bar(4, 60, revision=1)], [4]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 5, final=False), bar(4, 60, revision=1)], [6]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 40, final=False), bar(5, 40)], [4, 4]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(3, 70, revision=1), bar(4, 80)], []),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(2, 100), bar(4, 30)], [3]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, None), bar(5, 30)], [3]),
        ([bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 99, period=300)], []),
        ([bar(1, 0), bar(2, 0), bar(3, 0), bar(4, 10)], []),
        ([bar(1, 10), bar(2, 10), bar(3, 10), half(4, 1), half(5, 1), bar(6, 30)], [3]),
        ([half(1, 1), half(2, 1), half(3, 1), bar(4, 60)], []),
        ([bar(1, 10, final=False), bar(2, 10, final=False), bar(3, 10, final=False), bar(4, 90)], []),
    ],
)
def test_a_bar_is_compared_with_the_final_bars_before_it(events: list[MarketEvent], expected: list[float]) -> None:
    assert fired(events) == expected


@pytest.mark.parametrize("times", [{"ts_event": at(900)}, {"ts_recv": at(900)}])
def test_a_bar_of_the_past_counts_for_the_mean_alone(times: dict[str, int]) -> None:
    """Whether the venue says when it sent it, or not."""
    snapshot = [msgspec.structs.replace(bar(start, volume), **times) for start, volume in enumerate([10, 10, 10, 99])]
    assert fired(snapshot) == []
    now = msgspec.structs.replace(bar(14, 120), **times)
    assert fired([*snapshot, now]) == [120 / (119 / 3)]


@pytest.mark.parametrize("step", [600, -600])
def test_a_clock_that_was_set_makes_no_history_of_present_bars(step: int) -> None:
    engine, found = AlertEngine([SPIKE]), list[Alert]()
    for start, volume in [(1, 10), (2, 10), (3, 10), (4, 30), (5, 10), (6, 90)]:
        stamped = msgspec.structs.replace(bar(start, volume), ts_recv=at(start * 60 + (step if start > 3 else 0)))
        found += engine.add(stamped, at(start * 60))
    assert [alert.value for alert in found if alert.state == "firing"] == [3, 90 / (50 / 3)]
    for start in range(7, 15):  # eight minutes later the bars of these eight minutes come at once
        assert not engine.add(msgspec.structs.replace(bar(start, 10), ts_recv=at(14 * 60 + 610)), at(14 * 60))
    late = msgspec.structs.replace(bar(15, 900), ts_recv=at(40 * 60))
    assert not engine.add(late, at(40 * 60)), "this one is of the past by any clock"


def test_a_spike_says_what_it_is_compared_with() -> None:
    (alert, resolved) = play(SPIKE, [bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 45)])
    unit = AlertEngine([SPIKE], units=lambda _: {"trades": "lots"})
    texts = [alert.text for event in [*map(bar, (1, 2, 3), (10, 10, 10)), bar(4, 45)] for alert in unit.add(event, 1)]
    assert texts[0] == "volume 45 lots is 4.5 times the mean 10 of 3 bars of 60 s"
    assert alert.text == "volume 45 is 4.5 times the mean 10 of 3 bars of 60 s"
    assert resolved.state == "resolved"


def test_bars_of_another_source_are_left_alone() -> None:
    events = [bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 90)]
    assert fired(events, Rule("volume_spike", 3, bars=3, source="venue")) == []


# What may be judged


def said(seconds: float, state: TrustState, word: str = "trade") -> Status:
    return Status("moex", "A", 0, at(seconds), state, "", at(seconds), 1, word)


JUDGED: list[TrustState] = ["live", "quiet", "delayed"]
NOT_JUDGED: list[TrustState] = ["unsubscribed", "resyncing", "gapped", "stale", "closed"]


@pytest.mark.parametrize("state", [*JUDGED, *NOT_JUDGED])
@pytest.mark.parametrize("word", ["trade", "", "quote"])
def test_a_trade_is_judged_by_what_is_said_of_trades(state: TrustState, word: str) -> None:
    is_judged = state in JUDGED or word == "quote"
    found = play(Rule("large_trade", 50), [trade(0, 10, 1), said(1, state, word), trade(2, 10, 50)])
    assert told(found) == [("firing", 2)] * is_judged
    is_delayed = state == "delayed" and word != "quote"
    assert [alert.text.endswith(" at 10 (data is delayed)") for alert in found] == [is_delayed] * is_judged
    first = play(Rule("large_trade", 50), [said(1, state, word), trade(2, 10, 50)])
    assert [alert.text for alert in first] == [alert.text for alert in found], "the instrument's first event too"


def test_a_moment_is_over_when_its_time_has_passed_whatever_is_said() -> None:
    found = play(Rule("large_trade", 50, cooldown=30), [trade(0, 10, 50), said(1, "resyncing")], 100)
    assert told(found) == [("firing", 0), ("resolved", 30)]
    delayed = play(Rule("large_trade", 50, cooldown=30), [said(0, "delayed"), trade(0, 10, 50)], 100)
    assert delayed[1].text == "30 s have passed since"


@pytest.mark.parametrize(
    ("source", "word"),
    [("trades", "trade"), ("ticker", "ticker"), ("venue", "bar")],
)
def test_a_bar_is_judged_by_what_is_said_of_what_it_is_made_of(
    source: Literal["trades", "ticker", "venue"], word: str
) -> None:
    rule = Rule("volume_spike", 3, bars=3, cooldown=0, source=source)
    bars = [msgspec.structs.replace(each, source=source) for each in (bar(1, 10), bar(2, 10), bar(3, 10), bar(4, 45))]
    for each in ("trade", "ticker", "bar"):
        found = play(rule, [*bars[:3], said(190, "gapped", each), bars[3]])
        assert told(found)[:1] == [("firing", 240)] * (each != word)
    found = play(rule, [said(1, "delayed", word), *bars])
    assert found[0].text.endswith("of 60 s (data is delayed)")


@pytest.mark.parametrize("state", NOT_JUDGED)
def test_a_price_is_not_compared_with_one_before_a_time_that_was_not_judged(state: TrustState) -> None:
    rule = Rule("price_jump", 10, window=16)
    events = [trade(0, 100), said(1, state), trade(2, 200), said(3, "live"), trade(4, 150), trade(5, 170)]
    assert told(play(rule, events)) == [("firing", 5)]


def test_a_jump_goes_on_firing_until_a_price_may_be_judged_again() -> None:
    rule = Rule("price_jump", 10, window=16, cooldown=0)
    before = [trade(0, 100), trade(1, 120), said(2, "resyncing")]
    assert told(play(rule, [*before, trade(3, 100)], 1000)) == [("firing", 1)]
    found = play(rule, [*before, said(500, "live"), trade(501, 100)])
    assert told(found) == [("firing", 1), ("resolved", 501)]


def test_a_jump_that_waits_for_its_time_begins_anew_after_what_was_not_judged() -> None:
    rule = Rule("price_jump", 10, window=16, for_=5)
    events = [trade(0, 100), trade(1, 120), said(2, "gapped"), said(4, "live")]
    assert told(play(rule, events, 100)) == []


def test_the_text_tells_of_the_delay_of_the_price_that_was_judged() -> None:
    rule = Rule("price_jump", 10, window=16)
    said_of_both = [said(0, "live"), said(0, "delayed", "ticker")]
    (found,) = play(rule, [*said_of_both, trade(1, 100), trade(2, 120)])
    assert not found.text.endswith("(data is delayed)")
    tickers = [Ticker("moex", "A", 1, at(second), last=last) for second, last in ((1, 100.0), (2, 101.0), (3, 120.0))]
    (found,) = play(rule, [*said_of_both, *tickers])
    assert found.text.endswith("(data is delayed)")


def test_a_publisher_whose_words_may_be_lost_is_judged_when_it_has_said_them_again() -> None:
    engine, large = AlertEngine([Rule("large_trade", 50, cooldown=0)]), trade(0, 10, 50)
    engine.add(said(0, "live"), 0, "p")
    engine.add_gap(Gap("", "q", 1, None, None, "restart"), 1)
    assert engine.add(large, 2, "p")
    engine.add_gap(Gap("", "p", 1, None, None, "restart"), 3)
    assert not engine.add(large, 4, "p")
    engine.add(said(0, "live"), 5, "p")
    assert engine.add(large, 6, "p")
    engine.add_gap(Gap("status.moex.A", "p", 1, 1, 1, "lost"), 7)
    assert not engine.add(large, 8, "p")


def test_a_jump_that_is_almost_over_goes_on_while_nobody_knows() -> None:
    rule = Rule("price_jump", 10, window=16, cooldown=0, keep_firing_for=5)
    events = [trade(0, 100), trade(1, 120), trade(2, 109), said(3, "resyncing")]
    assert told(play(rule, events, 1000)) == [("firing", 1)]


def test_bars_of_lost_trades_are_not_judged_whoever_makes_them() -> None:
    engine = AlertEngine([Rule("volume_spike", 3, bars=3)])
    engine.add(said(0, "live"), 0, "feed")
    for start in (1, 2, 3):
        engine.add(bar(start, 10), start, "aggregator")
    engine.add_gap(Gap("", "feed", 1, None, None, "silent"), 4)
    assert not engine.add(bar(4, 90), 5, "aggregator")
    engine.add(said(0, "live"), 6, "feed")
    assert engine.add(bar(4, 90, revision=1), 7, "aggregator")


def test_what_is_said_of_all_words_replaces_what_was_said_of_one() -> None:
    live = said(0, "live", "")
    statuses = [trade(0, 10), live, said(1, "gapped"), msgspec.structs.replace(live, ts_recv=at(2))]
    assert told(play(Rule("large_trade", 50), [*statuses, trade(3, 10, 50)])) == [("firing", 3)]
    assert not play(Rule("large_trade", 50), [*statuses[:3], trade(3, 10, 50)])
