"""The alert engine: events and the time go in, alerts come out.

The engine knows which watches are about an instrument, hands them its events, and runs their timers. An event costs
only as much as the rules about its own instrument, and the passing of time only as much as the timers that are due.

Time is an argument: nanoseconds that never jump and that only pass while the process runs. An event happens when it is
given to the engine. Its own `ts_recv` isn't looked at, since it comes from a wall clock, which may be set at any time.

Nothing fires because events were lost, and lost events aren't made up for. But what a Status says may not be used isn't
judged until it may, and a Gap makes that unknown, or loses a book: so these two are to be given to the engine, too, in
their order. They choose which handlers an instrument has, so that they cost its events nothing. Books are kept only
where a rule judges them. The module is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from feedbus.alerts.market import LargeTrade, PriceJump, VolumeSpike
from feedbus.alerts.not_live import NotLive
from feedbus.alerts.presence import ConnectionDown, Stale
from feedbus.alerts.rules import JUDGE_BOOKS, Rule, check_rules
from feedbus.alerts.spreads import CrossedBook, WideSpread
from feedbus.alerts.states import NEVER, CompiledRule, SharedState, Subject, Watch
from feedbus.alerts.status_watch import StatusWatch
from feedbus.alerts.watched_books import BookWatch, WatchedBook, tells_crossed
from feedbus.books.book_side import NEAR_LEVELS
from feedbus.books.books import Books
from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Gap,
    Instrument,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    Trade,
)
from feedbus.trust import readers_trust
from feedbus.trust.readers_trust import Trust

MAX_INSTRUMENTS = 20_000
_NO_ALERTS: Sequence[Alert] = ()

KINDS: dict[str, type[Watch]] = {
    "stale": Stale,
    "not_live": NotLive,
    "connection_down": ConnectionDown,
    "wide_spread": WideSpread,
    "crossed_book": CrossedBook,
    "large_trade": LargeTrade,
    "price_jump": PriceJump,
    "volume_spike": VolumeSpike,
}
"""The class of each kind of rule."""


class _SubjectTable:
    """The subjects that some kinds of events are about, by venue and symbol.

    There are three tables: market data with its statuses, bars, and connections. A bar has the symbol of its
    instrument, but it isn't data from the venue: in one table with the instrument it would count as a sign of life.
    """

    __slots__ = ("by_venue", "judges_statuses", "kinds", "rules", "unwatched", "watched")

    def __init__(self, kinds: Iterable[type[Event]], rules: Iterable[CompiledRule]) -> None:
        self.kinds = tuple(kinds)
        self.rules = [rule for rule in rules if KINDS[rule.rule.kind].HANDLERS.keys() & set(self.kinds)]
        self.judges_statuses = any(issubclass(KINDS[rule.rule.kind], StatusWatch) for rule in self.rules)
        self.by_venue: dict[str, dict[str, Subject]] = {}
        self.watched = 0
        # Subjects without a rule are remembered too, so that their symbols aren't matched against all patterns again.
        self.unwatched = 0

    def find(self, venue: str, symbol: str) -> Subject | None:
        """Returns the subject of this name, None if there is none yet."""
        symbols = self.by_venue.get(venue)
        return symbols.get(symbol) if symbols is not None else None

    def subjects(self) -> Iterator[Subject]:
        """Yields all subjects."""
        return (subject for symbols in self.by_venue.values() for subject in symbols.values())


class AlertEngine:
    """Judges events by rules. Call `add` with every event, `add_gap` with every Gap, and `tick` at `next_due`."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        max_instruments: int = MAX_INSTRUMENTS,
        units: Callable[[str], Mapping[str, str]] = lambda _venue: {},
    ) -> None:
        """`units` tells, by venue, the words for what volumes are counted in: of "trades", and of "ticker".

        Raises ConfigError for rules that contradict themselves or one another.
        """
        check_rules(rules)
        self._passed_over = 0
        self._max = max_instruments
        judges_books = any(rule.kind in JUDGE_BOOKS for rule in rules)
        self._books = Books(max_books=max_instruments, max_levels=NEAR_LEVELS) if judges_books else None
        most = max(max_instruments, readers_trust.MAX_INSTRUMENTS)
        self._trust = Trust(max_instruments=most) if self._books is None else self._books.trust
        self._shared = SharedState(self._trust, units)
        self._timers = self._shared.timers
        compiled = [CompiledRule(rule) for rule in rules]
        data: list[type[Event]] = [Trade, Quote, BookSnapshot, BookDelta, Ticker, Status]
        tables = [_SubjectTable(kinds, compiled) for kinds in (data, [Bar], [FeedStatus])]
        self._data, self._bars, self._connections = tables
        self._tables = [table for table in tables if table.rules]
        self._watched_books: dict[tuple[str, str], WatchedBook] = {}  # by venue and symbol
        self._by_kind = {
            kind: (table, number)
            for table in self._tables
            for number, kind in enumerate(table.kinds)
            if kind is not Status
        }

    def add(self, event: MarketEvent, now: int, publisher: str = "") -> Sequence[Alert]:
        """Takes in one event of this publisher and returns the alerts that fire or are resolved by it, or by the time
        that has passed before it. `now` is in nanoseconds and never earlier than in the call before; the alerts have it
        as their `ts_recv`."""
        if type(event) is FeedStatus:
            self._shared.connections.add(event, now)
        elif type(event) is Instrument:
            self._note_lot(event)
        found = self._by_kind.get(type(event))
        if found is None:
            return self._add_status(event, now, publisher) if isinstance(event, Status) else _NO_ALERTS
        self._shared.publisher = publisher
        table, kind_number = found
        if now >= self._timers.next:
            self._timers.run(now)
        symbols = table.by_venue.get(event.venue)
        subject = symbols.get(event.symbol) if symbols is not None else None
        if subject is None:
            subject = self._new_subject(table, event, now)
        if subject.next_event_handlers:
            handlers, subject.next_event_handlers = subject.next_event_handlers, []
            for handle in handlers:
                handle(event, now)
        for handle in subject.handlers[kind_number]:
            handle(event, now)
        subject.last_event_at = now
        return self._take_alerts() if self._shared.alerts else _NO_ALERTS

    def add_gap(self, gap: Gap, now: int) -> Sequence[Alert]:
        """Takes in a Gap and returns the alerts that fire or are resolved by it."""
        self._run_timers(now)
        lost = []
        if self._books is None:
            self._trust.add_gap(gap, 0)
        else:
            lost = self._books.add_gap(gap)
        word, _, rest = gap.topic.partition(".")
        venue, _, symbol = rest.partition(".")
        for kept in lost:
            if (watched := self._watched_books.get((kept.venue, kept.symbol))) is not None:
                watched.on_change(now, 0)
        if not gap.topic:
            for watched in self._watched_books.values():
                watched.on_gap(gap, now)
            self._judge_silence(gap, now)
        elif word in Books.TOPICS and (watched := self._watched_books.get((venue, symbol))) is not None:
            watched.on_gap(gap, now)
        if word == Status.WORD:
            self._judge_words(venue, symbol, now, None)
        return self._take_alerts()

    def tick(self, now: int) -> Sequence[Alert]:
        """Returns the alerts that fire or are resolved because time has passed."""
        self._shared.connections.check(now)
        self._timers.run(now)
        return self._take_alerts() if self._shared.alerts else _NO_ALERTS

    def next_due(self) -> int | None:
        """Returns when `tick` is to be called next, in nanoseconds; None when nothing is due until an event comes."""
        due = min(self._timers.next, self._shared.connections.next_due)
        return int(due) if due < NEVER else None

    @property
    def passed_over(self) -> int:
        """How many events weren't judged, or statuses weren't heeded, because they are about instruments beyond the
        limit."""
        return self._passed_over + self._trust.counters.ignored

    @property
    def unusable(self) -> int:
        """How many prices, sizes and volumes weren't judged, because no market has such numbers; counted for each
        rule."""
        return self._shared.unusable

    @property
    def unpriced(self) -> int:
        """How many trades weren't judged by their notional value, because their lot isn't known; counted for each
        rule."""
        return self._shared.unpriced

    @property
    def watched(self) -> int:
        """How many instruments and connections have a rule about them."""
        return sum(table.watched for table in self._tables)

    def _note_lot(self, event: Instrument) -> None:
        """An instrument says its lot. That is no sign of life, since it is said again and again."""
        key, lots = (event.venue, event.symbol), self._shared.lots
        if key in lots or len(lots) < self._max:
            lots[key] = event.worth()
        else:
            self._passed_over += 1

    def _add_status(self, event: Status, now: int, publisher: str) -> Sequence[Alert]:
        venue, symbol = event.venue, event.symbol
        self._run_timers(now)
        # A status that tells what the data were is as good as they: the instrument is watched from now on.
        if self._data.judges_statuses or (self._books is not None and tells_crossed(event)):
            self._shared.publisher = publisher
            if self._data.find(venue, symbol) is None:
                self._new_subject(self._data, event, now)
        before = self._trust.said(venue, symbol, event.word)
        watched = self._watched_books.get((venue, symbol))
        if watched is not None:
            watched.on_status(publisher, event, now)
        elif self._books is not None:
            self._books.add_status(publisher, event)
        else:
            self._trust.add_status(publisher, event)
        # What is said again and again changes nothing; but the word "" is of all words.
        if not event.word or before != self._trust.said(venue, symbol, event.word):
            self._judge_words(venue, symbol, now, event)
        return self._take_alerts() if self._shared.alerts else _NO_ALERTS

    def _judge_words(self, venue: str, symbol: str, now: int, status: Status | None) -> None:
        """Judges by what is said of an instrument now which of its words are judged, and what is said itself."""
        if (bars := self._bars.find(venue, symbol)) is not None:
            bars.judge_words(self._trust)
        data = self._data.find(venue, symbol)
        if data is None:
            return
        data.judge_words(self._trust)
        if self._data.judges_statuses and (said := self._trust.said_words(venue, symbol)):
            for watch in data.watches:
                if isinstance(watch, StatusWatch):
                    watch.on_said(said, now, status)

    def _judge_silence(self, gap: Gap, now: int) -> None:
        """Judges all instruments, and the connections of a publisher that says nothing any more."""
        for subject in self._bars.subjects():
            subject.judge_words(self._trust)
        for subject in self._data.subjects():
            self._judge_words(subject.venue, subject.symbol, now, None)
        for subject in self._connections.subjects() if gap.cause == "silent" else ():
            for watch in subject.watches:
                if isinstance(watch, ConnectionDown):
                    watch.on_silence(gap, now)

    def _run_timers(self, now: int) -> None:
        if now >= self._timers.next:
            self._timers.run(now)

    def _take_alerts(self) -> list[Alert]:
        alerts, self._shared.alerts = self._shared.alerts, []
        return alerts

    def _new_subject(self, table: _SubjectTable, event: MarketEvent, now: int) -> Subject:
        """Makes the subject of this event with all its watches, and remembers it if there is room."""
        subject = Subject(event.venue, event.symbol, now)
        subject.handlers = ((),) * len(table.kinds)
        rules = [rule for rule in table.rules if rule.applies_to(event.venue, event.symbol)]
        if not rules:
            if table.unwatched < self._max:
                table.unwatched += 1
                table.by_venue.setdefault(event.venue, {})[event.symbol] = subject
            return subject
        if table.watched >= self._max:
            self._passed_over += 1
            return subject
        table.watched += 1
        table.by_venue.setdefault(event.venue, {})[event.symbol] = subject
        subject.watches = [KINDS[rule.rule.kind](rule, subject, self._shared) for rule in rules]
        subject.takers = tuple(
            tuple(
                (watch.word_of(kind), getattr(watch, watch.HANDLERS[kind]))
                for watch in subject.watches
                if watch.HANDLERS.get(kind)
            )
            for kind in table.kinds
        )
        self._keep_book(table, subject)
        subject.choose_handlers()
        subject.judge_words(self._trust)
        return subject

    def _keep_book(self, table: _SubjectTable, subject: Subject) -> None:
        """Keeps the book of this subject, if there are watches that judge it."""
        watches = [watch for watch in subject.watches if isinstance(watch, BookWatch)]
        if self._books is None or not watches:
            return
        kept = self._books.kept(self._shared.publisher, subject.venue, subject.symbol)
        if kept is None:
            self._passed_over += 1
            return
        book = WatchedBook(self._books, kept, watches, self._shared)
        self._watched_books[(subject.venue, subject.symbol)] = book
        takers: dict[type[Event], Callable[[Any, int], None]] = {
            BookSnapshot: book.on_picture,
            BookDelta: book.on_delta,
        }
        subject.takers = tuple(
            (("", takers[kind]), *handlers) if kind in takers else handlers
            for kind, handlers in zip(table.kinds, subject.takers, strict=True)
        )
