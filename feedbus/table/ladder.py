"""The model of the ladder of `feedbus book`: one instrument's book, its last trades, and how far both may be trusted.
Pure: time is an argument.

`apply` is called for every message of the bus and only stores; `picture` works out what is shown, and is called at most
as often as the screen is drawn. A book that is lost isn't forgotten at once: its levels as they were last are still in
the picture, which says by `trouble` that they aren't right any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf

import msgspec

from feedbus import venues
from feedbus.books.book_side import BookSide
from feedbus.books.books import Books, NoBook
from feedbus.books.order_book import BookCondition, OrderBook
from feedbus.books.top_of_book import UNDEFINED, TopOfBook
from feedbus.schema.events import (
    DELAYED_AFTER,
    OLD_PICTURE,
    BookDelta,
    BookSnapshot,
    FeedStatus,
    Gap,
    Instrument,
    MarketData,
    Side,
    Status,
    Trade,
    TrustState,
)
from feedbus.table.connection_table import SECOND, ConnectionTable, ConnectionView, FeedView
from feedbus.table.price_decimals import MAX_DECIMALS, decimals
from feedbus.trust.readers_trust import FromPublisher

MAX_TRADES = 500
"""The newest trades that are kept for the tape."""

LadderLevel = tuple[float, float, float, float]
"""(price, size, sum of the sizes up to here, sum of prices times sizes up to here)"""

FULL_PERCENT = 100.0


class TapeRow(msgspec.Struct, frozen=True):
    """A trade. Without a price it isn't one, but says that trades may be missing here, because messages were lost."""

    at: int
    side: Side | None = None
    price: float | None = None
    size: float = 0.0


class LadderSide(msgspec.Struct, frozen=True):
    """One side as it is shown, the best level first.

    `known` levels are known, as far as the price `end`, or all that there are when the side is `whole`. `more` of them
    are not among `levels`, because there is no room for them or, with `by_range`, because they are beyond the range
    that was asked for. `complete` says whether all levels of that range are known; without a range it is False.
    """

    levels: list[LadderLevel]
    known: int
    whole: bool
    end: float
    more: int
    by_range: bool
    complete: bool


class LadderPicture(msgspec.Struct, frozen=True):
    """The ladder at one moment.

    `trouble` says why the levels aren't right; they are those that were last right then. `state` and `reason` are
    how far the book may be trusted by what is said of it, and `since` is since when that is so (ns since the epoch;
    0: that isn't known). `publisher` is who sends the book, "" before anything of it has come, and `silent_s` for
    how many seconds nothing at all has come from there (None: that isn't known). `age_ns` is the time since the
    book last changed, None before the first one. `decimals` and `size_decimals` are how many the prices and the
    sizes need. `lot` is what price times size is multiplied by to be an amount of money, None when that isn't
    known. `delay_s` is how late the data is (0.0 when it is late, and nobody says how much; None when it isn't).
    `imbalance` is that of the volumes of the best `imbalance_of` levels a side, or of all that are within the range
    (`imbalance_of` is None). `up` and `wanted` are the feed's connections. `trades` are the newest ones, the last
    one first. `why` is what else there is to say where there is no book.
    """

    venue: str
    symbol: str
    trouble: NoBook
    state: TrustState
    reason: str
    since: int
    publisher: str
    silent_s: float | None
    age_ns: int | None
    sequence: int | None
    decimals: int
    size_decimals: int
    lot: float | None
    currency: str
    bids: LadderSide
    asks: LadderSide
    condition: BookCondition
    top: TopOfBook
    imbalance: float | None
    imbalance_of: int | None
    percent: float | None
    delay_s: float | None
    up: int | None
    wanted: int
    gaps: int
    trades: list[TapeRow]
    why: str = ""


