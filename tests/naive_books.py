"""A naive reader of one book, against which the readers of feedbus are held, and anything that may be said of that
book: pictures, deltas, statuses and Gaps, in any order."""

from __future__ import annotations

from hypothesis import strategies as st

from feedbus.schema.events import (
    UNUSABLE_STATES,
    BookDelta,
    BookSnapshot,
    Gap,
    Level,
    MarketData,
    Status,
    TrustState,
)

VENUE, SYMBOL, PUBLISHER = "fake", "A", "p"


class NaiveBook:
    """A dict of bids and one of asks, or nothing; and whether they are stale. Updates are numbered."""

    def __init__(self) -> None:
        self._sides: tuple[dict[float, float], dict[float, float]] | None = None
        self._sequence = 0
        self._stale = False

    def add(self, event: MarketData | Gap) -> None:
        """Takes in an event about the book; others change nothing."""
        match event:
            case BookSnapshot():
                self._sides, self._sequence = (dict(event.bids), dict(event.asks)), event.venue_sequence or 0
            case BookDelta() if self._sides is not None:
                first, last = event.first_venue_sequence or 0, event.last_venue_sequence or 0
                if first > self._sequence + 1:
                    self._sides = None
                elif last > self._sequence:
                    self._sequence = last
                    for side, levels in zip(self._sides, (event.bids, event.asks), strict=True):
                        side.update(levels)
            case Status() if event.word != "trade":
                self._stale = event.state == "stale"
                if event.state in UNUSABLE_STATES - {"stale"}:
                    self._sides = None
            case Gap() if event.topic in ("", f"book.{VENUE}.{SYMBOL}"):
                self._sides = None

    def levels(self) -> tuple[list[Level], list[Level]] | None:
        """The bids and the asks, best first; None when there is no book that is right."""
        if self._sides is None or self._stale:
            return None
        bids, asks = ([(price, size) for price, size in side.items() if size] for side in self._sides)
        return sorted(bids, reverse=True), sorted(asks)


_PRICES = st.integers(1, 9).map(float)
_SIDES = st.dictionaries(_PRICES, st.sampled_from([1.0, 2.5]), max_size=4)
_CHANGES = st.lists(st.tuples(_PRICES, st.sampled_from([0.0, 1.0, 4.0])), max_size=3)
_SEQUENCES = st.integers(1, 6)
_STATES: st.SearchStrategy[TrustState] = st.sampled_from([*sorted(UNUSABLE_STATES), "live", "quiet"])


def _picture(bids: dict[float, float], asks: dict[float, float], sequence: int) -> BookSnapshot:
    return BookSnapshot(
        VENUE, SYMBOL, 1, 2, sorted(bids.items(), reverse=True), sorted(asks.items()), sequence, True, True
    )


def _delta(bids: list[Level], asks: list[Level], first: int, more: int) -> BookDelta:
    return BookDelta(VENUE, SYMBOL, 1, 2, bids, asks, first, first + more)


def _status(state: TrustState, word: str) -> Status:
    return Status(VENUE, SYMBOL, 1, 2, state, "", 0, 1, word)


def _gap(topic: str) -> Gap:
    return Gap(topic, PUBLISHER, 1, None, None, "lost")


_TOPICS = ["", f"book.{VENUE}.{SYMBOL}", f"trade.{VENUE}.{SYMBOL}", f"book.{VENUE}.B"]
_DELTAS = st.builds(_delta, _CHANGES, _CHANGES, _SEQUENCES, st.integers(0, 2))

BOOK_EVENTS: st.SearchStrategy[MarketData | Gap] = st.one_of(
    st.builds(_picture, _SIDES, _SIDES, _SEQUENCES),
    _DELTAS,
    _DELTAS,  # the most frequent kind
    st.builds(_status, _STATES, st.sampled_from(["", "book", "trade"])),
    st.builds(_gap, st.sampled_from(_TOPICS)),
)
"""Anything about the book of SYMBOL at VENUE, said by PUBLISHER."""
