"""Keeps the order book of one Binance symbol right, or says that it isn't. Pure.

    begin ──▶ WAITING: changes are buffered, a snapshot is asked for
                 │  a snapshot fits the buffered changes: the book is made, and published with the status live
                 ▼
              LINKED: each message must follow the one before; it changes the book and is published as a delta
                 │  a hole, a crossed book, an audit that disagrees: the status says so, and all begins anew
                 └──▶ WAITING

The rule of linking: a snapshot as of update n fits when every change after n is buffered or still to come, so when
first <= n + 1. The venue's documentation asks for more (a first message that holds n itself), and would refuse a good
start: in recordings the first message often begins at n + 1. Later messages must begin at the last update + 1 at most.

A snapshot may be newer than all that has come on the stream. Then the book isn't shown before the stream has reached
it, because only that proves that the snapshot is of this symbol: it doesn't name one. Where nothing comes on the stream
at all, a second snapshot that is the same proves it.

The snapshot has a bounded number of levels. When the price moves far, those that are known run out: a fresh snapshot is
asked for while enough are left, and when none is left the status says `exhausted`. Until the snapshot comes, a best bid
and ask of the same update id (bookTicker) may say which level is the best, and the book is known from there on.

A linked book is audited. A best bid and ask of the same update id must be the book's, and a fresh snapshot must show
the same levels as the book has, both moved to the same update. Source: "How to manage a local order book correctly" of
web-socket-streams.md, https://github.com/binance/binance-spot-api-docs, as corrected on 2025-11-12.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from math import inf

import msgspec

from feedbus.books.order_book import OrderBook
from feedbus.errors import BadData, VenueError
from feedbus.schema.events import BookDelta, BookSnapshot, Level, MarketData, Quote, Status, TrustState
from feedbus.venues.binance.depth import DepthSnapshot, DepthUpdate, decode_update, snapshot_of, snapshot_request
from feedbus.venues.binance.diff_buffer import DiffBuffer
from feedbus.venues.binance.payloads import VENUE, nanoseconds
from feedbus.venues.binance.snapshot_turns import SnapshotTurns
from feedbus.venues.fields import OtherInstrument
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Resync, Skipped, Subscription

LINK_WITHIN = 5.0
"""Seconds that a snapshot waits for the stream to reach it; then another one is asked for."""

REFRESH_EVERY = 30.0
"""Seconds between two snapshots that are asked for because few known levels are left."""

FEW = 4
"""Few levels are left when a side has a quarter (1 / FEW) of those that a snapshot shows, or less."""

MAX_QUOTES = 4096
"""How many best bids and asks wait for the book to reach their update; older ones are forgotten."""

URGENT, REFRESH, AUDIT = 1, 2, 3
"""What a snapshot is for: there is no right book; few known levels are left; the book is compared with it."""


class BookSync:
    """The book of one symbol. Its methods return effects, the events among them in the order of the bus.

    `counts` are the totals of all books of the session, and `generation` is that of the connection. `wake_at` is when
    `tick` wants to be called (`now` seconds).
    """

    def __init__(
        self, subscription: Subscription, levels: int, counts: Counter[str], generation: Callable[[], int]
    ) -> None:
        """`levels` is how many levels a side the snapshots have. The book keeps half as many again."""
        self.book: OrderBook | None = None  # while it is linked: right in the range that it knows
        self.shown = False  # whether the book is published as right
        self._subscription = subscription
        self._symbol = subscription.symbol
        self._place = f"depth {subscription.symbol}"
        self._levels = levels
        self._counts = counts
        self._generation = generation
        self._turns = SnapshotTurns()
        self._purpose = URGENT
        self._asked: Fetch | None = None
        self._buffer: DiffBuffer | None = None  # while a snapshot is awaited
        self._held: DepthSnapshot | None = None  # a snapshot that the stream hasn't reached
        self._unproven: DepthSnapshot | None = None  # one that waited in vain, while nothing came on the stream
        self._link_by = inf
        self._refresh_at = -inf
        self._last: DepthUpdate | None = None  # the last message
        self._next = 0  # the update that follows it
        self._few_bids = self._few_asks = 0  # with so many levels or fewer it is time for a snapshot
        self._quotes: deque[Quote] = deque(maxlen=MAX_QUOTES)  # those of updates that the book hasn't reached
        self._state: tuple[TrustState, str] = ("unsubscribed", "")
        self._ts_event = self._ts_recv = 0  # of the newest message

    @property
    def wake_at(self) -> float:
        """When `tick` wants to be called."""
        return min(self._link_by, self._turns.wake_at)

    # What happens

    def begin(self, ts_recv: int) -> list[Effect]:
        """The venue confirmed the subscription, so every change from now on comes."""
        self._ts_recv = ts_recv
        self._forget(DiffBuffer())
        out: list[Effect] = []
        self._say("resyncing", "first_picture", out)
        self._ask(URGENT, out)
        return out

    def end(self, state: TrustState, reason: str) -> list[MarketData]:
        """The subscription, or the connection, is over."""
        out: list[MarketData] = []
        self._forget(None)
        if self._state[0] != "unsubscribed":
            self._say(state, reason, out)
        return out

    def update(self, payload: bytes | msgspec.Raw, ts_recv: int, now: float) -> Sequence[Effect]:
        """A message of the stream. Raises one of DECODE_ERRORS, and has changed nothing then: see `damaged`."""
        raw = decode_update(payload)
        if raw.symbol != self._symbol and raw.symbol:
            raise OtherInstrument(raw.symbol)
        self._ts_event, self._ts_recv = nanoseconds(raw.time), ts_recv
        book = self.book
        if book is None:
            return self._buffered(raw, now)
        if not raw.first <= self._next <= raw.last:
            return self._out_of_line(raw, now)
        book.bids.update(raw.bids)
        book.asks.update(raw.asks)
        self._last, self._next = raw, raw.last + 1
        bids, asks = book.bids.near, book.asks.near
        if (
            self.shown
            and self._buffer is None
            and not self._quotes
            and len(book.bids.sizes) > self._few_bids
            and len(book.asks.sizes) > self._few_asks
            and bids[-1] < asks[0]
        ):  # nearly always, where best bids and asks aren't subscribed
            return (self._delta(raw),)
        return self._judged(book, raw, now)

    def damaged(self, now: float, ts_recv: int) -> list[Effect]:
        """A message of the stream came that can't be read: what it changed isn't known."""
        out: list[Effect] = []
        self._ts_recv = ts_recv
        self._counts["depth_damaged"] += 1
        if self.book is not None:
            self._lose("resyncing", "hole", DiffBuffer(), now, out)
        elif self._buffer is not None:
            self._buffer = DiffBuffer()
            self._say("resyncing", "hole", out)
            if self._held is not None:
                self._useless(now, out)
        return out

    def quote(self, quote: Quote, now: float) -> Sequence[Effect]:
        """A best bid and ask came, with the update id of the book that they are of."""
        book, update = self.book, quote.venue_sequence
        if book is None or update is None or update < self._next - 1:
            return ()
        if update >= self._next:
            self._quotes.append(quote)
            return ()
        out: list[Effect] = []
        if not self._confirmed_by(book, quote):
            self._disagreed("quotes_disagreed", now, out)
        elif not self.shown:
            self._show(book, now, out)
        return out

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> list[Effect]:
        """A snapshot came, or didn't."""
        out: list[Effect] = []
        if fetch != self._asked:
            return out
        self._asked, self._turns.asked = None, False
        buffer = self._buffer
        if buffer is None:  # it was for a comparison that was given up
            if self.book is not None and not self.shown:
                self._exhaust(now, out)
            return out
        try:
            if isinstance(answer, VenueError):
                self._counts["snapshots_failed"] += 1
                raise answer
            self._held = snapshot_of(answer, self._place)
            self._ts_recv = max(self._ts_recv, answer.ts_recv)
        except BadData as error:
            self._counts["snapshots_unusable"] += not isinstance(answer, VenueError)
            out.append(Skipped(error))
            self._useless(now, out)
        except VenueError:
            self._useless(now, out)
        else:
            self._counts["snapshots"] += 1
            self._join(buffer, self._held, now, out)
        return out

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        out: list[Effect] = []
        if now >= self._link_by:
            self._waited_in_vain(now, out)
        self._ask_if_due(now, out)
        return out

    def audit(self) -> list[Effect]:
        """Compare the book with a fresh snapshot. Returns nothing when that can't be done now."""
        out: list[Effect] = []
        if self.shown and self._buffer is None and not self._turns.asked:
            self._ask(AUDIT, out)
        return out

    # While there is no book

    def _buffered(self, raw: DepthUpdate, now: float) -> list[Effect]:
        buffer = self._buffer
        out: list[Effect] = []
        if buffer is None:
            return out  # it isn't subscribed
        if raw == self._last:
            self._counts["depth_repeats"] += 1
            return out
        self._last = raw
        reason = ""
        if buffer.last is not None and not raw.first <= buffer.last + 1 <= raw.last:
            self._counts["depth_holes" if raw.first > buffer.last else "depth_moved_back"] += 1
            reason = "hole"
        elif not buffer.add(raw):
            self._counts["depth_overflows"] += 1
            reason = "overflow"
        if reason:
            buffer = self._buffer = DiffBuffer()
            buffer.add(raw)
            self._say("resyncing", reason, out)
        if self._held is not None:
            self._join(buffer, self._held, now, out)
        return out

    def _join(self, buffer: DiffBuffer, snapshot: DepthSnapshot, now: float, out: list[Effect]) -> None:
        """Bring a snapshot and the buffered changes together, if they fit."""
        if buffer.first is None or buffer.last is None:  # nothing came on the stream since it was confirmed
            if snapshot != self._unproven:
                self._link_by = min(self._link_by, now + LINK_WITHIN)
                return
            buffer = DiffBuffer(snapshot.update)
        elif snapshot.update < buffer.first - 1:
            self._counts["snapshots_stale"] += 1
            self._useless(now, out)
            return
        elif snapshot.update > buffer.last:
            self._link_by = min(self._link_by, now + LINK_WITHIN)
            return
        fresh = buffer.book(snapshot, self._levels)
        reached = snapshot.update if buffer.last is None else buffer.last
        self._held = self._unproven = self._buffer = None
        self._link_by = inf
        if self.book is None:
            self._link(fresh, reached, now, out)
        else:
            self._compare(self.book, fresh, now, out)

    def _link(self, fresh: OrderBook, reached: int, now: float, out: list[Effect]) -> None:
        if fresh.condition == "crossed":
            self._counts["depth_crossed"] += 1
            self._buffer = DiffBuffer(reached)
            self._say("gapped", "crossed", out)
            self._turns.again(now)
            self._ask_if_due(now, out)
            return
        fresh.venue, fresh.symbol = VENUE, self._symbol
        self.book = fresh
        self._next = reached + 1
        self._measure(fresh)
        self._show(fresh, now, out)

    def _waited_in_vain(self, now: float, out: list[Effect]) -> None:
        """The stream didn't reach the snapshot in time: another symbol's, or nothing happens on this one."""
        self._link_by = inf
        if self._buffer is not None and self._buffer.last is None and self._unproven is None:
            self._unproven, self._held = self._held, None
            self._turns.due_at = now
            return
        self._unproven = self._held if self._buffer is not None and self._buffer.last is None else None
        self._counts["snapshots_ahead"] += 1
        self._useless(now, out)

    def _useless(self, now: float, out: list[Effect]) -> None:
        """The snapshot is of no use. An audit isn't made up for: its time comes again."""
        self._held = None
        self._link_by = inf
        if self.shown:
            self._buffer = None
            return
        self._turns.again(now)
        self._ask_if_due(now, out)

    # While the book is linked

    def _delta(self, raw: DepthUpdate) -> BookDelta:
        return BookDelta(VENUE, self._symbol, self._ts_event, self._ts_recv, raw.bids, raw.asks, raw.first, raw.last)

    def _judged(self, book: OrderBook, raw: DepthUpdate, now: float) -> list[Effect]:
        """The message was applied. Is the book still right, and what is published?"""
        out: list[Effect] = []
        if self._buffer is not None and not self._buffer.add(raw):
            self._counts["depth_overflows"] += 1
            self._buffer = self._held = None
            self._link_by = inf
        if book.condition == "crossed":
            self._counts["depth_crossed"] += 1
            self._lose("gapped", "crossed", DiffBuffer(raw.last), now, out)
        elif not self._quotes_agree(book):
            self._disagreed("quotes_disagreed", now, out)
        elif _exhausted(book):
            self._exhaust(now, out)
        else:
            if self.shown:
                out.append(self._delta(raw))
            else:
                self._show(book, now, out)
            if len(book.bids) <= self._few_bids or len(book.asks) <= self._few_asks:
                self._refresh(now, out)
        if self._held is not None and self._buffer is not None:
            self._join(self._buffer, self._held, now, out)
        return out

    def _out_of_line(self, raw: DepthUpdate, now: float) -> list[Effect]:
        """A message that doesn't follow the last one."""
        out: list[Effect] = []
        if raw == self._last:
            self._counts["depth_repeats"] += 1
            return out
        self._last = raw
        self._counts["depth_holes" if raw.first > self._next else "depth_moved_back"] += 1
        buffer = DiffBuffer()
        buffer.add(raw)
        self._lose("resyncing", "hole", buffer, now, out)
        return out

    def _quotes_agree(self, book: OrderBook) -> bool:
        """Compare the book with the best bid and ask of its update, if they came, and forget the older ones."""
        reached, quotes, same = self._next - 1, self._quotes, None
        while quotes and (quotes[0].venue_sequence or 0) <= reached:
            same = quotes.popleft()
        return same is None or same.venue_sequence != reached or self._confirmed_by(book, same)

    def _confirmed_by(self, book: OrderBook, quote: Quote) -> bool:
        """Whether a best bid and ask of the book's own update are the book's. Where the book doesn't know its best
        level any more, they tell it."""
        self._counts["quotes_compared"] += 1
        right = True
        for side, price, size in ((book.bids, quote.bid, quote.bid_size), (book.asks, quote.ask, quote.ask_size)):
            told: Level | None = None if price is None or size is None else (price, size)
            if side.best is None and not side.whole:
                side.replace([told] if told else [], whole=False)
            else:
                right = right and side.best == told
        return right

    def _disagreed(self, count: str, now: float, out: list[Effect]) -> None:
        self._counts[count] += 1
        self._lose("gapped", "audit", DiffBuffer(self._next - 1), now, out)

    def _compare(self, book: OrderBook, fresh: OrderBook, now: float, out: list[Effect]) -> None:
        """A fresh snapshot, moved to the book's own update, has come: for an audit, or because the known levels run
        out."""
        picture = fresh.picture()
        self._counts["audits"] += 1
        if not book.agrees_with(picture):
            self._disagreed("audits_disagreed", now, out)
            return
        known = book.known_range
        book.widen(picture)
        self._measure(book)
        if not self.shown or (book.known_range != known and self._purpose != AUDIT):
            self._show(book, now, out)  # readers know no more levels than they were shown
        self._turns.succeeded(now)

    def _exhaust(self, now: float, out: list[Effect]) -> None:
        """No level of a side is known any more. The book stays linked, since the price may come back."""
        if self.shown:
            self.shown = False
            self._counts["depth_exhausted"] += 1
        self._say("resyncing", "exhausted", out)
        if self._buffer is None and not self._turns.asked:
            self._turns.lost(now)
            self._ask_if_due(now, out)

    def _refresh(self, now: float, out: list[Effect]) -> None:
        """Few known levels are left: ask for a snapshot in good time."""
        if self._buffer is None and not self._turns.asked and now >= self._refresh_at:
            self._refresh_at = now + REFRESH_EVERY
            self._ask(REFRESH, out)

    # What both have

    def _show(self, book: OrderBook, now: float, out: list[Effect]) -> None:
        """Publish the book as right, unless its best levels aren't known."""
        if _exhausted(book):
            self._exhaust(now, out)
            return
        if not self.shown:
            self.shown = True
            self._counts["books_right"] += 1
        self._turns.succeeded(now)
        out.append(self.picture(book))
        self._say("live", "", out)

    def picture(self, book: OrderBook, levels: int | None = None) -> BookSnapshot:
        """The book as an event, or its best `levels` levels."""
        book.sequence, book.ts_event, book.ts_recv = self._next - 1, self._ts_event, self._ts_recv
        return book.picture(levels)

    def _lose(self, state: TrustState, reason: str, buffer: DiffBuffer, now: float, out: list[Effect]) -> None:
        """The book isn't right, or nobody knows: say so, and get it anew."""
        self._counts["books_lost"] += 1
        self._forget(buffer)
        self._say(state, reason, out)
        out.append(Resync(self._subscription, reason))
        self._turns.lost(now)
        self._ask_if_due(now, out)

    def _forget(self, buffer: DiffBuffer | None) -> None:
        self.book, self.shown, self._buffer = None, False, buffer
        self._held = self._unproven = None
        self._link_by = inf
        self._quotes.clear()
        if buffer is None:
            self._turns = SnapshotTurns()
            self._asked = self._last = None

    def _measure(self, book: OrderBook) -> None:
        few = self._levels // FEW
        self._few_bids = 0 if book.bids.whole else few
        self._few_asks = 0 if book.asks.whole else few

    def _ask_if_due(self, now: float, out: list[Effect]) -> None:
        if self._turns.is_due(now):
            self._ask(URGENT, out)

    def _ask(self, purpose: int, out: list[Effect]) -> None:
        self._turns.begin()
        self._purpose = purpose
        if self._buffer is None:
            self._buffer = DiffBuffer(self._next - 1)
        self._asked = msgspec.structs.replace(snapshot_request(self._symbol, self._levels), urgency=purpose)
        out.append(self._asked)

    def _say(self, state: TrustState, reason: str, out: list[Effect] | list[MarketData]) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            ts = self._ts_recv
            out.append(Status(VENUE, self._symbol, 0, ts, state, reason, ts, self._generation(), "book"))


def _exhausted(book: OrderBook) -> bool:
    """Whether the best level of a side isn't known."""
    return (not book.bids.sizes and not book.bids.whole) or (not book.asks.sizes and not book.asks.whole)
