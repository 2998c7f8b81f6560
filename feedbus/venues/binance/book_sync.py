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

A snapshot doesn't name its symbol. So it must show the sizes that the stream has told until then. It may be newer than
all that has come on the stream. Then the book isn't shown before the stream has reached it; where nothing comes on the
stream any more, a second snapshot that is the same proves that nothing has happened since. A book that the stream
doesn't bring to a newer snapshot, or to a newer best bid and ask, is behind the venue's: it is lost, and the stream has
to be subscribed anew (`wants_stream`). Until that is so, no such proof counts, and if it didn't help, not before
something has come on the stream.

A message that can't be read costs the book of its stream. One that doesn't even say of which stream it was makes every
book doubtful: it isn't shown before a message that follows the last one, or a snapshot that was asked for later, has
proved that nothing of it was lost.

A message whose updates have all come before is passed over, but not many of them: the venue's numbers may have gone
back.

The snapshot has a bounded number of levels. When the price moves far, those that are known run out: a fresh snapshot is
asked for while enough are left, and when none is left the status says `exhausted`. Until the snapshot comes, a best bid
and ask of the same update id (bookTicker) may say which level is the best, and the book is known from there on.

A linked book is compared with best bids and asks, and with fresh snapshots (book_audit.py). Source: "How to manage a
local order book correctly" of web-socket-streams.md, https://github.com/binance/binance-spot-api-docs, as corrected on
2025-11-12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

import msgspec

from feedbus.books.order_book import OrderBook
from feedbus.errors import BadData, VenueError
from feedbus.schema.events import BookDelta, BookSnapshot, MarketData, Quote, Status, TrustState
from feedbus.venues.binance.book_audit import REACHED_WITHIN, BookAudit
from feedbus.venues.binance.depth import (
    DepthSnapshot,
    DepthUpdate,
    decode_update,
    refusal_of,
    snapshot_of,
    snapshot_request,
)
from feedbus.venues.binance.diff_buffer import DiffBuffer
from feedbus.venues.binance.payloads import VENUE, nanoseconds
from feedbus.venues.binance.snapshot_turns import SnapshotTurns
from feedbus.venues.fields import OtherInstrument
from feedbus.venues.protocol import (
    Confirmed,
    Effect,
    Fetch,
    FetchResponse,
    Refused,
    Resync,
    Righted,
    Skipped,
    Subscription,
)

REFUSED = 400
"""The status with which the venue answers what is wrong with a request, such as a symbol that it doesn't have. The
others from there to 499 may pass: 403 is that of its firewall."""

LONG = 10.0
"""Seconds after which it is told that a book is right again."""

UNLIKE_BOTH = 2
"""So many snapshots that show another size than the stream are believed, and not the stream."""

MOST_OLD = 3
"""How many old messages in a row are passed over."""

REFRESH_EVERY = 30.0
"""Seconds between two snapshots that are asked for because few known levels are left."""

FEW = 4
"""Few levels are left when a side has a quarter (1 / FEW) of those that a snapshot shows, or less."""

URGENT, REFRESH, AUDIT = 1, 2, 3
"""What a snapshot is for: there is no right book; few known levels are left; the book is compared with it."""


