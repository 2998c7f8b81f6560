"""Whether the best bid and ask of an instrument's ticker are those of its book. Pure.

The venue conflates the two apart, so that they differ for moments while both are right. A disagreement counts when it
outlasts UPDATES of each and LASTS seconds, both go on and are equally old, and the instrument is traded continuously.
In a fast market the latest of the one may never be the latest of the other. So they agree as soon as, on both sides,
the prices that the one has shown since the disagreement began touch those that the other has.
"""

from __future__ import annotations

from math import inf

from feedbus.schema.events import BookSnapshot, Ticker
from feedbus.trust.market_phase import MarketPhase

UPDATES = 3
LASTS = 5.0
"""Seconds."""
FRESH = 5.0
"""Seconds: each has come within so long a time."""
APART = 5_000_000_000
"""Nanoseconds: by how much their delays may differ. Where one of them is delayed on purpose, they aren't compared."""

_Range = list[float]
"""[the lowest, the highest]."""


class BestPrices:
    """The comparison of one instrument's ticker with its book."""

    __slots__ = (
        "_ask_of_book",
        "_ask_of_ticker",
        "_begun_at",
        "_bid_of_book",
        "_bid_of_ticker",
        "_book_at",
        "_book_delay",
        "_books",
        "_phase",
        "_ranges",
        "_ticker_at",
        "_ticker_delay",
        "_tickers",
    )

    def __init__(self, phase: MarketPhase) -> None:
        self._phase = phase
        self._bid_of_book: float | None = None
        self._ask_of_book: float | None = None
        self._bid_of_ticker: float | None = None
        self._ask_of_ticker: float | None = None
        self._begun_at: float | None = None  # when the disagreement began; None while they agree
        self._ranges: tuple[_Range, _Range, _Range, _Range] = ([], [], [], [])
        self._books = self._tickers = 0  # how many of each have come since
        self._book_at = self._ticker_at = 0.0
        self._book_delay = self._ticker_delay = 0

    def reset_book(self) -> None:
        """The book is got anew: it is compared again when it is there."""
        self._bid_of_book = self._ask_of_book = self._begun_at = None

    def reset_ticker(self) -> None:
        """The ticker is got anew."""
        self._bid_of_ticker = self._ask_of_ticker = self._begun_at = None

    def book(self, event: BookSnapshot, now: float) -> str:
        """A book has come. Returns how the two disagree, "" where that isn't certain."""
        bid = event.bids[0][0] if event.bids else -inf if event.bids_whole else None
        ask = event.asks[0][0] if event.asks else inf if event.asks_whole else None
        self._bid_of_book, self._ask_of_book = bid, ask
        if self._begun_at is None:
            if bid == self._bid_of_ticker and ask == self._ask_of_ticker:
                return ""
            self._begin(now)
            return ""
        self._books += 1
        self._book_at = now
        self._book_delay = event.ts_recv - event.ts_event
        return self._judged(now)

    def ticker(self, event: Ticker, now: float) -> str:
        """A ticker has come. Returns how the two disagree, "" where that isn't certain."""
        bid, ask = event.bid, event.ask
        self._bid_of_ticker, self._ask_of_ticker = bid, ask
        if self._begun_at is None:
            if bid == self._bid_of_book and ask == self._ask_of_book:
                return ""
            self._begin(now)
            return ""
        self._tickers += 1
        self._ticker_at = now
        self._ticker_delay = event.ts_recv - event.ts_event
        return self._judged(now)

    def _begin(self, now: float) -> None:
        """They differ as far as both are known, or a price isn't known."""
        bids, asks = (self._bid_of_book, self._bid_of_ticker), (self._ask_of_book, self._ask_of_ticker)
        if not (_differ(*bids) or _differ(*asks)):
            self._begun_at = None
            return
        self._begun_at = now
        self._books = self._tickers = 0
        self._ranges = tuple([] if each is None else [each, each] for each in (*bids, *asks))  # type: ignore[assignment]

    def _judged(self, now: float) -> str:
        bids_of_book, bids_of_ticker, asks_of_book, asks_of_ticker = self._ranges
        _widen(bids_of_book, self._bid_of_book)
        _widen(bids_of_ticker, self._bid_of_ticker)
        _widen(asks_of_book, self._ask_of_book)
        _widen(asks_of_ticker, self._ask_of_ticker)
        if _touch(bids_of_book, bids_of_ticker) and _touch(asks_of_book, asks_of_ticker):
            self._begin(now)
            return ""
        begun = self._begun_at
        if begun is None or now < begun + LASTS or self._books < UPDATES or self._tickers < UPDATES:
            return ""
        if self._phase.continuous is not True:
            self._begin(now)
            return ""
        oldest = min(self._book_at, self._ticker_at)
        if now > oldest + FRESH or abs(self._book_delay - self._ticker_delay) > APART:
            return ""
        self._begin(now)
        return (
            f"for {now - begun:.1f} s the best bid and ask of the ticker, {_told(self._bid_of_ticker)} and "
            f"{_told(self._ask_of_ticker)}, haven't been the book's, {_told(self._bid_of_book)} and "
            f"{_told(self._ask_of_book)}"
        )


def _differ(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one != other


def _widen(shown: _Range, price: float | None) -> None:
    if price is None:
        return
    if not shown:
        shown += (price, price)
    elif price < shown[0]:
        shown[0] = price
    elif price > shown[1]:
        shown[1] = price


def _touch(one: _Range, other: _Range) -> bool:
    """Where nothing is known of one of them, it may be the same."""
    return not one or not other or (one[0] <= other[1] and other[0] <= one[1])


def _told(price: float | None) -> str:
    return "unknown" if price is None else "none" if abs(price) == inf else f"{price:.15g}"
