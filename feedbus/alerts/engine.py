"""The alert engine: events and the time go in, alerts come out.

The engine knows which watches are about an instrument, hands them its events, and runs their timers. An event costs
only as much as the rules about its own instrument, and the passing of time only as much as the timers that are due.

Time is an argument: nanoseconds that never jump and that only pass while the process runs. An event happens when it is
given to the engine. Its own `ts_recv` isn't looked at, since it comes from a wall clock, which may be set at any time.

Gaps don't come here: nothing fires because events were lost, and lost events aren't made up for. The module is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from feedbus.alerts.market import LargeTrade, PriceJump, VolumeSpike, WideSpread
from feedbus.alerts.presence import ConnectionDown, Stale
from feedbus.alerts.rules import Rule, check_rules
from feedbus.alerts.states import NEVER, CompiledRule, SharedState, Subject, Watch
from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Instrument,
    MarketEvent,
    Quote,
    Ticker,
    Trade,
)

MAX_INSTRUMENTS = 20_000
_NO_ALERTS: Sequence[Alert] = ()

KINDS: dict[str, type[Watch]] = {
    "stale": Stale,
    "connection_down": ConnectionDown,
    "wide_spread": WideSpread,
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
    """Judges events by rules. Call `add` with every event, and `tick` at `next_due`.

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
        self._by_kind = {kind: (table, number) for table in self._tables for number, kind in enumerate(table.kinds)}

    def add(self, event: MarketEvent, now: int) -> Sequence[Alert]:
        """Takes in one event and returns the alerts that fire or are resolved by it, or by the time that has passed
        before it. `now` is in nanoseconds and never earlier than in the call before; the alerts have it as their
        `ts_recv`."""
        if type(event) is FeedStatus:
            self._shared.connections.add(event, now)
        elif type(event) is Instrument:
            self._note_lot(event)
        found = self._by_kind.get(type(event))
        if found is None:
            return _NO_ALERTS
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
        return subject
