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


_OF_THE_BOOK = (f"book.{VENUE}.{SYMBOL}", f"status.{VENUE}.{SYMBOL}")


class NaiveBook:
    """A dict of bids and one of asks, or nothing; and whether it may be used by what is said. Updates are numbered."""

    def __init__(self) -> None:
        self._sides: tuple[dict[float, float], dict[float, float]] | None = None
        self._sequence = 0
        self._spoken = False
        self._barred = False
        self.told_crossed = False
        """Whether a status says that the book is crossed, and nothing that came since may say otherwise."""

    def add(self, event: MarketData | Gap) -> None:
        """Takes in an event about the book; others change nothing."""
        match event:
            case BookSnapshot():
                self._sides, self._sequence = (dict(event.bids), dict(event.asks)), event.venue_sequence or 0
            case BookDelta():
                self._change(event)
            case Status(word="" | "book"):
                self._spoken, self._barred = True, event.state in UNUSABLE_STATES
                if event.state in UNUSABLE_STATES - {"stale"}:
                    self._sides = None
                if self._barred:
                    self.told_crossed = (event.word, event.state, event.reason) == ("book", "gapped", "crossed")
            case Gap() if event.topic in ("", *_OF_THE_BOOK):
                self._miss(event)
        self.told_crossed = self.told_crossed and self.levels() is None

    def _change(self, event: BookDelta) -> None:
        first, last = event.first_venue_sequence or 0, event.last_venue_sequence or 0
        if self._sides is None or last <= self._sequence:
            return
        if first > self._sequence + 1:
            self._sides = None
            return
        self._sequence = last
        for side, levels in zip(self._sides, (event.bids, event.asks), strict=True):
            side.update(levels)

    def _miss(self, gap: Gap) -> None:
        """Where anything was ever said of the book, what was said counts no more until it is said again."""
        self.told_crossed = False
        if gap.topic != _OF_THE_BOOK[0]:
            self._barred = self._spoken
        only_words = gap.cause == "silent" or gap.topic == _OF_THE_BOOK[1]
        if not (self._spoken and only_words):
            self._sides = None

    def levels(self) -> tuple[list[Level], list[Level]] | None:
        """The bids and the asks, best first; None when there is no book that is right."""
        if self._sides is None or self._barred:
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


def _status(state: TrustState, word: str, reason: str) -> Status:
    return Status(VENUE, SYMBOL, 1, 2, state, reason, 0, 1, word)


def _gap(topic: str) -> Gap:
    return Gap(topic, PUBLISHER, 1, None, None, "lost")


_TOPICS = ["", *_OF_THE_BOOK, f"trade.{VENUE}.{SYMBOL}", f"book.{VENUE}.B"]
_DELTAS = st.builds(_delta, _CHANGES, _CHANGES, _SEQUENCES, st.integers(0, 2))

BOOK_EVENTS: st.SearchStrategy[MarketData | Gap] = st.one_of(
    st.builds(_picture, _SIDES, _SIDES, _SEQUENCES),
    _DELTAS,
    _DELTAS,  # the most frequent kind
    st.builds(_status, _STATES, st.sampled_from(["", "book", "trade"]), st.just("hole")),
    st.builds(
        _status,
        st.sampled_from(["gapped", "gapped", "live"]),
        st.sampled_from(["book", "book", ""]),
        st.just("crossed"),
    ),
    st.builds(_gap, st.sampled_from(_TOPICS)),
    st.just(Gap("", PUBLISHER, 1, None, None, "silent")),
)
"""Anything about the book of SYMBOL at VENUE, said by PUBLISHER."""
