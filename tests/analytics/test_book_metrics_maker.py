"""The maker of book metrics: what is published when, and what deltas, statuses, quotes and Gaps do. Whatever comes, the
metrics are those of the book as a naive reader has it, or unknown."""

from __future__ import annotations

from math import inf, nan
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.analytics import book_metrics
from feedbus.analytics.book_metrics_maker import BookMetricsMaker
from feedbus.analytics.options import AggregateCounters, Options
from feedbus.books.books import Books
from feedbus.books.order_book import OrderBook
from feedbus.schema.events import (
    UNUSABLE_STATES,
    BookDelta,
    BookMetrics,
    BookSnapshot,
    Gap,
    Level,
    MarketData,
    Quote,
    Status,
    TrustState,
)
from feedbus.testing.strategies import examples
from tests.naive_books import BOOK_EVENTS, NaiveBook
from tests.numbered_books import Venue


def book(bid: float, symbol: str = "A", venue: str = "fake", sequence: int | None = 10) -> BookSnapshot:
    return BookSnapshot(venue, symbol, 1, 2, [(bid, 1.0)], [(bid + 2, 1.0)], sequence, True, True)


def quote(bid: float, symbol: str = "A") -> Quote:
    return Quote("fake", symbol, 3, 4, bid, 1.0, bid + 2, 1.0, None)


def delta(first: int = 11, bid: Level = (99.0, 0.0), symbol: str = "A") -> BookDelta:
    return BookDelta("fake", symbol, 5, 6, [bid], [], first, first)


def status(state: TrustState, word: str = "book", symbol: str = "A") -> Status:
    return Status("fake", symbol, 7, 8, state, "", 0, 1, word)


def gap(topic: str, publisher: str = "p") -> Gap:
    return Gap(topic, publisher, 1, None, None, "lost")


class Rig:
    """A maker that takes in events at a given time, all of them of one publisher."""

    def __init__(self, options: Options | None = None) -> None:
        self.counters = AggregateCounters()
        self.maker = BookMetricsMaker(options or Options(), self.counters)
        self.maker.publisher = "p"

    def publish(self, now: float, *events: MarketData | Gap) -> list[MarketData]:
        """Returns what is published at this time."""
        for event in events:
            match event:
                case BookSnapshot():
                    self.maker.add_book(event, now)
                case BookDelta():
                    self.maker.add_delta(event, now)
                case Quote():
                    self.maker.add_quote(event, now)
                case Status():
                    self.maker.add_status(event, now)
                case Gap():
                    self.maker.add_gap(event, {"fake"}, now)
        self.maker.count_books()
        return self.maker.take(now)

    def add(self, now: float, *events: MarketData | Gap) -> list[float | None]:
        """Returns the mids that are published at this time; None stands for unknown metrics."""
        return [event.mid for event in self.publish(now, *events) if isinstance(event, BookMetrics)]


def test_the_newest_book_is_published_a_few_times_a_second() -> None:
    rig = Rig(Options(book_every=0.25))
    assert rig.add(0.0, book(1.0), book(2.0)) == [3.0]
    assert rig.maker.next_due() == inf
    assert rig.add(0.1, book(3.0)) == []
    assert rig.add(0.2, book(4.0)) == []
    assert rig.maker.next_due() == 0.25
    assert rig.add(0.25) == [5.0]
    assert rig.add(10.0) == []
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


def test_quotes_count_again_while_there_is_no_book() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(1.0, gap("book.fake.A")) == [None]
    assert rig.add(2.0, quote(7.0)) == [8.0]
    assert rig.add(3.0, book(9.0)) == [10.0]
    assert rig.add(4.0, status("stale"), quote(7.0)) == [8.0]
    assert rig.add(5.0, status("live")) == [10.0]  # it was only hidden
    assert rig.add(6.0, quote(7.0)) == []


# Deltas


def test_after_a_delta_the_metrics_are_those_of_the_changed_book() -> None:
    rig = Rig(Options(levels=(1, 3)))
    rig.add(0.0, book(5.0))
    [metrics] = rig.publish(1.0, delta(11, (6.0, 3.0)))
    assert metrics == BookMetrics(
        "fake", "A", 5, 6, 1.0, 1 / 6.5, 6.5, 6.75, [1, 3], [3.0, 4.0], [1.0, 1.0], [0.5, 0.6], 6 * 3 + 5 + 7.0
    )
    assert rig.add(2.0, delta(12, (6.0, 0.0)), book(5.0, sequence=12)) == [6.0]
    assert (rig.counters.deltas, rig.counters.disagreed) == (2, 0)


