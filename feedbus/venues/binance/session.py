"""The conversation with Binance spot on one connection: JSON messages in, effects out. Pure.

A SUBSCRIBE names many streams at once and is answered by {"result":null,"id":…}; data comes as
{"stream":"btcusdt@trade","data":{…}}, mixed with the answers. A stream that doesn't exist is confirmed like any other,
and then nothing comes: the venue documents no error for it. An error may come without the id of its request. When a
request isn't answered in time, LIST_SUBSCRIPTIONS tells what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import UNSET, Raw

from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.schema.events import BookDelta, MarketData, Quote
from feedbus.text import one_line
from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.channels import CHANGES, stream_name
from feedbus.venues.binance.kept_books import AuditPace, KeptBooks
from feedbus.venues.binance.messages import BinanceFailure, BinanceMessage, decode_list, decode_nothing, parse
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.binance.payloads import AllRevisions, Read, loose_reader, reader
from feedbus.venues.binance.requests import ANSWER_WITHIN, LIST, PACE, BinanceSubscription, build
from feedbus.venues.fields import DECODE_ERRORS, LARGE, OtherInstrument, too_dear
from feedbus.venues.problems import Problems
from feedbus.venues.protocol import Close, Effect, Fetch, FetchResponse, Notice, Skipped, Subscription
from feedbus.venues.sessions import SubscribingSession
from feedbus.venues.subscriptions import Leaving, Subscriptions

MAX_STREAMS = 1024  # of a connection
MAX_GIVEN_UP = 2 * MAX_STREAMS  # names remembered until the venue has confirmed that they are over
MAX_NOTICES = 8  # of a connection, about what the venue says

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
    ) -> None:
        self._revisions = revisions
        self._changes = next((channel for channel in channels if channel in CHANGES), None)
        self._by_name: dict[str, BinanceSubscription] = {}  # all that are wanted
        self._live: dict[bytes, Read] = {}  # their readers, by the bytes with which their messages begin
        self._with_book: dict[bytes, BinanceSubscription] = {}  # those that are live and concern a book that is kept
        self._given_up: dict[str, None] = {}  # names that the venue may still send data of
        self._notices = 0
        self._ts_recv = 0  # of the newest message that wasn't data of a live stream
        counts: Counter[str] = Counter()
        self._books = KeptBooks(options, audits, counts, lambda: self.generation)
        super().__init__(Subscriptions(channels, PACE, track=self._track, build=build), symbols, counts)

    # What the shell reports

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Sequence[Effect]:
        """One WebSocket message; nearly always data of a stream that is live, written as the venue writes it."""
        if len(data) > LARGE and (reason := too_dear(data)):
            return (Skipped(BadData("message", reason)),)
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

    def tick(self, now: float) -> Iterator[Effect]:
        """Deadlines, retries, and the next request."""
        self.subscriptions.tick(now)
        late = self.subscriptions.overdue(now, gently=False)
        if any(request.kind == LIST for request in late) and self.subscriptions.stands_still(now):
            yield Close(TimedOut(f"no answer to LIST_SUBSCRIPTIONS within {ANSWER_WITHIN:g} s"))
            return
        yield from self._books.tick(now)
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

    def ended(self) -> Sequence[MarketData]:
        """No book is right without its connection."""
        return self._books.ended()

    def deadlines(self) -> Iterable[float]:
        """Those of the books that are kept."""
        return (self._books.wake_at(),)

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        """Give these symbols up. Their books aren't kept any more."""
        for symbol in symbols:
            if (sync := self._books.get(symbol)) is not None:
                yield from sync.end("unsubscribed", "unwanted")
        yield from super().unsubscribe(symbols, now)

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
        other_instruments (payloads that name another symbol than their stream); values_left_out (what is out of
        bounds), levels_left_out (of a book, without a price or a size). docs/books.md has those of books.
        """
        return dict(self.counts)

    # Messages

    def _any_message(self, text: bytes, ts_recv: int, now: float) -> Iterator[Effect]:
        self._ts_recv = ts_recv
        try:
            message = parse(text)
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
            raise BadData(problems.place, one_line(str(error))) from None
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
            yield from self.schedule()

    def _read(self, tracked: BinanceSubscription, payload: bytes | Raw, ts_recv: int, problems: Problems) -> MarketData:
        """The event of a payload, without what is out of bounds in it. Raises one of DECODE_ERRORS."""
        if tracked.read is not None:
            try:
                return tracked.read(payload, ts_recv)
            except DECODE_ERRORS:
                pass
        return loose_reader(tracked.subscription, self._revisions, problems)(payload, ts_recv)

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
            yield from self.schedule()
            raise BadData(str(tracked.subscription), one_line(str(error))) from None
        self._has_data(tracked, now)
        yield from effects
        yield from self.schedule()

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
            return [*found, *self.schedule()]
        event = tracked.read(payload, ts_recv)
        effects = sync.quote(event, now) if isinstance(event, Quote) else ()
        return (event, *effects, *self.schedule()) if effects else (event,)

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
        names: Collection[str] = ()
        try:
            if request.kind == LIST:
                names = {name for name in decode_list(result) if isinstance(name, str)}
            else:
                decode_nothing(result)
        except DECODE_ERRORS:
            raise BadData(request.kind.upper(), "the result is of another shape") from None  # its deadline decides
        self.subscriptions.answered(request.number, now)
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

    def _listed(self, names: Collection[str], now: float) -> Iterator[Effect]:
        """The list of what is subscribed settles all requests that the venue hasn't answered."""
        for request in self.subscriptions.still_overdue():
            for leaving in request.leaving:
                self._settle_ending(leaving, names)
            for tracked in request.wanted:
                if tracked.name in names:
                    yield from self.confirm(tracked, now)
            yield from self.unanswered(request, now)

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

    def _track(self, subscription: Subscription) -> BinanceSubscription:
        channel, symbol = subscription.channel, subscription.symbol
        sync: BookSync | None = None
        if self._changes is not None and channel in (self._changes, "bookTicker"):
            sync = self._books.get(symbol) or self._books.add(Subscription(self._changes, symbol))
        read = None if channel == self._changes else reader(subscription, self._revisions)
        tracked = BinanceSubscription(subscription, read, sync)
        self._by_name[tracked.name] = tracked
        return tracked
