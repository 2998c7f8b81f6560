"""The changes of a book that came since some update, kept until a snapshot is there. Pure.

Of each price only the newest size is kept, with the update by which it came: a snapshot as of update n gets those of
later updates, and that makes it the book as of the last one. So what has to be kept grows with the number of prices and
not with the time that the snapshot takes.
"""

from __future__ import annotations

from math import inf

from feedbus.books.order_book import OrderBook
from feedbus.schema.events import Level
from feedbus.venues.binance.depth import DepthSnapshot, DepthUpdate

MAX_PRICES = 20_000
"""How many prices are kept of one book."""

_Newest = dict[float, tuple[float, int]]
"""By price: the newest size, and the last update of the message that it came in."""


class DiffBuffer:
    """The changes from the update `first` to `last`, without a hole. Before the first message both are None."""

    __slots__ = ("_asks", "_bids", "first", "last")

    def __init__(self, after: int | None = None) -> None:
        """Begins after this update; None: with the first message that comes."""
        self.first = None if after is None else after + 1
        self.last = after
        self._bids: _Newest = {}
        self._asks: _Newest = {}

    def add(self, update: DepthUpdate) -> bool:
        """Takes a message that follows the last one. Returns False when there are too many prices."""
        if self.first is None:
            self.first = update.first
        self.last = number = update.last
        for price, size in update.bids:
            self._bids[price] = size, number
        for price, size in update.asks:
            self._asks[price] = size, number
        return len(self._bids) + len(self._asks) <= MAX_PRICES

    def contradicts(self, snapshot: DepthSnapshot, levels: int) -> bool:
        """Whether a snapshot that was asked for with `levels` a side shows another size than a message that it must
        hold. Then it is of another symbol, or what the stream told was never true."""
        return _differs(self._bids, snapshot.bids, snapshot.update, levels, is_bid=True) or _differs(
            self._asks, snapshot.asks, snapshot.update, levels, is_bid=False
        )

    def book(self, snapshot: DepthSnapshot, levels: int) -> OrderBook:
        """The book as of `last`, made of a snapshot that holds all that was before `first`. The snapshot was asked for
        with `levels` a side, and the book keeps half as many again."""
        made = OrderBook(max_levels=levels + levels // 2)
        made.replace(
            snapshot.bids,
            snapshot.asks,
            bids_whole=len(snapshot.bids) < levels,
            asks_whole=len(snapshot.asks) < levels,
        )
        made.update(_newer(self._bids, snapshot.update), _newer(self._asks, snapshot.update))
        return made


def _differs(side: _Newest, shown: list[Level], update: int, levels: int, *, is_bid: bool) -> bool:
    sizes = dict(shown)
    worst = min(sizes, default=inf) if is_bid else max(sizes, default=-inf)
    whole = len(shown) < levels
    return any(
        number <= update and sizes.get(price, 0.0) != size and (whole or (price >= worst if is_bid else price <= worst))
        for price, (size, number) in side.items()
    )


def _newer(side: _Newest, update: int) -> list[Level]:
    return [(price, size) for price, (size, number) in side.items() if number > update]
