"""What is older than what was published is refused, for some time."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Bar, BookSnapshot, Quote
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.in_order import BarsByTime, ByNumber, ByNumberAndTime, ByTime
from feedbus.trust.replays import MOST_REFUSED
from feedbus.venues.binance.payloads import reader
from feedbus.venues.protocol import Subscription
from tests.captured_trades import CAPTURE

Ordered = ByNumber | ByTime | ByNumberAndTime | BarsByTime


def book(number: int | None, time: int) -> BookSnapshot:
    return BookSnapshot("v", "A", time, 7, [], [], number)


def bar(period_s: int, time: int) -> Bar:
    prices = (1.0, 1.0, 1.0, 1.0)
    return Bar("v", "A", time, 7, "venue", period_s, 0, *prices, None, None, None, None, None, None, False, 0, True)


def refused(checker: Ordered, *events: Any, now: float = 0.0) -> list[bool]:
    return [(finding := checker.check(event, now)) is not None and finding.refuse for event in events]


def test_best_bids_and_asks_of_the_capture_come_in_order() -> None:
    if not CAPTURE.exists():
        pytest.skip("the captures aren't on this machine")
    read = reader(Subscription("bookTicker", "BTCUSDT"), {})
    checker = ByNumber("quote", LossCounts())
    quotes: list[Quote] = []
    with gzip.open(CAPTURE, "rb") as lines:
        for line in lines:
            if b"@bookTicker" in line[:60]:
                event = read(line[line.index(b'"data":') + 7 : line.rindex(b"}")], 7)
                assert isinstance(event, Quote)
                quotes.append(event)
    assert len(quotes) == 28040
    assert not any(refused(checker, *quotes))
    assert refused(checker, quotes[-2], quotes[0], quotes[-1]) == [True, True, False]


@pytest.mark.parametrize(
    ("checker", "events", "expected"),
    [
        (ByNumber("book", LossCounts()), [(5, 9), (5, 0), (4, 99), (7, 0), (None, 0), (6, 0)], "..!..."),
        (ByTime("book", LossCounts()), [(None, 5), (None, 5), (9, 4), (None, 0), (1, 6), (None, 5)], "..!..!"),
        (ByNumberAndTime("book", LossCounts()), [(5, 5), (5, 5), (4, 5), (4, 4), (6, 4), (3, 5), (2, 5)], "..!!..!"),
        (ByNumberAndTime("book", LossCounts()), [(5, 0), (4, 0), (6, 0)], ".!."),
    ],
)
def test_what_is_older_is_refused(checker: Ordered, events: list[tuple[int | None, int]], expected: str) -> None:
    assert refused(checker, *[book(*event) for event in events]) == [mark == "!" for mark in expected]


def test_a_refusal_says_by_how_much_it_is_old() -> None:
    checker = ByTime("ticker", LossCounts())
    checker.check(book(None, 5_000_000_000), 0.0)
    finding = checker.check(book(None, 3_500_000_000), 0.0)
    assert finding == Finding("", "", "a ticker came that is 1,500.000 ms older than the last one", refuse=True)


@pytest.mark.parametrize("kind", [ByNumber, ByTime, ByNumberAndTime])
def test_a_venue_that_went_back_for_good_is_resynced_and_then_believed(kind: type[ByNumber]) -> None:
    counts = LossCounts()
    checker = kind("book", counts)
    checker.check(book(500, 500), 0.0)
    findings = [checker.check(book(at, at), 0.0) for at in range(1, MOST_REFUSED + 4)]
    states = [finding and (finding.state, finding.refuse) for finding in findings]
    assert states == [("", True)] * MOST_REFUSED + [("gapped", True), None, None]
    assert (counts.replays, counts.gone_back) == (MOST_REFUSED + 1, 1)


@pytest.mark.parametrize("kind", [ByNumber, ByTime, ByNumberAndTime])
def test_what_is_subscribed_anew_may_begin_anywhere(kind: type[ByNumber]) -> None:
    checker = kind("book", LossCounts())
    checker.check(book(500, 500), 0.0)
    checker.reset()
    assert refused(checker, book(3, 3), book(2, 2)) == [False, True]


def test_bars_of_each_length_come_in_an_order_of_their_own() -> None:
    checker = BarsByTime(LossCounts())
    assert refused(checker, bar(60, 9), bar(3600, 8), bar(60, 9), bar(60, 8), bar(3600, 8)) == [
        False, False, False, True, False,
    ]  # fmt: skip
    checker.reset()
    assert refused(checker, bar(60, 1)) == [False]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_what_is_published_never_goes_back(numbers: list[int]) -> None:
    for checker, event in ((ByNumber("x", LossCounts()), book), (ByTime("x", LossCounts()), book)):
        published = [number for number in numbers if not refused(checker, event(number, number))[0]]
        assert published == sorted(published)
        assert max(published) == max(numbers)
