"""Who is told of which event: rules, instruments and time put together. Pure.

An event happens at its `ts_recv`, but never after now, and never before the last one about the same instrument: so
time that goes backwards does no harm. Nothing is looked through for an event but the rules about its instrument, and
for a time but what is due.

A Gap is no event here: nothing fires because something was missed, and what was missed isn't made up for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feedbus.alerts.market import LargeTrade, PriceJump, VolumeSpike, WideSpread
from feedbus.alerts.presence import ConnectionDown, Stale
from feedbus.alerts.rules import Rule, check_rules
from feedbus.alerts.states import NEVER, RuleInUse, Scene, Subject, Watch
from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
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


class _Space:
    """The subjects of some kinds of events, by venue and symbol. A bar or a FeedStatus is no data of an instrument, so
    each of them has a space of its own."""

    __slots__ = ("by_venue", "kinds", "rules", "unwatched", "watched")

    def __init__(self, kinds: Iterable[type[Event]], rules: Iterable[RuleInUse]) -> None:
        self.kinds = tuple(kinds)
        self.rules = [rule for rule in rules if KINDS[rule.rule.kind].HANDLES.keys() & set(self.kinds)]
        self.by_venue: dict[str, dict[str, Subject]] = {}
        self.watched = 0
        self.unwatched = 0  # that are kept in mind, so that the patterns needn't be looked at again


class AlertEngine:
    """Events and time in, alerts out. `passed_over` counts the events about instruments beyond `max_instruments`."""

    def __init__(self, rules: Sequence[Rule], *, max_instruments: int = MAX_INSTRUMENTS) -> None:
        """Raises ConfigError for rules that contradict themselves or one another."""
        check_rules(rules)
        self.passed_over = 0
        self._max = max_instruments
        self._scene = Scene()
        self._timers = self._scene.timers
        used = [RuleInUse(rule) for rule in rules]
        groups: list[list[type[Event]]] = [[Trade, Quote, BookSnapshot, BookDelta, Ticker], [Bar], [FeedStatus]]
        self._all = [space for space in (_Space(kinds, used) for kinds in groups) if space.rules]
        self._spaces = {kind: (space, number) for space in self._all for number, kind in enumerate(space.kinds)}

    def add(self, event: MarketEvent, now_ns: int) -> Sequence[Alert]:
        """What fires or is resolved by this event, and by the time that has passed before it."""
        found = self._spaces.get(type(event))
        if found is None:
            return _NO_ALERTS
        space, kind = found
        now = event.ts_recv
        if now > now_ns:
            now = now_ns
        if now >= self._timers.next:
            self._timers.run(now)
        symbols = space.by_venue.get(event.venue)
        subject = symbols.get(event.symbol) if symbols is not None else None
        if subject is None:
            subject = self._subject(space, event, now)
        if now < subject.last:
            now = subject.last
        if subject.awaiting:
            awaiting, subject.awaiting = subject.awaiting, []
            for handle in awaiting:
                handle(event, now)
        for handle in subject.handlers[kind]:
            handle(event, now)
        subject.last = now
        return self._take() if self._scene.alerts else _NO_ALERTS

    def tick(self, now_ns: int) -> Sequence[Alert]:
        """What fires or is resolved because time has passed."""
        self._timers.run(now_ns)
        return self._take() if self._scene.alerts else _NO_ALERTS

    def next_due(self) -> int | None:
        """When `tick` is to be called next, in nanoseconds since the epoch; None: an event has to come first."""
        return None if self._timers.next == NEVER else self._timers.next

    @property
    def watched(self) -> int:
        """Instruments and connections that a rule is about."""
        return sum(space.watched for space in self._all)

    def _take(self) -> list[Alert]:
        alerts, self._scene.alerts = self._scene.alerts, []
        return alerts

    def _subject(self, space: _Space, event: MarketEvent, now: int) -> Subject:
        """A new one, with all that watches it."""
        subject = Subject(event.venue, event.symbol, now)
        subject.handlers = ((),) * len(space.kinds)
        rules = [rule for rule in space.rules if rule.is_about(event.venue, event.symbol)]
        if not rules:
            if space.unwatched < self._max:
                space.unwatched += 1
                space.by_venue.setdefault(event.venue, {})[event.symbol] = subject
            return subject
        if space.watched >= self._max:
            self.passed_over += 1
            return subject
        space.watched += 1
        space.by_venue.setdefault(event.venue, {})[event.symbol] = subject
        subject.watches = [KINDS[rule.rule.kind](rule, subject, self._scene) for rule in rules]
        subject.handlers = tuple(
            tuple(getattr(watch, watch.HANDLES[kind]) for watch in subject.watches if watch.HANDLES.get(kind))
            for kind in space.kinds
        )
        return subject
