"""Ids of trades: what is missing, what comes late, and what comes again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Trade
from feedbus.trust.findings import Finding, LossCounts
from feedbus.trust.replays import MOST_REFUSED, REFUSED_FOR
from feedbus.trust.trade_ids import (
    HOLES_KEPT,
    IDS_KEPT,
    MOST_LOST,
    AggregateTrades,
    TradeChecker,
    TradesByOne,
    TradesThatGrow,
)
from feedbus.trust.trade_spans import TradeSpans
from feedbus.venues.trading_days import moscow
from tests.captured_trades import captured_trades

DAY = 86_400_000_000_000
MONDAY = 1_719_824_400_000_000_000  # 12:00 in Moscow


def trade(number: int | str | None, time: int = MONDAY) -> Trade:
    return Trade("v", "A", time, 7, 1.0, 1.0, "buy", number)


def found(checker: TradeChecker, *numbers: int, time: int = MONDAY, now: float = 0.0) -> list[Finding | None]:
    return [checker.check(trade(number, time), now) for number in numbers]


def by_one(*numbers: int) -> TradesByOne:
    checker = TradesByOne(LossCounts())
    assert found(checker, *numbers) == [None] * len(numbers)
    return checker


def test_ids_of_the_capture_leave_none_out() -> None:
    counts = LossCounts()
    checker = TradesByOne(counts)
    trades = captured_trades()
    assert [checker.check(each, each.ts_recv / 1e9) for each in trades] == [None] * 9757
    assert not any(counts.totals().values())


@pytest.mark.parametrize("dropped", [1, 7, 5000])
@pytest.mark.parametrize("places", [1, 3])
def test_of_k_trades_that_are_left_out_of_the_capture_exactly_k_are_missed(dropped: int, places: int) -> None:
    trades = captured_trades()
    dropped = min(dropped, len(trades) // places - 2)
    step = len(trades) // places
    left_out = {place * step + 1 + at for place in range(places) for at in range(dropped)}
    counts = LossCounts()
    checker = TradesByOne(counts)
    findings = [checker.check(each, 0.0) for place, each in enumerate(trades) if place not in left_out]
    lost = [each.lost for each in findings if each is not None]
    assert lost == [dropped] * places
    assert (counts.holes, counts.trades_lost) == (places, places * dropped)
    assert {(each.state, each.reason, each.refuse) for each in findings if each} == {("gapped", "hole", False)}


def test_a_hole_is_told_with_its_numbers() -> None:
    [finding] = found(by_one(5, 6), 10)
    assert finding == Finding("gapped", "hole", "3 trades missed: 7 to 9", 3)
    [finding] = found(by_one(5, 6), 8)
    assert finding == Finding("gapped", "hole", "1 trade missed: 7", 1)


def test_what_is_missed_while_the_connection_is_away_is_exact_and_is_no_gap_of_its_own() -> None:
    checker = by_one(5, 6)
    checker.reset()
    [finding] = found(checker, 10)
    assert finding == Finding("resyncing", "hole", "3 trades missed while the connection was away: 7 to 9", 3)
    assert found(checker, 11, 13)[1] == Finding("gapped", "hole", "1 trade missed: 12", 1)


def test_a_hole_on_the_new_connection_is_one_of_that_connection() -> None:
    checker = by_one(5, 6)
    checker.reset()
    assert found(checker, 7) == [None]
    [finding] = found(checker, 10)
    assert finding is not None
    assert finding.state == "gapped"


def test_nothing_is_missed_before_the_first_trade() -> None:
    checker = TradesByOne(LossCounts())
    checker.reset()
    assert found(checker, 1_000_000) == [None]


@pytest.mark.parametrize("number", [None, "abc"])
def test_a_trade_without_a_number_says_nothing(number: str | None) -> None:
    checker = by_one(5)
    assert checker.check(trade(number), 0.0) is None
    assert found(checker, 6) == [None]


def test_what_comes_again_is_refused_and_what_comes_late_is_not() -> None:
    checker = by_one(5, 6)
    late = found(checker, 9, 6, 8, 8, 7, 10)
    assert [each and each.refuse for each in late] == [False, True, False, True, False, None]
    assert late[1] == Finding("", "", "trade 6 came again after 9", refuse=True)
    assert late[2] == Finding("", "", "trade 8, which was missing, came after all")
    assert late[5] is None


def test_a_venue_that_numbers_anew_is_believed_at_once_where_its_time_goes_on() -> None:
    checker = by_one(500)
    [finding, *others] = found(checker, 20, 21, time=MONDAY + 1)
    assert finding is not None
    assert (finding.state, finding.refuse, finding.lost) == ("gapped", False, None)
    assert others == [None]


@pytest.mark.parametrize("time", [0, MONDAY - 1, MONDAY])
def test_a_venue_that_went_back_for_good_is_not_refused_for_ever(time: int) -> None:
    counts = LossCounts()
    checker = TradesByOne(counts)
    found(checker, 500)
    findings = found(checker, *range(20, 20 + MOST_REFUSED + 3), time=time)
    assert all(each is not None and each.refuse and not each.state for each in findings[:MOST_REFUSED])
    last = findings[MOST_REFUSED]
    assert last is not None
    assert (last.state, last.reason, last.refuse) == ("gapped", "hole", True)
    assert findings[MOST_REFUSED + 1 :] == [None, None]
    assert (counts.replays, counts.gone_back) == (MOST_REFUSED + 1, 1)


def test_a_last_trade_without_a_time_says_nothing_of_newer_ones() -> None:
    checker = TradesByOne(LossCounts())
    found(checker, 500, time=0)
    assert [each and each.refuse for each in found(checker, 20)] == [True]


def test_a_venue_that_trades_seldom_is_believed_at_the_second_trade() -> None:
    checker = by_one(500)
    assert [each and each.state for each in found(checker, 20, now=1.0)] == [""]
    assert [each and each.state for each in found(checker, 21, now=2.0 + REFUSED_FOR)] == ["gapped"]
    assert found(checker, 22) == [None]


def test_a_hole_too_large_to_be_one_is_not_counted() -> None:
    counts = LossCounts()
    checker = TradesByOne(counts)
    findings = found(checker, 1, 1 + MOST_LOST + 2)
    assert findings[1] is not None
    assert (findings[1].state, findings[1].lost, counts.trades_lost) == ("gapped", None, 0)


@given(
    st.permutations(range(60)),
    st.lists(st.integers(0, 59), max_size=20),
    st.sets(st.integers(1, 59), max_size=40),
    st.integers(0, 8),
)
def test_whatever_comes_late_again_or_never_each_trade_is_published_once_and_the_missing_are_counted(
    order: list[int], again: list[int], never: set[int], nearby: int
) -> None:
    """Trades are moved by a few places, come again and are left out. What a naive model knows: which numbers came."""
    moved = sorted(range(60), key=lambda number: number + (order[number] % (nearby + 1)))
    stream = [number for number in moved if number not in never]
    for number in again:
        stream.insert(min(len(stream), number), number if number not in never else stream[0])
    counts = LossCounts()
    checker = TradesByOne(counts)
    published: Counter[int] = Counter()
    findings = []
    for number in stream:
        finding = checker.check(trade(number), 0.0)
        findings.append(finding)
        if finding is None or not finding.refuse:
            published[number] += 1
    first, last = stream[0], max(stream)
    assert max(published.values()) == 1
    inside = {number for number in stream if number >= first}
    kept = counts.holes + counts.trades_late <= HOLES_KEPT  # no hole has been forgotten
    if kept:
        assert set(published) == inside
        assert counts.trades_lost - counts.trades_late == len(set(range(first, last + 1)) - inside)
    assert counts.trades_lost == sum(each.lost or 0 for each in findings if each)
    assert counts.replays == sum(each.refuse for each in findings if each)


def grow(*numbers: int, counts: LossCounts | None = None) -> TradesThatGrow:
    checker = TradesThatGrow(counts or LossCounts(), moscow)
    assert found(checker, *numbers) == [None] * len(numbers)
    return checker


def test_where_ids_only_grow_a_hole_means_nothing() -> None:
    checker = grow(5, 6, 1000, 10**18)
    checker.reset()
    assert found(checker, 2 * 10**18) == [None]


def test_where_ids_only_grow_a_repeated_one_is_refused_also_over_reconnects() -> None:
    counts = LossCounts()
    checker = grow(5, 60, counts=counts)
    checker.reset()
    assert [each and (each.state, each.refuse) for each in found(checker, 60, 5, 61, 3)] == [
        ("", True), ("", True), None, ("", True),
    ]  # fmt: skip
    assert counts.replays == 3


def test_where_ids_only_grow_one_that_never_came_is_late() -> None:
    counts = LossCounts()
    checker = grow(5, 60, 70, counts=counts)
    assert [each and each.refuse for each in found(checker, 65, 65, 59, 71, 65)] == [False, True, False, None, True]
    assert counts.trades_late == 2


def test_what_is_known_of_ids_that_grow_is_bounded() -> None:
    checker = grow(*range(1000, 1000 + 10 * IDS_KEPT, 10))
    assert [each and each.refuse for each in found(checker, 1015, 1015)] == [False, True]  # 1000 is forgotten for it
    assert [each and each.refuse for each in found(checker, 1005, 1000)] == [True, True]
    assert found(checker, 10**6) == [None]


def test_one_that_came_late_is_forgotten_in_its_turn() -> None:
    numbers = [*range(1000, 3000, 10)]
    checker = grow(*numbers[:IDS_KEPT])
    assert [each and each.refuse for each in found(checker, 1015)] == [False]
    found(checker, *numbers[IDS_KEPT : 2 * IDS_KEPT - 1])
    assert [each and each.refuse for each in found(checker, 1100)] == [True]


def test_ids_may_begin_anew_with_a_trading_day_and_not_within_one() -> None:
    checker = grow(500, 501)
    assert found(checker, 3, time=MONDAY + DAY) == [None]
    [finding] = found(checker, 1, time=MONDAY + DAY + 1)
    assert finding is not None
    assert (finding.state, finding.reason, finding.refuse, finding.lost) == ("gapped", "hole", False, None)
    assert found(checker, 2, time=MONDAY + DAY + 2) == [None]


def test_ids_that_went_back_for_good_are_not_refused_for_ever() -> None:
    checker = grow(500)
    findings = found(checker, *range(20, 20 + MOST_REFUSED + 2))
    assert [each and each.state for each in findings[-2:]] == ["gapped", None]


class Aggregates:
    """Aggregate trades, as a reader would read them."""

    def __init__(self) -> None:
        self.counts = LossCounts()
        self.spans = TradeSpans()
        self.checker = AggregateTrades(self.counts, self.spans.watch("A"))

    def read(self, number: int, first: int, last: int) -> Trade:
        self.spans.put("A", number, first, last)
        return trade(number)

    def found(self, *spans: tuple[int, int, int]) -> list[Finding | None]:
        return [self.checker.check(event, 0.0) for event in [self.read(*span) for span in spans]]


def test_spans_that_follow_one_another_leave_none_out() -> None:
    assert Aggregates().found((1, 10, 12), (2, 13, 13), (3, 14, 20)) == [None] * 3


def test_a_hole_between_two_spans_is_a_loss_of_the_trades_in_it() -> None:
    aggregates = Aggregates()
    findings = aggregates.found((1, 10, 12), (3, 17, 20))
    assert findings == [None, Finding("gapped", "hole", "4 trades missed: 13 to 16", 4)]
    assert aggregates.found((2, 13, 16)) == [Finding("", "", "trade 13 to 16, which was missing, came after all")]
    assert (aggregates.counts.trades_lost, aggregates.counts.trades_late) == (4, 4)
    aggregates.checker.reset()
    [finding] = aggregates.found((9, 31, 32))
    assert finding is not None
    assert (finding.state, finding.lost) == ("resyncing", 10)


def test_a_span_that_comes_again_is_refused_also_in_the_same_read() -> None:
    aggregates = Aggregates()
    found = aggregates.found((1, 10, 12), (2, 13, 13), (2, 13, 13), (1, 10, 12), (3, 14, 14))
    assert [each and each.refuse for each in found] == [None, None, True, True, None]


def test_a_span_of_which_a_part_was_published_goes_on_from_its_end() -> None:
    assert Aggregates().found((1, 10, 12), (2, 12, 14), (3, 15, 15)) == [None] * 3


def test_a_span_that_is_not_known_invents_no_loss() -> None:
    aggregates = Aggregates()
    aggregates.found((1, 10, 12))
    assert aggregates.checker.check(trade(2), 0.0) is None
    assert aggregates.found((3, 20, 20), (4, -1, -1), (5, 40, 39), (6, 50, 50), (7, 51, 52)) == [None] * 5
    assert aggregates.found((9, 53, 53)) == [None]


def test_an_event_that_was_refused_elsewhere_leaves_a_span_over() -> None:
    aggregates = Aggregates()
    aggregates.found((1, 10, 12))
    aggregates.read(2, 13, 15)
    [finding] = aggregates.found((3, 16, 16))
    assert finding is not None
    assert finding.lost == 3


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.sets(st.integers(1, 29)))
def test_of_aggregates_that_are_left_out_the_trades_are_counted(lengths: list[int], left_out: set[int]) -> None:
    aggregates, first, spans = Aggregates(), 100, []
    for number, length in enumerate(lengths):
        spans.append((number, first, first + length - 1))
        first += length
    kept = [span for span in spans if span[0] not in left_out]
    aggregates.found(*kept)
    gone = sum(last - first + 1 for number, first, last in spans if number in left_out and number < kept[-1][0])
    assert aggregates.counts.trades_lost == gone