def test_metrics_are_computed_for_what_is_published_only() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(0.1, delta(11, (6.0, 1.0)), delta(12, (6.5, 1.0))) == []
    assert rig.add(0.2, delta(13, (6.5, 0.0))) == []
    assert rig.add(0.25) == [6.5]
    assert (rig.counters.metrics, rig.add(9.0)) == (2, [])


def test_a_delta_that_says_nothing_new_is_not_published() -> None:
    rig = Rig(Options(book_every=0.0))
    assert rig.add(0.0, book(5.0), delta(11, (6.0, 1.0)), delta(11, (6.0, 1.0)), delta(9)) == [6.0, 6.5]


def test_deltas_of_a_book_that_never_came_say_nothing() -> None:
    rig = Rig()
    assert rig.add(0.0, delta()) == []
    assert rig.add(1.0, quote(1.0), delta()) == [2.0]
    assert (len(rig.maker), rig.counters.deltas, rig.counters.passed_over) == (1, 2, 2)


# What isn't known any more


@pytest.mark.parametrize(
    ("loss", "times"),
    [
        (delta(12), (5, 6)),
        (gap("book.fake.A"), (1, 2)),
        (gap("status.fake.A"), (1, 2)),
        (gap(""), (1, 2)),
        *((status(state, word), (7, 8)) for state in sorted(UNUSABLE_STATES) for word in ("", "book")),
    ],
)
def test_a_lost_book_is_said_once_until_the_next_full_one(loss: MarketData | Gap, times: tuple[int, int]) -> None:
    rig = Rig()
    assert rig.add(0.0, book(5.0)) == [6.0]
    unknown = BookMetrics("fake", "A", *times, None, None, None, None, [], [], [], [], None)
    assert rig.publish(1.0, loss) == [unknown]
    assert rig.add(2.0, loss, delta(11), delta(12)) == []
    assert rig.add(3.0, status("live"), book(6.0, sequence=20)) == [7.0]


def test_a_stale_book_is_back_as_it_has_become_when_it_is_live() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(1.0, status("stale")) == [None]
    assert rig.add(2.0, delta(11, (6.0, 1.0)), book(6.0, sequence=11)) == []
    assert rig.add(3.0, status("live")) == [7.0]
    assert rig.add(4.0, status("live"), status("quiet"), status("gapped", "trade")) == []


def test_a_status_that_came_before_the_book_counts() -> None:
    rig = Rig()
    assert rig.add(0.0, status("stale"), status("resyncing", symbol="B"), book(5.0), book(6.0, "B")) == []
    assert rig.add(1.0, status("live"), status("quiet", symbol="B")) == [6.0, 7.0]
    assert rig.add(2.0, status("stale", symbol="C"), status("live", symbol="C"), book(5.0, "C")) == [6.0]
    assert len(rig.maker) == 3


def test_a_book_that_is_lost_before_its_turn_is_not_published_any_more() -> None:
    rig = Rig()
    rig.add(0.0, book(5.0))
    assert rig.add(0.1, book(6.0), gap("")) == []
    assert rig.add(0.25) == [None]


@pytest.mark.parametrize(
    ("event", "lost", "dropped"),
    [
        (book(5.0), gap("book.fake.A"), True),
        (book(5.0), gap("quote.fake.A"), False),
        (book(5.0), gap("book.fake.B"), False),
        (book(5.0), gap("", "another"), False),
        (quote(5.0), gap("quote.fake.A"), True),
        (quote(5.0), gap("book.fake.A"), False),
        (quote(5.0), gap("quote.fake.B"), False),
        (quote(5.0), gap(""), True),
        (quote(5.0), status("stale", "quote"), True),
        (quote(5.0), status("gapped", ""), True),
        (quote(5.0), status("gapped", "book"), False),
        (quote(5.0), status("quiet", ""), False),
    ],
)
def test_a_loss_drops_what_came_in_the_same_way_once(event: MarketData, lost: MarketData | Gap, dropped: bool) -> None:
    rig = Rig()
    assert rig.add(0.0, event) == [6.0]
    assert rig.add(1.0, lost, lost) == [None] * dropped
    assert rig.add(1.5, lost) == []
    assert rig.add(2.0, event) == [6.0]


