"""The rules about the best bid and ask: what fires, with which value, and what resolves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan

import pytest

from feedbus.alerts import AlertEngine, Rule
from feedbus.schema.events import (
    Alert,
    BookDelta,
    BookSnapshot,
    Gap,
    Level,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    TrustState,
)

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
Timed = tuple[float, MarketEvent | Gap]


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def play(rule: Rule, events: Sequence[Timed], until: float = 0.0) -> list[Alert]:
    """Returns the alerts of these events, each at its second, and of the time after them."""
    engine, alerts = AlertEngine([rule]), list[Alert]()
    for seconds, event in events:
        now = at(seconds)
        while (due := engine.next_due()) is not None and due <= now:
            alerts += engine.tick(due)
        alerts += engine.add_gap(event, now) if isinstance(event, Gap) else engine.add(event, now, "p")
    while (due := engine.next_due()) is not None and due <= at(until):
        alerts += engine.tick(due)
    return alerts


def told(alerts: Sequence[Alert]) -> list[tuple[str, float]]:
    return [(alert.state, (alert.ts_recv - START) / SECOND) for alert in alerts]


def quote(seconds: float, bid: float | None, ask: float | None) -> Timed:
    return seconds, Quote("moex", "A", 1, 2, bid, 1.0, ask, 1.0, None)


def book(seconds: float, bid: float | None, ask: float | None) -> Timed:
    """A full picture. Its sequence is 10."""
    bids, asks = ([] if price is None else [(price, 1.0)] for price in (bid, ask))
    return seconds, BookSnapshot("moex", "A", 1, 2, bids, asks, 10, True, True)


def ticker(seconds: float, bid: float | None, ask: float | None) -> Timed:
    return seconds, Ticker("moex", "A", 1, 2, bid=bid, ask=ask)


def delta(seconds: float, first: int, *bids: Level) -> Timed:
    return seconds, BookDelta("moex", "A", 1, 2, list(bids), [], first, first)


def status(seconds: float, state: TrustState, word: str = "book") -> Timed:
    return seconds, Status("moex", "A", 1, 2, state, "", 0, 1, word)


def gap(seconds: float, topic: str = "") -> Timed:
    return seconds, Gap(topic, "p", 1, None, None, "lost")


# wide_spread

Make = Callable[[float, float, float], Timed]


@pytest.mark.parametrize("make", [quote, book, ticker])
def test_a_spread_above_the_threshold_fires_until_it_is_not(make: Make) -> None:
    alerts = play(Rule("wide_spread", 1), [make(0, 99.5, 100.5), make(1, 99, 101), make(2, 98, 102), make(3, 100, 100)])
    assert told(alerts) == [("firing", 1), ("resolved", 3)]
    assert [alert.value for alert in alerts] == [2.0, 0.0]
    assert alerts[0].text == "spread 2 % (bid 99, ask 101), above 1 %"
    assert alerts[1].text == "spread 0 % (bid 100, ask 100), not above 1 %"


WIDE, NARROW = (90.0, 110.0), (99.9, 100.1)
UP, DOWN = (109.9, 1.0), (109.9, 0.0)  # a bid that makes the wide book narrow, and its end


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([quote(0, *WIDE), quote(1, None, 110)], [("firing", 0)]),
        ([quote(0, *WIDE), book(1, *NARROW), ticker(2, *NARROW)], [("firing", 0)]),
        ([book(0, *WIDE), ticker(1, *NARROW)], [("firing", 0)]),
        ([book(0, *WIDE), quote(1, *NARROW)], [("firing", 0), ("resolved", 1)]),
        ([ticker(0, *WIDE), book(1, *NARROW)], [("firing", 0), ("resolved", 1)]),
        ([book(0, *WIDE), book(1, None, 110), book(2, *NARROW)], [("firing", 0), ("resolved", 2)]),
        ([quote(0, 110, 90)], []),
        ([quote(0, -2, 1)], []),
        ([ticker(0, 90, None), ticker(1, None, None)], []),
        # deltas
        ([book(0, *WIDE), delta(1, 11, UP)], [("firing", 0), ("resolved", 1)]),
        ([book(0, *NARROW), delta(1, 11, (99.9, 0.0), (90.0, 1.0))], [("firing", 1)]),
        ([book(0, *WIDE), delta(1, 11, (90.0, 0.0)), delta(2, 12, (109.9, 1.0))], [("firing", 0), ("resolved", 2)]),
        ([book(0, *NARROW), quote(1, *WIDE), delta(2, 11, (99.9, 2.0))], [("firing", 1)]),
        ([delta(0, 11, (90.0, 1.0)), ticker(1, *WIDE)], [("firing", 1)]),
        # while a book is lost nothing is known of it
        ([book(0, *WIDE), gap(1), ticker(2, *NARROW), delta(3, 11, UP)], [("firing", 0)]),
        ([book(0, *WIDE), gap(1), book(2, *NARROW)], [("firing", 0), ("resolved", 2)]),
        ([book(0, *WIDE), delta(1, 12, UP), book(2, *NARROW)], [("firing", 0), ("resolved", 2)]),
        ([book(0, *WIDE), status(1, "stale"), delta(2, 11, UP), status(3, "live")], [("firing", 0), ("resolved", 3)]),
        ([status(0, "stale"), book(1, *WIDE), status(2, "live")], [("firing", 2)]),
        ([status(0, "gapped"), book(1, *WIDE), status(2, "live")], [("firing", 2)]),
        ([status(0, "stale"), status(1, "resyncing"), book(2, *WIDE), status(3, "live")], [("firing", 3)]),
        ([book(0, *NARROW), status(1, "closed"), book(2, *WIDE), status(3, "quiet")], [("firing", 3)]),
        ([status(0, "closed"), book(1, *WIDE), delta(2, 11, (90.0, 2.0)), status(3, "delayed")], [("firing", 3)]),
        ([book(0, *WIDE), status(1, "closed"), book(2, *NARROW), gap(3), book(4, *NARROW)], [("firing", 0)]),
        # nor of quotes and tickers that may not be used
        ([quote(0, *WIDE), status(1, "gapped", "quote"), quote(2, *NARROW)], [("firing", 0)]),
        ([status(0, "resyncing", "quote"), quote(1, *WIDE)], []),
        ([status(0, "gapped", "quote"), quote(1, *WIDE), book(2, *WIDE)], [("firing", 2)]),
        ([ticker(0, *NARROW), status(1, "closed", "ticker"), ticker(2, *WIDE)], []),
    ],
)
def test_the_best_source_is_judged_and_what_is_not_known_changes_nothing(
    events: list[Timed], expected: list[tuple[str, float]]
) -> None:
    assert told(play(Rule("wide_spread", 1), events)) == expected


def test_a_spread_must_be_wide_for_so_long() -> None:
    rule = Rule("wide_spread", 1, for_=10)
    assert told(play(rule, [quote(0, *WIDE), quote(9, *NARROW), quote(9.5, *WIDE)], 19)) == []
    assert told(play(rule, [quote(0, *WIDE), quote(5, 80, 120)], 30)) == [("firing", 10)]


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ([gap(5)], []),
        ([gap(5), book(8, *WIDE)], [("firing", 18)]),
        ([status(5, "stale", ""), status(8, "live", "")], [("firing", 18)]),
        ([gap(5, "trade.moex.A")], [("firing", 10)]),
        ([status(5, "closed"), status(8, "live")], [("firing", 18)]),
        ([status(5, "gapped", "quote")], [("firing", 10)]),  # nothing of it is judged
        ([quote(4, *WIDE), status(5, "gapped", "quote"), book(6, *WIDE)], []),
        ([quote(4, *WIDE), gap(5)], [("firing", 10)]),  # quotes are judged then
    ],
)
def test_the_time_without_a_book_counts_for_nothing(lost: list[Timed], expected: list[tuple[str, float]]) -> None:
    assert told(play(Rule("wide_spread", 1, for_=10), [book(0, *WIDE), *lost], 30)) == expected


def test_what_would_be_over_by_time_alone_goes_on_while_nobody_knows() -> None:
    rule = Rule("wide_spread", 1, keep_firing_for=10, cooldown=0)
    lost = [quote(0, *WIDE), quote(5, *NARROW), status(8, "resyncing", "quote")]
    assert told(play(rule, lost, 1000)) == [("firing", 0)]
    found = play(rule, [*lost, status(20, "live", "quote"), quote(21, *NARROW)], 1000)
    assert told(found) == [("firing", 0), ("resolved", 31)]


@pytest.mark.parametrize(("make", "word"), [(quote, "quote"), (book, "book"), (ticker, "ticker")])
def test_the_text_says_when_the_source_is_delayed(make: Make, word: str) -> None:
    for each in ("quote", "book", "ticker"):
        found = play(Rule("wide_spread", 1), [status(0, "delayed", each), make(1, *WIDE), make(2, *NARROW)])
        assert [alert.text.endswith(" % (data is delayed)") for alert in found] == [each == word] * 2


@pytest.mark.parametrize(("resolve_at", "expected"), [(None, 1), (0.5, 3)])
def test_a_spread_has_to_fall_to_resolve_at(resolve_at: float | None, expected: int) -> None:
    rule = Rule("wide_spread", 1, resolve_at=resolve_at, cooldown=0)
    spreads = [1.1, 0.9, 0.6, 0.4, 1.1]
    events = [quote(second, 100 - spread / 2, 100 + spread / 2) for second, spread in enumerate(spreads)]
    assert told(play(rule, events)) == [("firing", 0), ("resolved", expected), ("firing", 4)]


# crossed_book

ELEVEN = (1.0, "crossed: bid 11 is above ask 10")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([book(0, 9, 10)], []),
        ([book(0, 9, None), book(1, None, 10), book(2, None, None)], []),
        (
            [book(0, 10.02, 10.01), book(1, 10.03, 10.01), book(2, 10, 10.01)],
            [(0.01, "crossed: bid 10.02 is above ask 10.01"), (-0.01, "bid 10, ask 10.01")],
        ),
        ([book(0, 10, 10), book(1, 9, 10)], [(0.0, "locked: bid and ask are 10"), (-1.0, "bid 9, ask 10")]),
        (
            [book(0, 11, 10), book(1, None, 10)],
            [(1.0, "crossed: bid 11 is above ask 10"), (None, "the book has no bids")],
        ),
        (
            [book(0, 11, 10), book(1, 9, None)],
            [(1.0, "crossed: bid 11 is above ask 10"), (None, "the book has no asks")],
        ),
        (
            [book(0, 11, 10), book(1, None, None)],
            [(1.0, "crossed: bid 11 is above ask 10"), (None, "the book has no bids and no asks")],
        ),
        (
            [book(0, 9, 10), delta(1, 11, (12.0, 1.0)), delta(2, 12, (12.0, 0.0))],
            [(2.0, "crossed: bid 12 is above ask 10"), (-1.0, "bid 9, ask 10")],
        ),
        # what isn't known isn't called crossed
        *(
            (
                [book(0, 11, 10), loss],
                [
                    ELEVEN,
                    (None, f"the book is lost ({why}), so nobody knows whether it is still crossed"),
                ],
            )
            for loss, why in (
                (gap(1), "gap"),
                (delta(1, 12, (9.0, 1.0)), "hole"),
                (status(1, "stale"), "stale"),
                (status(1, "resyncing"), "resyncing"),
                (status(1, "gapped", ""), "gapped"),
            )
        ),
        ([quote(0, 11, 10), ticker(1, 11, 10)], []),
        ([book(0, inf, 10), book(1, nan, nan), book(2, 1e200, -1e200)], []),
    ],
)
def test_a_book_is_crossed_until_it_is_not_or_until_nobody_knows(
    events: list[Timed], said: list[tuple[float | None, str]]
) -> None:
    alerts = play(Rule("crossed_book"), events)
    assert [(alert.value, alert.text) for alert in alerts] == said
    assert [alert.state for alert in alerts] == ["firing", "resolved"][: len(said)]


def crossed(seconds: float, word: str = "book", state: TrustState = "gapped") -> Timed:
    """What a publisher says that keeps a book and doesn't publish it while it is crossed."""
    return seconds, Status("moex", "A", 7, 8, state, "crossed", 0, 1, word)