class Ladder:
    """Follows one instrument. `gaps` counts the losses of messages that were told of. `publisher` is the name of who
    sent the last word of the book, "" before any came."""

    def __init__(self, venue: str, symbol: str) -> None:
        self.venue = venue
        self.symbol = symbol
        self.gaps = 0
        self.publisher = ""
        self._books = Books(max_books=1)
        self._held = OrderBook(venue, symbol)
        self._trades: deque[TapeRow] = deque(maxlen=MAX_TRADES)
        self._connections = ConnectionTable()
        self._changed_at: int | None = None
        self._reached: int | None = None
        self._lag = 0
        self._decimals = 0
        self._size_decimals = 0
        self._lot = 1.0 if venues.units(venue).get("trades") == "base units" else None
        self._currency = ""

    @staticmethod
    def topics(venue: str, symbol: str) -> list[str]:
        """The topics that have to be subscribed. That of the book is the first one."""
        own = [*Books.topics(venue, symbol), f"trade.{venue}.{symbol}", f"instrument.{venue}.{symbol}"]
        return [*own, f"feed.{venue}."]

    # Taking in

    def apply(self, header: FromPublisher, events: Sequence[MarketData | Gap], now_ns: int, wall_ns: int) -> None:
        """Take in a message that came at `now_ns` by the clock of `picture`, and at `wall_ns` since the epoch."""
        self._books.apply(header, events, wall_ns)
        for event in events:
            match event:
                case Trade():
                    self._trades.append(TapeRow(event.ts_event or event.ts_recv, event.side, event.price, event.size))
                case BookSnapshot() | BookDelta():
                    self.publisher = header.publisher
                    self._note_change(event, now_ns, wall_ns)
                case FeedStatus():
                    # What is old is judged by when it came: the wall clock may have been set meanwhile.
                    self._connections.add(msgspec.structs.replace(event, ts_recv=now_ns), header.publisher)
                case Status(word="" | "book"):
                    self.publisher = header.publisher
                case Instrument():
                    self._learn(event)
                case Gap():
                    self._note_gap(event, wall_ns)

    def _note_change(self, event: BookSnapshot | BookDelta, now_ns: int, wall_ns: int) -> None:
        """The first picture may be an old one, which is repeated for those who come late. A later one of the same
        number is no change."""
        number = event.venue_sequence if isinstance(event, BookSnapshot) else event.last_venue_sequence
        if self._changed_at is None:
            self._changed_at = now_ns - max(0, wall_ns - event.ts_recv)
        elif number is None or number != self._reached:
            self._changed_at = now_ns
        self._reached = number
        self._lag = event.ts_recv - event.ts_event if event.ts_event else 0

    def _learn(self, instrument: Instrument) -> None:
        """Prices may have more decimals than the instrument says, but are never shown with fewer."""
        tick = instrument.tick_size
        stated = instrument.decimals if instrument.decimals is not None else decimals(tick) if tick else 0
        self._decimals = max(self._decimals, min(MAX_DECIMALS, max(0, stated)))
        if instrument.lot is not None and instrument.lot > 0:
            self._lot = (
                instrument.worth()
            )  # none where price times size times lot isn't an amount of money, as of bonds
        self._currency = instrument.currency or ""

    def _note_gap(self, gap: Gap, wall_ns: int) -> None:
        self.gaps += 1
        concerned = gap.topic in ("", f"trade.{self.venue}.{self.symbol}")
        if concerned and self._trades and self._trades[-1].price is not None:
            self._trades.append(TapeRow(wall_ns))

    # Asking

    @property
    def silent(self) -> bool:
        """Whether nothing of the book has ever come: no picture, and no change of one."""
        return self._changed_at is None

    @property
    def trouble(self) -> NoBook:
        """Why there is no book that is right; "" when there is one."""
        return self._books.why_none(self.venue, self.symbol)

    def picture(
        self,
        now_ns: int,
        count: int,
        percent: float | None = None,
        trades: int = MAX_TRADES,
        silent_s: float | None = None,
    ) -> LadderPicture:
        """What is to be shown: at most `count` levels a side and only those within `percent` of the mid, and as many
        trades. `silent_s` is for how long nothing at all has come from the publisher."""
        book = self._books.get(self.venue, self.symbol)
        if book is not None:
            self._held = book
        book = self._held
        trouble = self.trouble
        feed = self._connections.view(now_ns, silent=(self.publisher,) if trouble == "publisher silent" else ())
        bids, asks = (_shown(side, count, _limit(book, side, percent)) for side in (book.bids, book.asks))
        rows = list(islice(reversed(self._trades), max(0, trades)))
        self._widen(bids.levels, asks.levels, rows)
        imbalance, of = _imbalance(book, bids, asks, percent)
        said = self._books.trust.trust(self.venue, self.symbol, "book")
        return LadderPicture(
            venue=self.venue,
            symbol=self.symbol,
            trouble=trouble,
            state=said.state,
            reason=said.reason,
            since=said.since,
            publisher=self.publisher,
            silent_s=silent_s,
            age_ns=None if self._changed_at is None else max(0, now_ns - self._changed_at),
            sequence=book.sequence,
            decimals=self._decimals,
            size_decimals=self._size_decimals,
            lot=self._lot,
            currency=self._currency,
            bids=bids,
            asks=asks,
            condition=book.condition,
            top=UNDEFINED if trouble else book.top,
            imbalance=imbalance,
            imbalance_of=of,
            percent=percent,
            delay_s=self._delay(feed),
            up=feed.up,
            wanted=feed.wanted,
            gaps=self.gaps,
            trades=rows,
            why=_of_connection(feed.connections) if trouble == "resyncing" and feed.connections and not feed.up else "",
        )

    def _delay(self, feed: FeedView) -> float | None:
        """As the feed says it; where it says nothing, how late the last change of the book was."""
        if self.venue in feed.delays:
            return feed.delays[self.venue] or 0.0
        if self.venue in feed.on_time:
            return None
        return self._lag / SECOND if DELAYED_AFTER < self._lag < OLD_PICTURE else None

    def _widen(self, bids: Iterable[LadderLevel], asks: Iterable[LadderLevel], rows: Iterable[TapeRow]) -> None:
        """Raise the decimals to what is shown. They never shrink: columns would change their width as prices move."""
        for levels in (bids, asks):
            for price, size, _, _ in levels:
                self._decimals = _needed(price, self._decimals)
                self._size_decimals = _needed(size, self._size_decimals)
        for row in rows:
            self._decimals = _needed(row.price or 0.0, self._decimals)
            self._size_decimals = _needed(row.size, self._size_decimals)


