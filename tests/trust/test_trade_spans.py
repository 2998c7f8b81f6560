from __future__ import annotations

from feedbus.trust.trade_spans import MOST_SPANS, TradeSpans


def test_spans_of_what_nobody_watches_are_not_kept() -> None:
    spans = TradeSpans()
    spans.put("A", 1, 10, 11)
    waiting = spans.watch("A")
    spans.put("B", 1, 20, 21)
    assert list(waiting) == []
    spans.put("A", 2, 12, 12)
    assert list(waiting) == [(2, 12, 12)]
    assert spans.watch("A") is waiting


def test_what_nobody_takes_is_bounded_and_the_oldest_go() -> None:
    spans = TradeSpans()
    waiting = spans.watch("A")
    for number in range(MOST_SPANS + 5):
        spans.put("A", number, number, number)
    assert (len(waiting), waiting[0][0]) == (MOST_SPANS, 5)


def test_what_is_forgotten_is_not_kept_any_more() -> None:
    spans = TradeSpans()
    waiting = spans.watch("A")
    spans.forget("A")
    spans.forget("B")
    spans.put("A", 1, 1, 1)
    assert list(waiting) == []
    assert spans.watch("A") is not waiting