TOLD = (None, "crossed: its publisher says so, and doesn't show the book until it is right")
LOST = (None, "the book is lost (gapped), so nobody knows whether it is still crossed")
LOST_STALE = (None, LOST[1].replace("gapped", "stale"))


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([crossed(0)], [TOLD]),
        ([crossed(0), crossed(1), status(2, "live"), delta(3, 12, (9.0, 1.0)), quote(4, 9, 10)], [TOLD]),
        ([book(0, 9, 10), crossed(1), book(2, 9, 10), status(3, "live")], [TOLD, (-1.0, "bid 9, ask 10")]),
        (
            [book(0, 9, 10), crossed(1), status(2, "live"), book(3, 11, 10), book(4, 9, 10)],
            [TOLD, (-1.0, "bid 9, ask 10")],
        ),
        ([book(0, 9, 10), crossed(1), book(2, 9, 10)], [TOLD]),
        ([book(0, 9, 10), crossed(1), book(2, 9, 10), status(3, "stale")], [TOLD, LOST_STALE]),
        ([book(0, 11, 10), crossed(1), book(2, 9, 10), status(3, "live")], [ELEVEN, (-1.0, "bid 9, ask 10")]),
        ([crossed(0), status(1, "resyncing")], [TOLD, (None, LOST[1].replace("gapped", "resyncing"))]),
        ([crossed(0), status(1, "stale", "")], [TOLD, LOST]),
        ([crossed(0), status(1, "gapped", "trade")], [TOLD]),
        ([crossed(0), gap(1)], [TOLD, LOST]),
        ([crossed(0), (1, Gap("", "p", 1, None, None, "lost"))], [TOLD, LOST]),
        ([crossed(0), (1, Gap("status.moex.A", "p", 1, None, None, "lost"))], [TOLD, LOST]),
        ([crossed(0), (1, Gap("", "another", 1, None, None, "lost"))], [TOLD]),
        ([crossed(0), (1, Gap("book.moex.B", "p", 1, None, None, "lost"))], [TOLD]),
        ([crossed(0), (1, Gap("trade.moex.A", "p", 1, None, None, "lost"))], [TOLD]),
        ([crossed(0, ""), crossed(1, "trade"), crossed(2, "book", "resyncing")], []),
    ],
)
def test_a_book_that_is_not_shown_is_crossed_where_its_publisher_says_so(
    events: list[Timed], said: list[tuple[float | None, str]]
) -> None:
    alerts = play(Rule("crossed_book"), events)
    assert [(alert.value, alert.text) for alert in alerts] == said
    assert [alert.state for alert in alerts] == ["firing", "resolved"][: len(said)]


