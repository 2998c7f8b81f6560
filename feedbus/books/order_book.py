"""The order book of one instrument, and what can be asked of it. Pure.

    book = OrderBook("binance", "BTCUSDT")
    book.replace(bids, asks, bids_whole=False, asks_whole=False)    a full picture
    book.update(bids, asks)                                         changed levels: a size of 0 removes one

A book never answers from beyond the levels that the venue has shown (see book_side.py): where the answer isn't known it
is None, or says that it isn't complete. docs/books.md has every formula.

Prices are in the quote currency, sizes in the venue's own unit. All numbers must be finite and sizes not negative, as
those of events are.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Literal

import msgspec

from feedbus.books.book_side import MAX_LEVELS, BookSide
from feedbus.books.top_of_book import UNDEFINED, TopOfBook, of_best
from feedbus.schema.events import BookSnapshot, Level, Side

ROUNDING = 2.0**-50
"""A part of a volume that is smaller is none: it comes from rounding. 0.1 and 0.7 are less than 0.8 in doubles."""

BookCondition = Literal["normal", "locked", "crossed", "incomplete"]
"""locked: the best bid equals the best ask; crossed: it is above it; incomplete: one of the two isn't there, or isn't
known."""


class Fill(msgspec.Struct, frozen=True):
    """What an order of some volume would be filled at, if it took the levels of one side from the best one on.

    `filled` and `unfilled` are parts of the volume; `average` is the mean price of what is filled, weighted by size,
    and `worst` the price of the last level that is touched: None when nothing is filled. What is unfilled finds no
    level that is known; where the side isn't whole, there may be levels beyond.
    """

    filled: float
    average: float | None
    worst: float | None
    unfilled: float


class OrderBook:
    """One order book. `bids` and `asks` are its sides, `sequence` the venue's number of its last change (None when the
    venue gives none), `ts_event` and `ts_recv` the times of that change (ns since the epoch)."""

    __slots__ = ("asks", "bids", "sequence", "symbol", "ts_event", "ts_recv", "venue")

    def __init__(self, venue: str = "", symbol: str = "", *, max_levels: int = MAX_LEVELS) -> None:
        """A book of which nothing is known. It keeps at most `max_levels` levels a side, the best ones."""
        self.venue = venue
        self.symbol = symbol
        self.sequence: int | None = None
        self.ts_event = 0
        self.ts_recv = 0
        self.bids = BookSide(is_bid=True, max_levels=max_levels)
        self.asks = BookSide(is_bid=False, max_levels=max_levels)

    # What changes it

    def replace(
        self, bids: Iterable[Level], asks: Iterable[Level], *, bids_whole: bool = False, asks_whole: bool = False
    ) -> None:
        """Takes a full picture, in any order. A side that is whole has no levels besides; of another nothing is known
        beyond its worst level."""
        self.bids.replace(bids, whole=bids_whole)
        self.asks.replace(asks, whole=asks_whole)

    def update(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Takes the new sizes of some levels. A size of 0 removes a level."""
        self.bids.update(bids)
        self.asks.update(asks)

    def take_picture(self, event: BookSnapshot) -> None:
        """Takes a full picture as it comes off the bus, with its number and times."""
        self.replace(event.bids, event.asks, bids_whole=event.bids_whole, asks_whole=event.asks_whole)
        self.sequence, self.ts_event, self.ts_recv = event.venue_sequence, event.ts_event, event.ts_recv

    # What can be asked

    @property
    def condition(self) -> BookCondition:
        """Whether the book is as it should be, locked, crossed or incomplete."""
        bids, asks = self.bids.near, self.asks.near
        if not bids or not asks:
            return "incomplete"
        if bids[-1] < asks[0]:
            return "normal"
        return "locked" if bids[-1] == asks[0] else "crossed"

    @property
    def top(self) -> TopOfBook:
        """(spread, relative spread, mid, microprice), as top_of_book.py defines them. Each is None when the book is
        crossed or incomplete."""
        bid, ask = self.bids.best, self.asks.best
        return of_best(*bid, *ask) if bid is not None and ask is not None else UNDEFINED

    @property
    def spread(self) -> float | None:
        """The best ask minus the best bid; None when the book is crossed or incomplete."""
        return self.top[0]

    @property
    def mid(self) -> float | None:
        """Half-way between the best bid and the best ask; None when the book is crossed or incomplete."""
        return self.top[2]

    @property
    def microprice(self) -> float | None:
        """The mid weighted by size; None when the book is crossed or incomplete."""
        return self.top[3]

    @property
    def known_range(self) -> tuple[float, float]:
        """The lowest and the highest price between which every level is known; infinite where a side is whole."""
        return self.bids.low, self.asks.high

    def fill(self, side: Side, volume: float) -> Fill:
        """The price to fill a volume: `buy` takes the asks, `sell` the bids. Raises ValueError for a volume that isn't
        a finite number above 0."""
        if not 0 < volume < inf:
            raise ValueError(f"a volume must be a finite number above 0, not {volume!r}")
        levels = (self.asks if side == "buy" else self.bids).best_first()
        # `filled` + `lost` is the sum of the sizes as if it weren't rounded (Neumaier): many small ones count, too.
        filled = lost = cost = 0.0
        best = worst = None
        left = volume
        for price, offered in levels:
            size = min(left, offered)
            total = filled + size
            lost += (filled - total) + size if filled >= size else (size - total) + filled
            filled = total
            cost += price * size
            worst = price
            best = price if best is None else best
            left = volume - filled - lost
            if left <= volume * ROUNDING:
                break
        if best is None or worst is None:
            return Fill(0.0, None, None, volume)
        filled += lost
        # A mean lies between its prices; rounding may carry it over, and the products of tiny numbers are none.
        average = min(max(cost / filled if filled > 0 else best, min(best, worst)), max(best, worst))
        return Fill(filled, average, worst, left) if left > volume * ROUNDING else Fill(volume, average, worst, 0.0)

    def imbalance(self, count: int = 1) -> float | None:
        """(bids - asks) / (bids + asks) of the volumes of the best `count` levels, from -1 to 1; None when one of them
        isn't known, or both are 0."""
        bids, asks = self.bids.volume(count), self.asks.volume(count)
        if bids is None or asks is None or bids + asks <= 0:
            return None
        return (bids - asks) / (bids + asks)

    # As an event, and against one

    def picture(self, levels: int | None = None) -> BookSnapshot:
        """The best `levels` levels of each side, or all, as an event of the same number and times."""
        bids, asks = self.bids, self.asks
        return BookSnapshot(
            self.venue,
            self.symbol,
            self.ts_event,
            self.ts_recv,
            bids.top(levels),
            asks.top(levels),
            self.sequence,
            bids.whole and (levels is None or levels >= len(bids)),
            asks.whole and (levels is None or levels >= len(asks)),
        )

    def agrees_with(self, event: BookSnapshot) -> bool:
        """Whether a picture of the same moment shows the same levels, as far as both know them."""
        other = OrderBook(max_levels=max(1, len(event.bids), len(event.asks)))
        other.take_picture(event)
        return _agree(self.bids, other.bids) and _agree(self.asks, other.asks)

    def widen(self, event: BookSnapshot) -> bool:
        """Takes over those sides of a picture of the same moment that are known further there than here, and returns
        whether there are any."""
        wider_bids = self.bids.widen(event.bids, whole=event.bids_whole)
        return self.asks.widen(event.asks, whole=event.asks_whole) or wider_bids


def _agree(one: BookSide, other: BookSide) -> bool:
    """Whether two sides have the same levels in the range that both know."""
    low, high = max(one.low, other.low), min(one.high, other.high)
    return _inside(one, low, high) == _inside(other, low, high)


def _inside(side: BookSide, low: float, high: float) -> dict[float, float]:
    return {price: size for price, size in side.sizes.items() if low <= price <= high}
