"""The figures of the bus: what is counted by feed and kind, quantiles, alerts, bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.actors.metrics import bus_figures
from feedbus.actors.metrics.bus_figures import (
    OTHER,
    QUANTILES,
    SECOND,
    BusFigures,
    PublisherFigures,
    bucket_middle,
    bucket_of,
    quantiles,
)
from feedbus.schema.events import Alert, BookDelta, BookSnapshot, Event, FeedStatus, Gap, Ticker, Trade

NOW = 1_000_000 * 60 * SECOND
MS = 1_000_000


def trade(age: int = 0, delay: int | None = None) -> Trade:
    at = NOW - age
    return Trade("moex", "TQBR.SBER", 0 if delay is None else at - delay, at, 306.1, 1.0, None, None)


def book(age: int = 0) -> BookSnapshot:
    return BookSnapshot("moex", "TQBR.SBER", 0, NOW - age, [], [], None)


def delta() -> BookDelta:
    return BookDelta("moex", "TQBR.SBER", 0, NOW, [], [], None, None)


def status(up: int, at: int = NOW, state: str = "online", name: str = "moex/0") -> FeedStatus:
    return FeedStatus("moex", name, 0, at, state, "", up, 3, {}, 0.0, None, 1)  # type: ignore[arg-type]


def alert(state: str = "firing", symbol: str = "A", rule: str = "spread", severity: str = "page") -> Alert:
    return Alert("moex", symbol, 0, NOW, rule, severity, state, None, "")  # type: ignore[arg-type]


def figures(*events: Event, window: int = 60 * SECOND) -> BusFigures:
    made = BusFigures(window)
    if events:
        made.add("moex", 1, events, NOW, NOW)
    return made


def feed(made: BusFigures, name: str = "moex") -> PublisherFigures:
    (found,) = [each for each in made.feeds if each.name == name]
    return found


def counts(found: PublisherFigures) -> dict[str, int]:
    return {stream.kind: stream.events for stream in found.streams.values()}


def test_events_are_counted_by_feed_and_kind_and_gaps_are_none() -> None:
    made = figures(book(), delta(), delta(), Gap("book.moex.A", "moex", 1, 4, 6, "lost"))
    made.add("alor", 7, [trade()], NOW, NOW)
    made.add("moex", 1, [book()], NOW, NOW)
    assert counts(feed(made)) == {"book": 2, "delta": 2}
    assert counts(feed(made, "alor")) == {"trade": 1}
    assert made.messages == 3


def test_the_first_event_of_each_kind_stands_for_all_of_the_message() -> None:
    made = figures(book(40 * MS), delta(), book(10 * MS))
    books, deltas = feed(made).streams[BookSnapshot].ages(NOW), feed(made).streams[BookDelta].ages(NOW)
    assert (books.count, books.sum) == (2, 80 * MS)
    assert books.quantiles == pytest.approx(dict.fromkeys(QUANTILES, 40 * MS), rel=0.032)
    assert (deltas.sum, deltas.quantiles) == (0, dict.fromkeys(QUANTILES, 0.0))


def test_quantiles_are_of_events_and_not_of_messages() -> None:
    made = figures(*[trade(age=SECOND, delay=SECOND)] * 9)
    for _ in range(3):
        made.add("moex", 1, [trade(delay=0)], NOW, NOW)
    trades = feed(made).streams[Trade]
    delays = trades.delays(NOW)
    assert delays is not None
    for spread in (trades.ages(NOW), delays):
        assert spread.quantiles[0.5] == pytest.approx(SECOND, rel=0.032)


def test_delays_are_by_the_venues_time_where_it_gives_one() -> None:
    made = figures(trade())
    trades = feed(made).streams[Trade]
    assert trades.delays(NOW) is None
    made.add("moex", 1, [trade(delay=-5 * MS)], NOW, NOW)
    made.add("moex", 1, [trade(delay=-5 * MS), trade()], NOW, NOW)
    delays = trades.delays(NOW)
    assert delays is not None
    assert (delays.count, delays.sum) == (3, -15 * MS)
    assert delays.quantiles[0.5] == pytest.approx(-5 * MS, rel=0.032)


def test_quantiles_are_of_the_window_and_sums_of_all() -> None:
    made = figures(trade(age=8 * SECOND), window=6 * SECOND)
    trades = feed(made).streams[Trade]
    later = NOW + 5 * SECOND
    made.add("moex", 1, [trade(age=-5 * SECOND)], later, later)
    assert trades.ages(later).quantiles[0.99] == pytest.approx(8 * SECOND, rel=0.032)
    later += SECOND
    assert trades.ages(later).quantiles == dict.fromkeys(QUANTILES, 0.0)
    later += 60 * SECOND
    assert trades.ages(later).quantiles == {}
    assert (trades.ages(later).count, trades.ages(later).sum, trades.rate(later)) == (2, 8 * SECOND, 0)


@pytest.mark.parametrize("hours", [-3, -1, 1])
def test_a_wall_clock_that_is_set_changes_ages_but_nothing_that_lasts(hours: int) -> None:
    made = BusFigures(60 * SECOND)
    jumped = NOW + hours * 3600 * SECOND
    for second, (wall, up) in enumerate([(NOW, 1), (jumped, 2), (jumped, 3)]):
        moved = [status(up, wall), Trade("moex", "A", 0, wall, 1.0, 1.0, None, None)]
        made.add("moex", 1, moved, (100 + second) * SECOND, wall)
    found = feed(made)
    assert [found.connections_up(second * SECOND) for second in (102, 117, 118)] == [3, 3, 0]
    assert found.silent_s(120 * SECOND) == 18
    assert found.heard_at == jumped
    trades = found.streams[Trade]
    assert trades.rate(110 * SECOND) == pytest.approx(0.3)
    assert trades.ages(110 * SECOND).quantiles[0.99] == 0


def test_no_age_is_counted_while_events_from_before_and_after_a_step_are_under_way() -> None:
    made = BusFigures(60 * SECOND)
    made.add("moex", 1, [trade(age=MS)], 100 * SECOND, NOW)
    made.clock_was_set(101 * SECOND)
    for wall in (NOW + 900 * SECOND, NOW - 900 * SECOND):
        made.add("moex", 1, [trade(age=MS)], 102 * SECOND, wall)
    made.add("moex", 1, [trade(age=MS)], 103 * SECOND, NOW)
    trades = feed(made).streams[Trade]
    ages = trades.ages(104 * SECOND)
    assert (trades.events, ages.count, ages.sum) == (4, 2, 2 * MS)
    assert ages.quantiles[0.99] == pytest.approx(MS, rel=0.032)


def test_a_rate_is_over_the_window_or_since_the_first_event() -> None:
    made = figures(*[trade()] * 30)
    trades = feed(made).streams[Trade]
    assert (trades.rate(NOW), trades.rate(NOW + 10 * SECOND)) == (30, 3)
    for second in range(1, 200):
        made.add("moex", 1, [trade()] * 7, NOW + second * SECOND, NOW + second * SECOND)
    assert trades.rate(NOW + 199 * SECOND) == pytest.approx(7, rel=0.03)


def test_a_rate_counts_the_silence_before_a_burst_too() -> None:
    made = figures(trade())
    made.add("moex", 1, [trade()] * 60, NOW + 600 * SECOND, NOW + 600 * SECOND)
    assert 1 <= feed(made).streams[Trade].rate(NOW + 600 * SECOND) <= 1.25  # the window ends with a whole slice


@given(st.integers(-(2**65), 2**65))
def test_a_class_has_values_within_a_sixteenth_of_one_another(ns: int) -> None:
    middle = bucket_middle(bucket_of(ns))
    assert abs(middle - ns) <= abs(ns) / 31
    assert abs(bucket_of(ns)) < 1024


@given(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=20, unique=True))
def test_classes_are_in_the_order_of_their_values(values: list[int]) -> None:
    sizes = [bucket_of(value) for value in sorted(values)]
    assert sizes == sorted(sizes)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_quantiles_are_those_of_the_values(values: list[int]) -> None:
    parts: list[dict[int, int]] = [{}, {}]
    for number, value in enumerate(values):
        part = parts[number % 2]
        part[bucket_of(value)] = part.get(bucket_of(value), 0) + 1
    for quantile, found in quantiles(parts).items():
        exact = sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]
        assert found == pytest.approx(exact, rel=1 / 31)
    assert tuple(quantiles(parts)) == QUANTILES


def test_gaps_are_counted_by_cause_with_what_is_known_to_be_lost() -> None:
    made = figures(
        Gap("book.moex.A", "moex", 1, 4, 6, "lost"),
        Gap("book.moex.B", "moex", 1, None, 9, "lost"),
        Gap("", "moex", 1, None, None, "heartbeat"),
    )
    assert (dict(feed(made).gaps), feed(made).lost) == ({"lost": 2, "heartbeat": 1, "restart": 0, "silent": 0}, 3)
    assert counts(feed(made)) == {}


def test_a_new_epoch_is_a_restart_and_ends_the_alerts_of_the_old_one() -> None:
    made = figures(alert(), alert(symbol="B"), alert(symbol="C"))
    made.add("other one", 5, [alert()], NOW, NOW)
    assert made.firing() == {("spread", "page"): 4}
    made.add("moex", 2, [alert(symbol="B")], NOW + SECOND, NOW + SECOND)
    assert (feed(made).epoch, feed(made).restarts, feed(made).heard_at) == (2, 1, NOW + SECOND)
    assert made.firing() == {("spread", "page"): 2}


def test_alerts_fire_until_they_are_resolved() -> None:
    made = figures(alert(), alert(), alert(symbol="B"), alert(rule="gap", severity="warn"))
    assert (made.firing(), dict(made.fired)) == (
        {("spread", "page"): 2, ("gap", "warn"): 1},
        {("spread", "page"): 2, ("gap", "warn"): 1},
    )
    made.add("moex", 1, [alert("resolved"), alert("resolved"), alert("resolved", rule="gap")], NOW, NOW)
    assert (made.firing(), made.fired["spread", "page"]) == ({("spread", "page"): 1, ("gap", "warn"): 0}, 2)
    made.add("moex", 1, [alert()], NOW, NOW)
    assert (made.firing()["spread", "page"], made.fired["spread", "page"]) == (2, 3)


def test_an_alert_that_grows_worse_counts_as_what_it_is_now() -> None:
    made = figures(alert(severity="warn"), alert(severity="page"))
    assert made.firing() == {("spread", "warn"): 0, ("spread", "page"): 1}


def test_connections_are_as_the_newest_word_says_and_0_once_it_is_old() -> None:
    made = figures(status(2), status(3, NOW - 1, name="moex/1"))
    found = feed(made)
    assert [found.connections_up(NOW + second * SECOND) for second in (0, 15, 16)] == [3, 3, 0]
    assert found.silent_s(NOW + 16 * SECOND) == pytest.approx(16)
    made.add("moex", 1, [status(0, NOW + 2, "stopped")], NOW, NOW)
    assert (found.connections_up(NOW + 60 * SECOND), found.silent_s(NOW + 60 * SECOND)) == (0, None)
    assert feed(figures(trade())).connections_up(NOW) is None


def test_that_nothing_comes_is_counted_and_is_no_word_of_the_publisher() -> None:
    made = figures(trade())
    heard_at = feed(made).heard_at
    later = NOW + 60 * SECOND
    made.add("moex", 1, [Gap("", "moex", 1, None, None, "silent")], later, later)
    assert (feed(made).gaps["silent"], feed(made).heard_at, feed(made).restarts) == (1, heard_at, 0)
    made.add("moex", 1, [Gap("", "moex", 1, None, None, "heartbeat")], later, later)
    assert feed(made).heard_at == later


def test_it_is_ready_when_something_came_and_no_feed_is_silent() -> None:
    assert figures().not_ready(NOW) == ["nothing has come of the bus yet"]
    made = figures(trade(), status(1))
    made.add("aggregator", 1, [trade()], NOW, NOW)
    assert made.not_ready(NOW + 15 * SECOND) == []
    assert made.not_ready(NOW + 20 * SECOND) == ["moex: no word of its connections for 20 s"]


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_what_is_no_fit_label_is_other(name: str) -> None:
    made = BusFigures(SECOND)
    made.add(name, 1, [alert(rule=name), status(1)], NOW, NOW)
    assert counts(feed(made, OTHER)) == {"alert": 1, "feed": 1}
    assert made.firing() == {(OTHER, OTHER): 1}


def test_feeds_beyond_the_limit_are_other_and_have_no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_figures, "MAX_FEEDS", 2)
    made = BusFigures(SECOND)
    for epoch, name in enumerate(["a", "b", "c", "d", "c", "a"]):
        made.add(name, epoch % 3, [trade()], NOW, NOW)
    assert {found.name: counts(found)["trade"] for found in made.feeds} == {"a": 2, "b": 1, OTHER: 3}
    assert [(found.epoch, found.restarts) for found in made.feeds] == [(2, 1), (1, 0), (None, 0)]


def test_rules_beyond_the_limit_are_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_figures, "MAX_RULES", 1)
    made = figures(alert(rule="a"), alert(rule="b"), alert(rule="c"), alert(rule="a", symbol="B"))
    assert made.firing() == {("a", "page"): 2, (OTHER, OTHER): 2}
    made.add("moex", 1, [alert("resolved", rule="c")], NOW, NOW)
    assert made.firing() == {("a", "page"): 2, (OTHER, OTHER): 1}


def test_alerts_beyond_the_limit_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_figures, "MAX_FIRING", 2)
    made = figures(*(alert(symbol=symbol) for symbol in "ABCA"))
    assert (made.firing(), made.not_kept) == ({("spread", "page"): 2}, 1)


def test_a_ticker_is_a_kind_like_any_other() -> None:
    assert counts(feed(figures(Ticker("moex", "A", 0, NOW)))) == {"ticker": 1}