def test_what_a_publisher_says_of_a_crossed_book_counts_for_how_long_it_is_crossed() -> None:
    rule = Rule("crossed_book", for_=10, cooldown=0)
    assert told(play(rule, [book(0, 11, 10), crossed(4)], 19)) == [("firing", 10)]
    assert told(play(rule, [crossed(0), book(4, 11, 10), status(5, "live"), book(12, 9, 10)], 19)) == [
        ("firing", 10),
        ("resolved", 12),
    ]
    assert told(play(rule, [crossed(0), book(4, 9, 10), status(4, "live"), crossed(5)], 14)) == []
    assert play(Rule("crossed_book", symbols=("B",)), [crossed(0)]) == []
    wide = play(Rule("wide_spread", 1), [book(0, 9, 10), crossed(1), book(2, 10, 10), status(3, "live")])
    assert told(wide) == [("firing", 0), ("resolved", 3)]
    assert play(Rule("wide_spread", 1), [crossed(0)]) == []


def test_a_book_must_be_crossed_for_so_long_without_a_break() -> None:
    rule = Rule("crossed_book", for_=10, cooldown=0)
    assert told(play(rule, [book(0, 11, 10), book(9, 9, 10), book(9.5, 11, 10)], 19)) == []
    assert told(play(rule, [book(0, 11, 10), gap(9), book(9.5, 11, 10)], 19)) == []
    assert told(play(rule, [book(0, 11, 10), delta(9, 11, (12.0, 1.0))], 19)) == [("firing", 10)]
    late = play(Rule("crossed_book", keep_firing_for=5), [book(0, 11, 10), gap(2), book(3, 9, 10)], 19)
    assert told(late) == [("firing", 0), ("resolved", 7)]
    assert late[1].text == "bid 9, ask 10"


def test_a_book_of_a_closed_instrument_is_not_judged_and_what_is_said_of_it_is() -> None:
    rule = Rule("crossed_book", cooldown=0)
    assert told(play(rule, [status(0, "closed"), book(1, 11, 10), delta(2, 11, (12.0, 1.0))])) == []
    first = [book(0, 11, 10), status(1, "closed"), book(2, 9, 10)]
    assert told(play(rule, [*first, status(9, "live")])) == [("firing", 0), ("resolved", 9)]
    lost = play(rule, [*first, status(9, "resyncing")])
    assert [alert.text for alert in lost] == [
        "crossed: bid 11 is above ask 10",
        LOST_STALE[1].replace("stale", "resyncing"),
    ]
    (silent,) = play(rule, [*first, (9, Gap("", "p", 1, None, None, "silent"))])[1:]
    assert silent.text.startswith("the book is lost (publisher silent)")
    assert told(play(rule, [status(0, "closed"), crossed(1)])) == [("firing", 1)]
    (alert,) = play(rule, [status(0, "delayed"), book(1, 11, 10)])
    assert alert.text == "crossed: bid 11 is above ask 10 (data is delayed)"
