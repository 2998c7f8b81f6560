"""The alert engine: events and the time go in, alerts come out.

The engine knows which watches are about an instrument, hands them its events, and runs their timers. An event costs
only as much as the rules about its own instrument, and the passing of time only as much as the timers that are due.

Time is an argument: nanoseconds that never jump and that only pass while the process runs. An event happens when it is
given to the engine. Its own `ts_recv` isn't looked at, since it comes from a wall clock, which may be set at any time.

Nothing fires because events were lost, and lost events aren't made up for. But a book is lost by a Gap, and by a Status
that says so, and isn't judged until it is back: so these two are to be given to the engine, too, in their order. Books
are kept only where a rule judges them. The module is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from feedbus.alerts.market import LargeTrade, PriceJump, VolumeSpike
from feedbus.alerts.presence import ConnectionDown, Stale
from feedbus.alerts.rules import JUDGE_BOOKS, Rule, check_rules
from feedbus.alerts.spreads import CrossedBook, WideSpread
from feedbus.alerts.states import NEVER, CompiledRule, SharedState, Subject, Watch
from feedbus.alerts.watched_books import BookWatch, WatchedBook
from feedbus.books.book_side import NEAR_LEVELS
from feedbus.books.books import Books, KeptBook
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

MAX_INSTRUMENTS = 20_000
_NO_ALERTS: Sequence[Alert] = ()

KINDS: dict[str, type[Watch]] = {
    "stale": Stale,
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

    There are three tables: market data, bars, and connections. A bar has the symbol of its instrument, but it isn't
    data from the venue: in one table with the instrument it would count as a sign of life.
    """

    __slots__ = ("by_venue", "kinds", "rules", "unwatched", "watched")

    def __init__(self, kinds: Iterable[type[Event]], rules: Iterable[CompiledRule]) -> None:
        self.kinds = tuple(kinds)
        self.rules = [rule for rule in rules if KINDS[rule.rule.kind].HANDLERS.keys() & set(self.kinds)]
        self.by_venue: dict[str, dict[str, Subject]] = {}
        self.watched = 0
        # Subjects without a rule are remembered too, so that their symbols aren't matched against all patterns again.
        self.unwatched = 0


class AlertEngine:
    """Judges events by rules. Call `add` with every event, `add_gap` with every Gap, and `tick` at `next_due`.

    `passed_over` counts the events about instruments beyond `max_instruments`, which aren't judged.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        max_instruments: int = MAX_INSTRUMENTS,
        closed_statuses: Callable[[str], Collection[str]] = lambda _venue: (),
        units: Callable[[str], Mapping[str, str]] = lambda _venue: {},
    ) -> None:
        """`closed_statuses` tells, by venue, the values of a Ticker's `status` at which an instrument isn't traded.
        `units` tells, by venue, the words for what volumes are counted in: of "trades", and of "ticker".

        Raises ConfigError for rules that contradict themselves or one another.
        """
        check_rules(rules)
        self.passed_over = 0
        self._max = max_instruments
        self._shared = SharedState(closed_statuses, units)
        self._timers = self._shared.timers
        compiled = [CompiledRule(rule) for rule in rules]
        groups: list[list[type[Event]]] = [[Trade, Quote, BookSnapshot, BookDelta, Ticker], [Bar], [FeedStatus]]
        self._tables = [table for table in (_SubjectTable(kinds, compiled) for kinds in groups) if table.rules]
        judges_books = any(rule.kind in JUDGE_BOOKS for rule in rules)
        self._books = Books(max_books=max_instruments, max_levels=NEAR_LEVELS) if judges_books else None
        self._watched_books: dict[tuple[str, str], WatchedBook] = {}  # by venue and symbol
        self._by_kind = {kind: (table, number) for table in self._tables for number, kind in enumerate(table.kinds)}

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
        """Takes in a Gap and returns the alerts that are resolved by it."""
        return self._tell(self._books.add_gap(gap) if self._books is not None else (), now, 0)

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
            self.passed_over += 1

    def _add_status(self, event: Status, now: int, publisher: str) -> Sequence[Alert]:
        books = self._books
        # Of an instrument of which nothing is known no other state matters to what comes later.
        if books is None or not (event.state == "stale" or books.knows(event.venue, event.symbol)):
            return _NO_ALERTS
        changed = books.add_status(publisher, event)
        return self._tell([] if changed is None else [changed], now, event.ts_event)

    def _tell(self, changed: Sequence[KeptBook], now: int, ts_event: int) -> Sequence[Alert]:
        """Tells the watches which books are lost, or back."""
        if not changed:
            return _NO_ALERTS
        if now >= self._timers.next:
            self._timers.run(now)
        for kept in changed:
            if (watched := self._watched_books.get((kept.venue, kept.symbol))) is not None:
                watched.on_change(now, ts_event)
        return self._take_alerts()

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
            self.passed_over += 1
            return subject
        table.watched += 1
        table.by_venue.setdefault(event.venue, {})[event.symbol] = subject
        subject.watches = [KINDS[rule.rule.kind](rule, subject, self._shared) for rule in rules]
        subject.handlers = tuple(
            tuple(getattr(watch, watch.HANDLERS[kind]) for watch in subject.watches if watch.HANDLERS.get(kind))
            for kind in table.kinds
        )
        self._keep_book(table, subject)
        return subject

    def _keep_book(self, table: _SubjectTable, subject: Subject) -> None:
        """Keeps the book of this subject, if there are watches that judge it."""
        watches = [watch for watch in subject.watches if isinstance(watch, BookWatch)]
        if self._books is None or not watches:
            return
        kept = self._books.kept(self._shared.publisher, subject.venue, subject.symbol)
        if kept is None:
            self.passed_over += 1
            return
        book = WatchedBook(self._books, kept, watches, self._shared)
        self._watched_books[(subject.venue, subject.symbol)] = book
        takers: dict[type[Event], Callable[[Any, int], None]] = {
            BookSnapshot: book.on_picture,
            BookDelta: book.on_delta,
        }
        subject.handlers = tuple(
            (takers[kind], *handlers) if kind in takers else handlers
            for kind, handlers in zip(table.kinds, subject.handlers, strict=True)
        )
