"""The conversation with Binance spot on one connection: JSON messages in, effects out. Pure.

A SUBSCRIBE names many streams at once and is answered by {"result":null,"id":…}; data comes as
{"stream":"btcusdt@trade","data":{…}}, mixed with the answers. A stream that doesn't exist is confirmed like any other,
and then nothing comes: the venue documents no error for it. An error may come without the id of its request. When a
request isn't answered in time, LIST_SUBSCRIPTIONS tells what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf

from msgspec import UNSET, Raw

from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.schema.events import BookDelta, MarketData, Quote
from feedbus.text import one_line
from feedbus.trust.trade_spans import TradeSpans
from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.channels import CHANGES, stream_name
from feedbus.venues.binance.kept_books import AuditPace, KeptBooks
from feedbus.venues.binance.messages import BinanceFailure, BinanceMessage, decode_list, decode_nothing, parse
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.binance.payloads import AllRevisions, Read, loose_reader, reader
from feedbus.venues.binance.requests import ANSWER_WITHIN, LIST, LIST_EVERY, LIST_SOON, PACE, BinanceSubscription, build
from feedbus.venues.fields import DECODE_ERRORS, LARGE, OtherInstrument, too_dear
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Close, Effect, Fetch, FetchResponse, Notice, Skipped, Subscription
from feedbus.venues.sessions import SubscribingSession
from feedbus.venues.subscriptions import NOT_KEPT, Leaving, Request, Subscriptions

MAX_STREAMS = 1024  # of a connection
MAX_GIVEN_UP = 2 * MAX_STREAMS  # names remembered until the venue has confirmed that they are over
MAX_NOTICES = 8  # of a connection, about what the venue says
MAX_STRAYS = 200  # streams that nobody wants, and that are ended because of one list
MAX_NAME = 100  # characters of the name of such a stream

THERE = frozenset({"confirmed", "live"})  # the states of what the venue is known to have
_STREAM = b'{"stream":"'
_DATA = b',"data":'
_END = ord("}")


class Session(SubscribingSession[BinanceSubscription]):
    """One conversation. See feedbus.venues.protocol for the calls and the effects."""

    def __init__(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        revisions: AllRevisions,
        options: BinanceOptions,
        audits: AuditPace,
        spans: TradeSpans | None = None,
    ) -> None:
        self._revisions = revisions
        self._spans = spans
        self._changes = next((channel for channel in channels if channel in CHANGES), None)
        self._by_name: dict[str, BinanceSubscription] = {}  # all that are wanted
        self._live: dict[bytes, Read] = {}  # their readers, by the bytes with which their messages begin
        self._with_book: dict[bytes, BinanceSubscription] = {}  # those that are live and concern a book that is kept
        self._given_up: dict[str, None] = {}  # names that the venue may still send data of
        self._at_list: dict[str, int] = {}  # what was confirmed when the venue was asked for its list; by which request
        self._list_at = inf  # when it is asked next
        self._notices = 0
        self._ts_recv = 0  # of the newest message that wasn't data of a live stream
        counts: Counter[str] = Counter()
        self._books = KeptBooks(options, audits, counts, lambda: self.generation)
        super().__init__(
            Subscriptions(channels, PACE, track=self._track, build=build, sent=self._note_sent), symbols, counts
        )

    # What the shell reports

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always data of a stream that is live, written as the venue writes it."""
        if len(data) > LARGE and (reason := too_dear(data)):
            return list(self._unreadable(bytes(data), BadData("message", reason), ts_recv, now))
        text = data if type(data) is bytes else bytes(data)
        begin, _, rest = text.partition(_DATA)
        read = self._live.get(begin)
        if read is not None and rest and rest[-1] == _END:
            try:
                return (read(rest[:-1], ts_recv),)
            except DECODE_ERRORS:
                pass  # another shape, or nothing that can be used: the long way says which
        elif rest and rest[-1] == _END and (tracked := self._with_book.get(begin)) is not None:
            try:
                return self._with_its_book(tracked, rest[:-1], ts_recv, now)
            except DECODE_ERRORS:
                pass
        return list(self._any_message(text, ts_recv, now))

    def opened(self, now: float) -> Iterator[Effect]:
        """Ask for all streams, and later what the venue has of them."""
        self._list_at = now + LIST_SOON
        yield from super().opened(now)

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, and the next request."""
        if now >= self._list_at:
            self._list_at = now + LIST_EVERY
            self.subscriptions.ask_own(LIST)
        self.subscriptions.tick(now)
        late = self.subscriptions.overdue(now, gently=False)
        if any(request.kind == LIST for request in late) and self.subscriptions.stands_still(now):
            yield Close(TimedOut(f"no answer to LIST_SUBSCRIPTIONS within {ANSWER_WITHIN:g} s"))
            return
        yield from self._books.tick(now)
        yield from self._get_anew(self._books.take_behind(), now)
        for request in late:
            if request.kind == LIST:
                yield from self._unlisted(now)
            elif request.kind == "subscribe" and not request.is_open:
                # All its streams were confirmed by data or given up since, so its answer isn't needed.
                yield from self.unanswered(request, now)
            else:
                self.subscriptions.ask_own(LIST)
        yield from self.send_due(now)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterator[Effect]:
        """A snapshot of a book came, or didn't."""
        yield from self._books.fetched(fetch, answer, now)
        yield from self.schedule()

    def deadlines(self) -> Iterable[float]:
        """Those of the books that are kept, and of the next list."""
        return (self._books.wake_at(), self._list_at)

    def _get_anew(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Subscribe the streams of these books again: they don't bring what has happened at the venue."""
        if self._changes is not None and symbols:
            behind = [Subscription(self._changes, symbol) for symbol in symbols]
            yield from self.resubscribe(behind, "the changes of the book don't come", now)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up. Their books aren't kept any more."""
        for symbol in symbols:
            if (sync := self._books.get(symbol)) is not None:
                yield from sync.end("unsubscribed", "unwanted")
        yield from super().unsubscribe(symbols, now)

    def made_anew(self, tracked: BinanceSubscription, now: float) -> Sequence[Effect]:
        """Data of the stream goes the long way until it is confirmed again, and its book begins anew with that."""
        self._live.pop(tracked.key, None)
        self._with_book.pop(tracked.key, None)
        return () if tracked.read is not None else self._books.restart(tracked.subscription.symbol, now)

    def confirm(self, tracked: BinanceSubscription, now: float) -> Iterator[Effect]:
        """The venue confirmed a stream. A book begins with that, because every change from then on comes."""
        confirmed = self.subscriptions.confirm(tracked, now)
        yield from confirmed
        if confirmed and tracked.read is None:
            yield from self._books.begin(tracked.subscription.symbol, self._ts_recv, now)

    def dropped(self, tracked: BinanceSubscription) -> None:
        """Data of the stream may still be on its way. Its name is remembered until the venue has confirmed the end."""
        self._by_name.pop(tracked.name, None)
        self._live.pop(tracked.key, None)
        self._with_book.pop(tracked.key, None)
        if tracked.read is None:
            self._books.drop(tracked.subscription.symbol)
        self._revisions.pop(tracked.subscription, None)
        if self.subscriptions.is_ending(tracked):
            if len(self._given_up) >= MAX_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
            self._given_up[tracked.name] = None

    # What the shell asks

    def counters(self) -> Mapping[str, int]:
        """Totals: answers, errors, unknown_ids, unanswered, given_up, unknown_streams, unknown_events,
        other_instruments (payloads that name another symbol than their stream); lost_subscriptions (what the venue
        lists no longer, and is asked for again), stray_subscriptions (what it lists and nobody wants, and is ended);
        values_left_out (what is out of bounds), levels_left_out (of a book, without a price or a size). docs/books.md
        has those of books.
        """
        return dict(self.counts)

    # Messages

    def _any_message(self, text: bytes, ts_recv: int, now: float) -> Iterator[Effect]:
        self._ts_recv = ts_recv
        try:
            message = parse(text)
        except BadData as error:
            yield from self._unreadable(text, error, ts_recv, now)
            return
        try:
            if message.stream is not UNSET and message.data is not UNSET:
                yield from self._data(message.stream, message.data, ts_recv, now)
            elif message.event is not UNSET:
                yield from self._event(message, text, ts_recv, now)
            elif (failure := message.failure) is not None:
                yield from self._error(failure, message.id, now)
            elif message.result is not UNSET:
                yield from self._answer(message.id, message.result, now)
            else:
                raise BadData("message", "neither data of a stream that it names, nor an answer")
        except BadData as error:
            yield Skipped(error)

    def _unreadable(self, text: bytes, error: BadData, ts_recv: int, now: float) -> Iterator[Effect]:
        """A message can't be read as a whole. Its beginning may name its stream. A book that may have been changed by
        it isn't right any more, or doubtful."""
        begin, _, rest = text.lstrip().partition(_DATA)
        is_named = bool(rest) and begin.startswith(_STREAM)
        tracked = self._by_name.get(begin[len(_STREAM) :].decode(errors="replace").rstrip('"')) if is_named else None
        yield Skipped(error, None if tracked is None else tracked.subscription)
        if not is_named:
            yield from self._books.doubt(ts_recv, now)
            yield from self.schedule()
        elif tracked is not None and tracked.read is None and tracked.sync is not None:
            yield from tracked.sync.damaged(now, ts_recv)
            yield from self._scheduled(tracked.sync)

    def _data(self, name: str, payload: bytes | Raw, ts_recv: int, now: float) -> Iterator[Effect]:
        tracked = self._by_name.get(name)
        if tracked is None:
            if name == "!serverShutdown":
                yield from self._shutdown()
            else:
                self.counts["given_up" if name in self._given_up else "unknown_streams"] += 1
            return
        yield from self.confirm(tracked, now)
        if tracked.read is None:
            yield from self._changed_book(tracked, payload, ts_recv, now)
            return
        problems = Problems(str(tracked.subscription))
        try:
            event = self._read(tracked, payload, ts_recv, problems)
        except DECODE_ERRORS as error:
            self.counts["other_instruments"] += isinstance(error, OtherInstrument)
            yield Skipped(BadData(problems.place, one_line(str(error))), tracked.subscription)
            return
        yield from map(Skipped, problems.errors())
        self.counts.update(problems.left_out())
        self._has_data(tracked, now)
        # The first data on a connection always comes here, and ends the bar whose end fell between two connections.
        bars = self._revisions.get(tracked.subscription)
        if bars is not None and (cut_off := bars.take_cut_off()) is not None:
            yield cut_off
        yield event
        if tracked.sync is not None and isinstance(event, Quote):
            yield from tracked.sync.quote(event, now)
            yield from self._scheduled(tracked.sync)

    def _read(self, tracked: BinanceSubscription, payload: bytes | Raw, ts_recv: int, problems: Problems) -> MarketData:
        """The event of a payload, without what is out of bounds in it. Raises one of DECODE_ERRORS."""
        if tracked.read is not None:
            try:
                return tracked.read(payload, ts_recv)
            except DECODE_ERRORS:
                pass
        return loose_reader(tracked.subscription, self._revisions, problems, self._spans)(payload, ts_recv)

    def _changed_book(
        self, tracked: BinanceSubscription, payload: bytes | Raw, ts_recv: int, now: float
    ) -> Iterator[Effect]:
        """A message of changed levels. One that can't be read leaves the book unknown."""
        if (sync := tracked.sync) is None:
            return
        try:
            effects = sync.update(payload, ts_recv, now)
        except DECODE_ERRORS as error:
            self.counts["other_instruments"] += isinstance(error, OtherInstrument)
            yield from sync.damaged(now, ts_recv)
            yield from self._scheduled(sync)
            raise BadData(str(tracked.subscription), one_line(str(error))) from None
        self._has_data(tracked, now)
        yield from effects
        yield from self._scheduled(sync)

    def _scheduled(self, sync: BookSync) -> Sequence[Effect]:
        """Something happened to this book, so it may want to be called at another time."""
        self._books.note(sync)
        return self.schedule()

    def _with_its_book(
        self, tracked: BinanceSubscription, payload: bytes, ts_recv: int, now: float
    ) -> Sequence[Effect]:
        """A message of a live stream that changes a book, or that a book is compared with. Raises one of
        DECODE_ERRORS."""
        sync = tracked.sync
        if sync is None:
            return ()
        if tracked.read is None:
            found = sync.update(payload, ts_recv, now)
            if len(found) == 1 and type(found[0]) is BookDelta:
                return found
            return [*found, *self._scheduled(sync)]
        event = tracked.read(payload, ts_recv)
        effects = sync.quote(event, now) if isinstance(event, Quote) else ()
        return (event, *effects, *self._scheduled(sync)) if effects else (event,)

    def _has_data(self, tracked: BinanceSubscription, now: float) -> None:
        """Usable data came. From the second message on, it goes the short way."""
        if tracked.state != "confirmed":
            return
        self.subscriptions.data(tracked, now)
        if tracked.sync is not None:
            self._with_book[tracked.key] = tracked
        elif tracked.read is not None:
            self._live[tracked.key] = tracked.read

    def _event(self, message: BinanceMessage, text: bytes, ts_recv: int, now: float) -> Iterator[Effect]:
        """A payload without the wrapping that names its stream, as they come on the address /ws."""
        if message.event == "serverShutdown":
            yield from self._shutdown()
        elif (name := message.own_stream) is not None:
            fast = f"{name}@100ms"
            yield from self._data(fast if fast in self._by_name else name, text, ts_recv, now)
        else:
            self.counts["unknown_events"] += 1
            raise BadData("message", "an event that doesn't say its stream")

    def _shutdown(self) -> Iterator[Effect]:
        """The venue doesn't say when it will shut down, so we connect anew at once."""
        yield Notice("the venue shuts the server of a connection down")
        yield Close(VenueError("the venue shuts this server down"))

    def _answer(self, number: int | str | None, result: Raw, now: float) -> Iterator[Effect]:
        self.counts["answers"] += 1
        request = self.subscriptions.under_way(number)
        if request is None:
            self.counts["unknown_ids"] += 1
            return
        names: AbstractSet[str] = frozenset()
        try:
            if request.kind == LIST:
                names = {name for name in decode_list(result) if isinstance(name, str)}
            else:
                decode_nothing(result)
        except DECODE_ERRORS:
            raise BadData(request.kind.upper(), "the result is of another shape") from None  # its deadline decides
        self.subscriptions.answered(request.number, now)
        if request.wanted:
            self._list_at = min(self._list_at, now + LIST_SOON)
        yield from self.settle(request, "", now)
        for leaving in request.leaving:
            self._given_up.pop(stream_name(leaving.subscription), None)
        if request.kind == LIST:
            yield from self._listed(names, now)
        yield from self.send_due(now)

    def _error(self, failure: BinanceFailure, number: int | str | None, now: float) -> Iterator[Effect]:
        """An error belongs to the request with its id. Without an id it belongs to the request under way, if there is
        exactly one."""
        self.counts["errors"] += 1
        request = self.subscriptions.answered(self.subscriptions.sole_number() if number is None else number, now)
        if request is None:
            yield from self._notice(f"an error about no request of ours: {failure}")
        elif request.kind == LIST:
            yield from self._notice(f"LIST_SUBSCRIPTIONS refused: {failure}")
            yield from self._unlisted(now)
        elif request.leaving:
            yield from self._notice(f"UNSUBSCRIBE refused: {failure}")
        else:
            yield from self.settle(request, str(failure), now)
        yield from self.send_due(now)

    def _listed(self, names: AbstractSet[str], now: float) -> Iterator[Effect]:
        """The list of what is subscribed settles all requests that the venue hasn't answered."""
        for request in self.subscriptions.still_overdue():
            for leaving in request.leaving:
                self._settle_ending(leaving, names)
            for tracked in request.wanted:
                if tracked.name in names:
                    yield from self.confirm(tracked, now)
            yield from self.unanswered(request, now)
        yield from self._reconcile(names, now)

    def _reconcile(self, names: AbstractSet[str], now: float) -> Iterator[Effect]:
        """What was live before the list was asked for, and isn't in it, is asked for again. What was confirmed and has
        brought nothing is refused: so the venue treats names that don't exist. What is in it and isn't wanted is ended.
        """
        for name, number in self._at_list.items():
            tracked = self._by_name.get(name)
            if name in names or tracked is None or tracked.request != number or tracked.state not in THERE:
                continue
            if tracked.state == "confirmed":
                yield from self.subscriptions.refuse(tracked, NOT_KEPT, now)
                continue
            self.counts["lost_subscriptions"] += 1
            yield from self.subscriptions.lost(tracked, "the venue doesn't list it as subscribed any more", now)
            yield from self.made_anew(tracked, now)
        self._at_list = {}
        self._list_at = now + LIST_EVERY
        strays = sorted(names - self._by_name.keys())[:MAX_STRAYS]
        ended = [stray for stray in map(_stray, strays) if stray and not self.subscriptions.is_leaving(stray)]
        for stray in ended:
            self.subscriptions.ask_to_end(Leaving(stray, 0))
        if ended:
            self.counts["stray_subscriptions"] += len(ended)
            some = ", ".join(map(stream_name, ended[:3]))
            yield from self._notice(f"the venue has {len(ended)} streams that nobody wants, which are ended: {some}")

    def _unlisted(self, now: float) -> Iterator[Effect]:
        """There is no list. What the venue hasn't answered is asked for again, without knowing what became of it."""
        for request in self.subscriptions.still_overdue():
            yield from self.unanswered(request, now)

    def _settle_ending(self, leaving: Leaving, names: Collection[str]) -> None:
        """If a stream that was given up is still subscribed, ask for its end once more, unless it is wanted again."""
        name = stream_name(leaving.subscription)
        if name not in names:
            self._given_up.pop(name, None)
        elif name not in self._by_name:
            self.subscriptions.ask_to_end(leaving)

    def _notice(self, text: str) -> Iterator[Effect]:
        if self._notices < MAX_NOTICES:
            self._notices += 1
            yield Notice(text)

    # Subscriptions

    def _note_sent(self, request: Request[BinanceSubscription]) -> None:
        """A request goes out. The venue answers in order, so its list has to hold what it confirmed before."""
        if request.kind == LIST:
            every = self._by_name.items()
            self._at_list = {name: tracked.request for name, tracked in every if tracked.state in THERE}

    def _track(self, subscription: Subscription) -> BinanceSubscription:
        channel, symbol = subscription.channel, subscription.symbol
        sync: BookSync | None = None
        if self._changes is not None and channel in (self._changes, "bookTicker"):
            sync = self._books.get(symbol) or self._books.add(Subscription(self._changes, symbol))
        read = None if channel == self._changes else reader(subscription, self._revisions, self._spans)
        tracked = BinanceSubscription(subscription, read, sync)
        self._by_name[tracked.name] = tracked
        return tracked


def _stray(name: str) -> Subscription | None:
    """The subscription whose stream has this name; None for a name that none of ours could have."""
    symbol, _, channel = name[:MAX_NAME].partition("@")
    found = Subscription(channel, symbol.upper())
    return found if stream_name(found) == name else None
