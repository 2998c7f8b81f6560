from __future__ import annotations

from math import inf

from feedbus.trust.crossed_books import CROSSED_FOR, CROSSED_UNKNOWN, BookCrossing
from feedbus.trust.market_phase import MarketPhase


def traded(status: str | None = "T") -> BookCrossing:
    phase = MarketPhase({"T"})
    phase.said(status)
    return BookCrossing(phase)


def crossed(book: BookCrossing, now: float) -> str:
    book.crossed(now)
    return book.found(now)


def test_a_book_may_be_crossed_for_a_moment() -> None:
    book = traded()
    assert book.due_at == inf
    assert [crossed(book, now) for now in (10.0, 12.0, 9.9 + CROSSED_FOR)] == ["", "", ""]
    assert book.due_at == 10.0 + CROSSED_FOR
    book.uncrossed()
    assert book.due_at == inf
    assert crossed(book, 20.0) == ""


def test_a_book_that_stays_crossed_is_found_once_with_or_without_another_word() -> None:
    book = traded()
    crossed(book, 10.0)
    assert book.found(9.9 + CROSSED_FOR) == ""
    assert book.found(10.0 + CROSSED_FOR) == "the book has been crossed for 5.0 s"
    assert (book.found(99.0), crossed(book, 99.0), book.due_at) == ("", "", inf)


def test_a_book_that_is_got_anew_and_still_crossed_is_found_at_once() -> None:
    book = traded()
    crossed(book, 10.0)
    book.found(10.0 + CROSSED_FOR)
    book.reset()
    book.reset()
    assert book.found(30.0) == ""
    assert crossed(book, 31.0) == "the book is still crossed"
    assert crossed(book, 31.1) == ""
    book.reset()
    book.uncrossed()
    assert crossed(book, 40.0) == ""
    assert book.due_at == 40.0 + CROSSED_FOR


def test_a_book_that_was_not_found_to_be_wrong_begins_anew() -> None:
    book = traded()
    crossed(book, 10.0)
    book.reset()
    assert crossed(book, 14.0) == ""
    assert book.due_at == 14.0 + CROSSED_FOR


def test_in_an_auction_a_book_may_be_crossed_and_its_end_gives_it_time() -> None:
    book = traded("S")
    assert crossed(book, 10.0) == ""
    assert book.due_at == inf
    assert book.found(900.0) == ""
    book.phase.said("T")
    assert book.found(901.0) == ""
    assert book.found(900.9 + CROSSED_FOR) == ""
    assert book.found(901.0 + CROSSED_FOR)


def test_where_nobody_knows_of_auctions_none_takes_longer() -> None:
    book = traded(None)
    crossed(book, 10.0)
    assert crossed(book, 9.0 + CROSSED_UNKNOWN) == ""
    assert crossed(book, 10.0 + CROSSED_UNKNOWN)
