"""The books that rules judge: whatever comes, a rule about a crossed book is firing just while the naive book is
crossed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts import AlertEngine, Rule
from feedbus.schema.events import Alert, BookSnapshot, Gap, MarketData, Status, Trade
from feedbus.testing.strategies import examples
from tests.naive_books import BOOK_EVENTS, PUBLISHER, SYMBOL, VENUE, NaiveBook

CROSSED = Rule("crossed_book", cooldown=0)


def add(engine: AlertEngine, event: MarketData | Gap, now: int = 1) -> list[Alert]:
    return list(engine.add_gap(event, now) if isinstance(event, Gap) else engine.add(event, now, PUBLISHER))


@examples(300)
@given(st.lists(BOOK_EVENTS, max_size=14))
def test_a_rule_is_firing_just_while_the_naive_book_is_crossed(events: list[MarketData | Gap]) -> None:
    engine, naive, firing = AlertEngine([CROSSED, Rule("large_trade", 1)]), NaiveBook(), False
    for event in events:
        naive.add(event)
        for alert in add(engine, event):
            firing = alert.state == "firing"
        bids, asks = naive.levels() or ([], [])
        assert firing == (naive.told_crossed or bool(bids and asks and bids[0][0] >= asks[0][0]))


def picture(symbol: str = SYMBOL) -> BookSnapshot:
    return BookSnapshot(VENUE, symbol, 1, 2, [(11.0, 1.0)], [(10.0, 1.0)], None)


def gap(topic: str, publisher: str = PUBLISHER) -> Gap:
    return Gap(topic, publisher, 1, None, None, "lost")


def test_a_loss_is_told_to_the_rules_about_its_instruments() -> None:
    engine = AlertEngine([Rule("crossed_book", symbols=("A", "B"), cooldown=0), Rule("stale", 60)])
    for symbol in "ABC":  # nobody judges the book of C
        engine.add(picture(symbol), 1, PUBLISHER)
    engine.add(picture("B"), 1, "q")
    for lost, symbols in (
        (gap("", "another"), ""),
        (gap("book.fake.C"), ""),
        (Status(VENUE, "C", 1, 2, "gapped", "hole", 1, 1), ""),
        (gap(""), "A"),
        (Status(VENUE, "B", 7, 2, "gapped", "hole", 1, 1), "B"),
        (gap("", "q"), ""),
    ):
        assert [(alert.symbol, alert.state) for alert in add(engine, lost)] == [(each, "resolved") for each in symbols]


def test_a_picture_that_shows_less_of_the_same_book_ends_nothing() -> None:
    engine = AlertEngine([CROSSED])
    [alert] = add(engine, BookSnapshot(VENUE, SYMBOL, 1, 2, [(11.0, 1.0)], [(10.0, 1.0)], 5))
    assert alert.state == "firing"
    assert add(engine, BookSnapshot(VENUE, SYMBOL, 1, 2, [], [], 5)) == []


def test_a_status_is_no_data_and_time_goes_on_with_a_loss() -> None:
    engine = AlertEngine([CROSSED])
    assert add(engine, Status(VENUE, "Z", 1, 2, "live", "", 1, 1), 0) == []
    assert engine._books is not None
    assert (engine.watched, len(engine._books)) == (0, 0)  # an instrument is watched from its first data on
    engine = AlertEngine([CROSSED, Rule("stale", 10)])
    second = 1_000_000_000
    add(engine, picture(), 0)
    add(engine, Status(VENUE, SYMBOL, 1, 2, "live", "", 1, 1), 9 * second)
    found = add(engine, gap(""), 20 * second)
    assert [(alert.rule, alert.state) for alert in found] == [("stale", "firing"), ("crossed_book", "resolved")]


@pytest.mark.parametrize("rule", [Rule("stale", 1), Rule("large_trade", 1)])
def test_without_a_rule_that_judges_books_none_are_kept(rule: Rule) -> None:
    engine = AlertEngine([rule])
    for event in (picture(), Trade(VENUE, SYMBOL, 1, 2, 1.0, 0.5, None, None), gap("")):
        assert add(engine, event) == []
    assert engine._books is None


def test_books_beyond_the_limit_are_not_judged_and_counted() -> None:
    engine = AlertEngine([CROSSED], max_instruments=1)
    assert add(engine, Status(VENUE, "Z", 1, 2, "stale", "", 1, 1)) == []  # a status takes no place
    assert [alert.state for alert in add(engine, picture())] == ["firing"]
    assert (add(engine, picture("B")), engine.passed_over) == ([], 1)