@pytest.mark.parametrize(("venues", "dropped"), [(None, 2), ({"fake"}, 1), (set(), 0)])
def test_a_gap_in_anything_drops_the_quotes_of_some_venues(venues: set[str] | None, dropped: int) -> None:
    rig = Rig()
    rig.add(0.0, quote(5.0), msgspec.structs.replace(quote(5.0), venue="other"))
    rig.maker.add_gap(gap(""), venues, 1.0)
    assert rig.add(1.0) == [None] * dropped


# Whatever comes


@examples(150)
@given(st.lists(st.tuples(BOOK_EVENTS, st.sampled_from([0.0, 0.1, 0.3])), max_size=14), st.sampled_from([0.0, 0.25]))
def test_metrics_are_those_of_the_naive_book_or_unknown(
    steps: list[tuple[MarketData | Gap, float]], every: float
) -> None:
    levels = (1, 3)
    rig, naive, now = Rig(Options(levels=levels, book_every=every)), NaiveBook(), 0.0
    shown: MarketData | None = None  # the newest metrics that are known
    for number, (event, passed) in enumerate([*steps, (gap("trade.fake.A"), 1.0)]):
        now += passed
        naive.add(event)
        for found in rig.publish(now, event):
            assert isinstance(found, BookMetrics)
            assert every or found.levels or shown is not None  # that nothing is known is said once
            shown = found if found.levels else None
        if not every or number == len(steps):
            known = naive.levels()
            assert shown == (
                known and book_metrics.of_book(book(0.0), *known, levels, bids_whole=True, asks_whole=True)
            )


SAID: tuple[TrustState, ...] = ("gapped", "live")
FIGURES = ("spread", "relative_spread", "mid", "microprice", "liquidity")


@examples(300)
@given(st.integers(0, 2**32).map(Random))
def test_a_late_reader_says_the_same_as_an_early_one_or_less(random: Random) -> None:
    """The early one has the whole picture, the late one the best levels that are published again."""
    venue, books, levels, join = Venue(random), Books(), (1, 3, 6), random.randint(1, 20)
    early, late = (Rig(Options(levels=levels, book_every=0.0)) for _ in range(2))
    for number in range(30):
        delta = venue.change()
        events: list[MarketData] = [delta]
        if not number or random.random() < 0.1:
            wrong, right = (Status("v", "S", 7, 8, state, "", 0, 1, "book") for state in SAID)
            events = [delta, wrong, venue.picture(20), right]
        elif random.random() < 0.5:
            events = [delta, venue.picture(random.choice([1, 2, 4]))]
        for event in events:
            books.add("p", event)
            found = early.publish(1.0, event)
            if number >= join:
                for less in late.publish(1.0, event):
                    _says_less(less, found[-1])
            if found and (ours := books.get("v", "S")) is not None:
                _is_of(found[-1], ours, levels)


def _is_of(metrics: MarketData, book: OrderBook, levels: tuple[int, ...]) -> None:
    assert isinstance(metrics, BookMetrics)
    volumes = {level: (book.bids.volume(level), book.asks.volume(level)) for level in levels}
    known = {level: both for level, both in volumes.items() if None not in both}
    depths = zip(metrics.bid_depth, metrics.ask_depth, strict=True)
    assert dict(zip(metrics.levels, depths, strict=True)) == known
    assert metrics.imbalance == [book.imbalance(level) for level in known]


def _says_less(less: MarketData, more: MarketData) -> None:
    assert isinstance(less, BookMetrics)
    assert isinstance(more, BookMetrics)
    for name in FIGURES:
        assert getattr(less, name) in (None, getattr(more, name))
    of_less, of_more = (
        dict(zip(each.levels, zip(each.bid_depth, each.ask_depth, each.imbalance, strict=True), strict=True))
        for each in (less, more)
    )
    assert of_less.items() <= of_more.items()


# Limits


def test_a_book_with_numbers_that_are_none_is_counted_and_left_out() -> None:
    rig = Rig()
    assert rig.add(0.0, book(nan)) == []
    assert (rig.counters.unusable, rig.counters.metrics) == (1, 0)
    assert rig.add(1.0, book(5.0)) == [6.0]


def test_instruments_beyond_the_limit_are_ignored_and_counted() -> None:
    rig = Rig(Options(max_instruments=1))
    assert rig.add(0.0, book(5.0), book(6.0, "B"), quote(6.0, "C"), delta(symbol="D")) == [6.0]
    assert (rig.counters.ignored, len(rig.maker)) == (2, 1)