def _of_connection(connections: Sequence[ConnectionView]) -> str:
    """What the first connection said last, or for how long it has said nothing."""
    first = connections[0]
    if first.silent_s is not None:
        return f"{first.name}: no word for {first.silent_s} s"
    return f"{first.name} {first.state}{f': {first.reason}' if first.reason else ''}"


def _needed(number: float, known: int) -> int:
    """How many decimals this number needs, if they are more than are `known` to be needed."""
    if known >= MAX_DECIMALS or round(number, known) == number:
        return known
    return max(known, decimals(number))


def _limit(book: OrderBook, side: BookSide, percent: float | None) -> float:
    """The price as far as this side is asked for: infinite without a range."""
    away = -inf if side.is_bid else inf
    best = [level[0] for level in (book.bids.best, book.asks.best) if level is not None]
    if percent is None or not best:
        return away
    middle = sum(best) / len(best)
    share = abs(middle) * percent / FULL_PERCENT
    return middle - share if side.is_bid else middle + share


def _shown(side: BookSide, count: int, limit: float) -> LadderSide:
    """The best `count` levels as far as the price `limit`."""
    levels: list[LadderLevel] = []
    total = value = 0.0
    by_range = False
    for price, size in side.top(count):
        if by_range := (price < limit if side.is_bid else price > limit):
            break
        total += size
        value += price * size
        levels.append((price, size, total, value))
    more = len(side) - len(levels)
    if more and not by_range and limit not in (-inf, inf):
        inside = side.between(*((limit, inf) if side.is_bid else (-inf, limit))).levels
        more, by_range = (inside - len(levels), False) if inside > len(levels) else (more, True)
    return LadderSide(
        levels=levels,
        known=len(side),
        whole=side.whole,
        end=side.low if side.is_bid else side.high,
        more=more,
        by_range=by_range,
        complete=limit not in (-inf, inf) and (side.low <= limit if side.is_bid else limit <= side.high),
    )


def _imbalance(
    book: OrderBook, bids: LadderSide, asks: LadderSide, percent: float | None
) -> tuple[float | None, int | None]:
    """The imbalance of what is shown, and of how many levels it is. It is of a range where all of that is known and
    shown. Sides of which not equally much is known are compared only as far as both are."""
    sides = (bids, asks)
    if percent is not None and all(
        (side.complete or side.whole) and (side.by_range or not side.more) for side in sides
    ):
        bought, sold = (side.levels[-1][2] if side.levels else 0.0 for side in sides)
        return ((bought - sold) / (bought + sold) if bought + sold > 0 else None), None
    shown = max(len(bids.levels), len(asks.levels))
    count = min([shown, *(side.known for side in sides if not side.whole)])
    return (book.imbalance(count) if count else None), count