class BookSync:
    """The book of one symbol. Its methods return effects, the events among them in the order of the bus.

    `counts` are the totals of all books of the session, and `generation` is that of the connection. `wake_at` is when
    `tick` wants to be called (`now` seconds). `wants_stream` is set when its stream has to be subscribed anew.
    """

    def __init__(
        self, subscription: Subscription, levels: int, counts: Counter[str], generation: Callable[[], int]
    ) -> None:
        """`levels` is how many levels a side the snapshots have. The book keeps half as many again."""
        self.book: OrderBook | None = None  # while it is linked: right in the range that it knows
        self.shown = False  # whether the book is published as right
        self.wants_stream = False
        self._subscription = subscription
        self.symbol = subscription.symbol
        self._place = f"depth {subscription.symbol}"
        self._levels = levels
        self._counts = counts
        self._generation = generation
        self._turns = SnapshotTurns()
        self._purpose = URGENT
        self._asked: Fetch | None = None
        self._buffer: DiffBuffer | None = None  # while a snapshot is awaited
        self._held: DepthSnapshot | None = None  # a snapshot that the stream hasn't reached
        self._unproven: tuple[DepthSnapshot, int | None] | None = None  # one that waited in vain; where the stream was
        self._link_by = inf
        self._is_mute = False  # the stream doesn't bring what happens, so that its silence proves nothing
        self._times_mute = 0  # how often it was found to be, without anything coming on it in between
        self._doubted_at: int | None = None  # where the stream was when a message came that may have been of it
        self._refresh_at = -inf
        self._last: DepthUpdate | None = None  # the last message
        self._next = 0  # the update that follows it
        self._since = 0  # all updates from this one on have come on the stream
        self._unlike = 0  # snapshots that showed other sizes than the stream, since the book was last right
        self._old = self._old_at = 0  # how many old messages came in a row, and at which update
        self._few_bids = self._few_asks = 0  # with so many levels or fewer it is time for a snapshot
        self._audit = BookAudit(counts)
        self._quotes = self._audit.waiting  # looked at with every message
        self._state: tuple[TrustState, str] = ("unsubscribed", "")
        self._state_since = 0  # ns since the epoch
        self._lost_at: float | None = None  # when the book was lost, until it is right again
        self._is_refused = False  # whether the venue refused the snapshot when it was asked last
        self._ts_event = self._ts_recv = 0  # of the newest message
        self._heard = 0  # when the newest best bid and ask came (ns since the epoch)

    @property
    def wake_at(self) -> float:
        """When `tick` wants to be called."""
        return min(self._link_by, self._turns.wake_at)

    # What happens

    def begin(self, ts_recv: int) -> list[Effect]:
        """The venue confirmed the subscription, so every change from now on comes."""
        self._ts_recv = ts_recv
        self._is_mute = self._times_mute > 1
        self._doubted_at = None
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

    def restart(self, now: float) -> list[MarketData]:
        """The subscription is ended in order to be made anew: the book isn't right until it has begun again."""
        if self._lost_at is None:
            self._lost_at = now
        return self.end("resyncing", "unconfirmed")

    def update(self, payload: bytes | msgspec.Raw, ts_recv: int, now: float) -> Sequence[Effect]:
        """A message of the stream. Raises one of DECODE_ERRORS, and has changed nothing then: see `damaged`."""
        raw = decode_update(payload)
        if raw.symbol != self.symbol and raw.symbol:
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

    def doubt(self, now: float, ts_recv: int) -> list[Effect]:
        """A message came that can't be read, and nobody knows whether it was of this stream."""
        out: list[Effect] = []
        book, buffer = self.book, self._buffer
        if book is None and (buffer is None or buffer.last is None):
            return out  # whatever was lost was before the changes that are still to come
        self._ts_recv = ts_recv
        self._unproven = None
        if book is None and buffer is not None:
            self._doubted_at = buffer.last
            return out
        self._doubted_at = self._next - 1
        if self.shown:
            self.shown = False
            self._counts["books_lost"] += 1
            self._lost_at = now if self._lost_at is None else self._lost_at
        self._say("resyncing", "hole", out)
        self._asked = self._held = self._buffer = None  # a snapshot that was asked for before proves nothing
        self._turns.asked = False
        self._link_by = inf
        self._turns.due_at = min(self._turns.due_at, now + REACHED_WITHIN)
        return out

    def quote(self, quote: Quote, now: float) -> Sequence[Effect]:
        """A best bid and ask came, with the update id of the book that they are of."""
        book, update = self.book, quote.venue_sequence
        self._heard = quote.ts_recv
        if book is None or update is None or update < self._next - 1:
            return ()
        out: list[Effect] = []
        if update >= self._next:
            self._audit.wait(quote, now)
            if not self._audit.unreached(now):
                return ()
            self._left_behind(now, out)
        elif not self._audit.confirmed_by_quote(book, quote):
            self._disagreed(now, out)
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
        if isinstance(answer, FetchResponse) and answer.status == REFUSED:
            self._refused(answer, now, out)
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

    def look(self, now: float) -> list[Effect]:
        """See what no message shows: whether the changes still come. Called now and then."""
        out: list[Effect] = []
        if (book := self.book) is not None:
            self._measure(book)
            if self._audit.unreached(now):
                self._left_behind(now, out)
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
        self._is_mute, self._times_mute = False, 0
        if raw == self._last:
            self._counts["depth_repeats"] += 1
            return out
        reason = ""
        first, last = buffer.first, buffer.last
        if first is not None and last is not None and not raw.first <= last + 1 <= raw.last:
            if self._is_old(raw, first, last):
                return out
            self._counts["depth_holes" if raw.first > last else "depth_moved_back"] += 1
            reason = "hole"
        elif not buffer.add(raw):
            self._counts["depth_overflows"] += 1
            reason = "overflow"
        self._last = raw
        if reason:
            buffer = self._buffer = DiffBuffer()
            buffer.add(raw)
            self._say("resyncing", reason, out)
        if self._held is not None:
            self._join(buffer, self._held, now, out)
        return out

    def _join(self, buffer: DiffBuffer, snapshot: DepthSnapshot, now: float, out: list[Effect]) -> None:
        """Bring a snapshot and the buffered changes together, if they fit."""
        first, last = buffer.first, buffer.last
        if first is not None and snapshot.update < first - 1:
            self._counts["snapshots_stale"] += 1
            self._useless(now, out)
            return
        if last is None or snapshot.update > last:
            if self.book is not None or self._is_mute or (snapshot, last) != self._unproven:
                self._link_by = min(self._link_by, now + REACHED_WITHIN)
                return
            buffer = DiffBuffer(snapshot.update)
            last = snapshot.update
        elif self.book is None and buffer.contradicts(snapshot, self._levels):
            self._counts["snapshots_unlike"] += 1
            self._unlike += 1
            if self._unlike >= UNLIKE_BOTH:  # then it was the stream that told a size that was never true
                self._unlike = 0
                self._buffer = DiffBuffer(last)
            self._useless(now, out)
            return
        fresh = buffer.book(snapshot, self._levels)
        self._held = self._unproven = self._buffer = None
        self._link_by = inf
        if self.book is None:
            self._since = last + 1 if first is None else first
            self._link(fresh, last, now, out)
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
        fresh.venue, fresh.symbol = VENUE, self.symbol
        self.book = fresh
        self._next = reached + 1
        self._measure(fresh)
        self._show(fresh, now, out)

    def _waited_in_vain(self, now: float, out: list[Effect]) -> None:
        """The stream didn't reach the snapshot in time: it is of another symbol, or nothing has happened since, or the
        stream has lost something or is dead."""
        self._link_by = inf
        held = self._held
        reached = None if self._buffer is None else self._buffer.last
        before = self._unproven
        if self.book is not None:
            self._counts["snapshots_ahead"] += 1
            self._left_behind(now, out)
        elif before is None:
            self._held = None
            self._turns.due_at = now
        else:
            self._counts["snapshots_ahead"] += 1
            if held is not None and held.update > before[0].update and reached == before[1]:
                self._note_mute()
            self._useless(now, out)
        if held is not None:
            self._unproven = held, reached

    def _refused(self, answer: FetchResponse, now: float, out: list[Effect]) -> None:
        """The venue says that there is no such snapshot, as it does for a symbol that doesn't exist."""
        self._counts["snapshots_refused"] += 1
        if self.shown:
            self._buffer = None
            return
        self._is_refused = True
        out.append(Refused(self._subscription, refusal_of(answer)))
        self._say("unsubscribed", "refused", out)
        self._turns.refused(now)

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
        return BookDelta(VENUE, self.symbol, self._ts_event, self._ts_recv, raw.bids, raw.asks, raw.first, raw.last)

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
        elif not self._audit.confirmed_by_waiting(book, raw.last):
            self._disagreed(now, out)
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
        if self._is_old(raw, self._since, self._next - 1):
            return out
        self._last = raw
        self._counts["depth_holes" if raw.first > self._next else "depth_moved_back"] += 1
        buffer = DiffBuffer()
        buffer.add(raw)
        self._lose("resyncing", "hole", buffer, now, out)
        return out

    def _is_old(self, raw: DepthUpdate, since: int, reached: int) -> bool:
        """Whether a message is to be passed over, because all that it holds has come on the stream before, from the
        update `since` to `reached`."""
        if not since <= raw.first <= raw.last <= reached:
            return False
        self._old = self._old + 1 if self._old_at == reached else 1
        self._old_at = reached
        if self._old > MOST_OLD:
            return False
        self._counts["depth_repeats"] += 1
        return True

    def _left_behind(self, now: float, out: list[Effect]) -> None:
        """What has happened at the venue doesn't come on the stream."""
        if self._last is not None:
            self._times_mute = 0
        self._disagreed(now, out)
        self._note_mute()

    def _note_mute(self) -> None:
        self._times_mute += 1
        self._is_mute = self.wants_stream = True

    def _disagreed(self, now: float, out: list[Effect]) -> None:
        """The book isn't what the venue says of it elsewhere."""
        self._lose("gapped", "audit", DiffBuffer(self._next - 1), now, out)

    def _compare(self, book: OrderBook, fresh: OrderBook, now: float, out: list[Effect]) -> None:
        """A fresh snapshot, moved to the book's own update, has come: for an audit, or because the known levels run
        out."""
        known = book.known_range
        self._doubted_at = None  # the snapshot was asked for later
        if not self._audit.confirmed_by_snapshot(book, fresh):
            self._disagreed(now, out)
            return
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
        if self._purpose == AUDIT and self._turns.asked:  # it goes last in the queue
            self._asked, self._turns.asked, self._buffer = None, False, None
        if self._held is None and not self._turns.asked:
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
        if self._doubted_at == self._next - 1:
            self._say("resyncing", "hole", out)
            self._turns.due_at = min(self._turns.due_at, now + REACHED_WITHIN)
            return
        if _exhausted(book):
            self._exhaust(now, out)
            return
        self._unlike = 0
        if not self.shown:
            self.shown = True
            self._counts["books_right"] += 1
        if self._lost_at is not None:
            if now >= self._lost_at + LONG:
                out.append(Righted(self._subscription, now - self._lost_at))
            self._lost_at = None
        if self._is_refused:
            self._is_refused = False
            out.append(Confirmed(self._subscription))
        self._turns.succeeded(now)
        if self._held is None and not self._turns.asked:  # one that was of no use isn't made up for any more
            self._buffer = None
        out.append(self.picture(book))
        self._say("live", "", out)

    def picture(self, book: OrderBook, levels: int | None = None) -> BookSnapshot:
        """The book as an event, or its best `levels` levels."""
        book.sequence, book.ts_event, book.ts_recv = self._next - 1, self._ts_event, self._ts_recv
        return book.picture(levels)

    def _lose(self, state: TrustState, reason: str, buffer: DiffBuffer, now: float, out: list[Effect]) -> None:
        """The book isn't right, or nobody knows: say so, and get it anew."""
        self._counts["books_lost"] += 1
        if self._lost_at is None:
            self._lost_at = now
        self._forget(buffer)
        self._say(state, reason, out)
        out.append(Resync(self._subscription, reason))
        if self._purpose != URGENT:  # what was asked for goes last in the queue, and may be too old
            self._asked, self._turns.asked = None, False
        if self._doubted_at is not None:  # what was only to prove it again is wanted at once
            self._turns.due_at = inf
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
        self._asked = msgspec.structs.replace(snapshot_request(self.symbol, self._levels), urgency=purpose)
        out.append(self._asked)

    def _say(self, state: TrustState, reason: str, out: list[Effect] | list[MarketData]) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._state_since = max(self._ts_recv, self._heard)
            out.append(self._status())

    def _status(self) -> Status:
        state, reason = self._state
        ts_recv, generation = max(self._ts_recv, self._state_since), self._generation()
        return Status(VENUE, self.symbol, 0, ts_recv, state, reason, self._state_since, generation, "book")


def _exhausted(book: OrderBook) -> bool:
    """Whether the best level of a side isn't known."""
    return (not book.bids.sizes and not book.bids.whole) or (not book.asks.sizes and not book.asks.whole)
