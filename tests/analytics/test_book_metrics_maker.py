"""The maker of book metrics: what is published when, and what deltas, quotes and gaps do."""

from __future__ import annotations

from math import inf, nan

import pytest

from feedbus.analytics.book_metrics_maker import BookMetricsMaker
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.schema.events import BookDelta, BookMetrics, BookSnapshot, MarketData, Quote


def book(bid: float, symbol: str = "A", venue: str = "fake") -> BookSnapshot:
    return BookSnapshot(venue, symbol, 1, 2, [(bid, 1.0)], [(bid + 2, 1.0)], None)


def quote(bid: float, symbol: str = "A") -> Quote:
    return Quote("fake", symbol, 3, 4, bid, 1.0, bid + 2, 1.0, None)


def delta(symbol: str = "A") -> BookDelta:
    return BookDelta("fake", symbol, 5, 6, [(99.0, 0.0)], [], None, None)


class Rig:
    """A maker that takes in events at a given time."""

    def __init__(self, options: Options | None = None) -> None:
        self.counters = AggregateCounters()
        self.maker = BookMetricsMaker(options or Options(), self.counters)

    def add(self, now: float, *events: MarketData) -> list[float | None]:
        """Returns the mids that are published at this time; None stands for unknown metrics."""
        for event in events:
            match event:
                case BookSnapshot():
                    self.maker.add_book(event, now)
                case BookDelta():
                    self.maker.add_delta(event, now)
                case Quote():
                    self.maker.add_quote(event, now)
        return self.mids(now)

    def mids(self, now: float) -> list[float | None]:
        return [event.mid for event in self.maker.take(now) if isinstance(event, BookMetrics)]


def test_the_newest_book_is_published_a_few_times_a_second() -> None:
    rig = Rig(Options(book_every=0.25))
    assert rig.add(0.0, book(1.0), book(2.0)) == [3.0]
    assert rig.maker.next_due() == inf
    assert rig.add(0.1, book(3.0)) == []
    assert rig.add(0.2, book(4.0)) == []
    assert rig.maker.next_due() == 0.25
    assert rig.mids(0.25) == [5.0]
    assert rig.mids(10.0) == []
    assert (rig.counters.books, rig.counters.metrics) == (4, 2)


def test_with_no_pause_every_book_is_published() -> None:
    rig = Rig(Options(book_every=0.0))
    assert rig.add(0.0, book(1.0), book(2.0), book(3.0, "B")) == [2.0, 3.0, 4.0]


def test_metrics_are_those_of_the_book_with_its_times() -> None:
    rig = Rig(Options(levels=(1, 2)))
    rig.maker.add_book(book(1.0), 0.0)
    [metrics] = rig.maker.take(0.0)
    assert isinstance(metrics, BookMetrics)
    assert (metrics.venue, metrics.symbol, metrics.ts_event, metrics.ts_recv) == ("fake", "A", 1, 2)
    assert (metrics.levels, metrics.liquidity) == ([1, 2], 4.0)


# Quotes


def test_quotes_count_where_there_are_no_books() -> None:
    rig = Rig()
    assert rig.add(0.0, quote(1.0)) == [2.0]
    assert rig.add(1.0, book(5.0)) == [6.0]
    assert rig.add(2.0, quote(1.0)) == []
    assert rig.counters.quotes == 2


def test_quotes_count_again_while_no_full_book_is_known() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(1.0, delta()) == [None]
    assert rig.add(2.0, quote(7.0)) == [8.0]
    assert rig.add(3.0, book(9.0)) == [10.0]


# What isn't known any more


def test_a_delta_makes_the_metrics_unknown_once_until_the_next_book() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    rig.maker.add_delta(delta(), 1.0)
    [metrics] = rig.maker.take(1.0)
    assert metrics == BookMetrics("fake", "A", 5, 6, None, None, None, None, [], [], [], [], None)
    assert rig.add(2.0, delta(), delta()) == []
    assert rig.add(3.0, book(6.0)) == [7.0]
    assert rig.counters.deltas == 3


def test_a_book_that_a_delta_has_changed_is_not_published_any_more() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(0.1, book(6.0), delta()) == []
    assert rig.mids(0.25) == [None]


def test_deltas_of_a_book_that_never_came_say_nothing() -> None:
    rig = Rig()
    assert rig.add(0.0, delta()) == []
    assert rig.add(1.0, quote(1.0), delta()) == [2.0]
    assert (len(rig.maker), rig.counters.deltas) == (1, 2)


@pytest.mark.parametrize(
    ("event", "word", "symbol", "dropped"),
    [
        (book(5.0), "book", "A", True),
        (book(5.0), "quote", "A", False),
        (book(5.0), "book", "B", False),
        (quote(5.0), "quote", "A", True),
        (quote(5.0), "book", "A", False),
    ],
)
def test_a_gap_drops_what_came_on_its_topic(event: MarketData, word: str, symbol: str, dropped: bool) -> None:
    rig = Rig()
    rig.add(0.0, event)
    rig.maker.mark_gap(word, "fake", symbol, 1.0)
    rig.maker.mark_gap(word, "fake", symbol, 1.0)
    assert rig.mids(1.0) == [None] * dropped
    rig.maker.mark_gap_in_venues({"fake"}, 1.5)
    assert rig.mids(1.5) == [None] * (not dropped)  # once
    assert rig.add(2.0, event) == [6.0]


@pytest.mark.parametrize(("venues", "dropped"), [(None, 2), ({"fake"}, 1), (set(), 0)])
def test_a_gap_in_anything_drops_the_books_of_some_venues(venues: set[str] | None, dropped: int) -> None:
    rig = Rig()
    rig.add(0.0, book(5.0), book(5.0, venue="other"))
    rig.maker.mark_gap_in_venues(venues, 1.0)
    assert rig.mids(1.0) == [None] * dropped


# Limits


def test_a_book_with_numbers_that_are_none_is_counted_and_left_out() -> None:
    rig = Rig()
    assert rig.add(0.0, book(nan)) == []
    assert (rig.counters.unusable, rig.counters.metrics) == (1, 0)
    assert rig.add(1.0, book(5.0)) == [6.0]


def test_instruments_beyond_the_limit_are_ignored_and_counted() -> None:
    rig = Rig(Options(max_instruments=1))
    assert rig.add(0.0, book(5.0), book(6.0, "B"), quote(6.0, "C"), delta("D")) == [6.0]
    assert (rig.counters.ignored, len(rig.maker)) == (2, 1)
