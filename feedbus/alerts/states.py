"""One rule about one instrument or connection as a state machine, and the timers of all of these machines.

    quiet ──the condition holds──▶ pending ──it has held for `for` seconds──▶ firing ──it has ended──▶ quiet
                                      └──it has ended──▶ quiet

While the data may not be judged, or isn't there, nobody knows whether the condition holds: what is firing stays so, and
what is pending begins anew.

With `keep_firing_for` a condition counts as ended only when it hasn't held for that many seconds.

A condition that holds without a break makes one alert, and one that has never fired is never resolved: for each rule
and instrument, firing and resolved take turns. After a resolve nothing fires for `cooldown` seconds; a condition that
holds at the end of them fires then.

The module is pure. Times are nanoseconds of the engine's clock, which never jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, ClassVar, Literal

from feedbus.alerts.rules import Pattern, Rule
from feedbus.schema.connections import Connections
from feedbus.schema.events import Alert, Event, MarketEvent
from feedbus.text import plain_decimal, replaced, shortened
from feedbus.trust.readers_trust import UNHEARD, Trust

SECOND = 1_000_000_000
NEVER = 1 << 63
"""Later than every time."""
MAX_TEXT = 300
"""Characters of an alert's text; the rest is cut off."""
IS_DELAYED = " (data is delayed)"
"""The end of the text of an alert about data that comes late."""
JUDGED_STATES = frozenset({"live", "quiet", "delayed"})
"""The states of trust in which the data is judged. In the others it is wrong, not whole, or of the last session."""
SPARE = 64
"""How many outdated entries the timers may hold in addition to one for each waiting watch."""

QUIET, PENDING, FIRING = range(3)


class Timers:
    """Calls each watch when it is due.

    Only one entry of a watch is valid: the one that is due at `Watch.timer_due`. Moving it to an earlier time leaves
    the old entry in the heap, where it is outdated and skipped. The heap is rebuilt before outdated entries make up
    more than half of it.
    """

    def __init__(self) -> None:
        self.next = NEVER
        """When the first entry is due. It may be an outdated one, so this may be too early, but never too late."""
        self.waiting = 0
        """How many watches have an entry that counts."""
        self._heap: list[tuple[int, int, Watch]] = []
        self._numbers = count()  # break ties in the heap, since watches can't be compared

    def __len__(self) -> int:
        """How many entries there are, outdated ones included."""
        return len(self._heap)

    def set(self, watch: Watch, due: int) -> None:
        """Has `watch.on_timer` called at `due`. It is called earlier if the watch has set an earlier time already,
        since every timer looks at what is to be done and sets itself anew."""
        if watch.timer_due <= due:
            return
        if watch.timer_due == NEVER:
            self.waiting += 1
        watch.timer_due = due
        heappush(self._heap, (due, next(self._numbers), watch))
        if len(self._heap) > 2 * self.waiting + SPARE:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].timer_due]
            heapify(self._heap)
        self.next = self._heap[0][0]

    def run(self, now: int) -> None:
        """Calls every watch that is due by `now`."""
        while self._heap and self._heap[0][0] <= now:
            due, _, watch = heappop(self._heap)
            if due == watch.timer_due:
                watch.timer_due = NEVER
                self.waiting -= 1
                watch.timer_fired(now)
        self.next = self._heap[0][0] if self._heap else NEVER


class SharedState:
    """What all watches of one engine share."""

    __slots__ = (
        "alerts", "connections", "feed_complete_at", "lots", "publisher", "timers", "trust", "units", "unpriced",
        "unusable",
    )  # fmt: skip

    def __init__(self, trust: Trust, units: Callable[[str], Mapping[str, str]] = lambda _venue: {}) -> None:
        self.timers = Timers()
        self.trust = trust
        """What is said of all words of all instruments."""
        self.unusable = 0
        """How many prices, sizes and volumes weren't judged, because no market has such numbers."""
        self.unpriced = 0
        """How many trades weren't judged because their lot, and so what they are worth, isn't known."""
        self.lots: dict[tuple[str, str], float | None] = {}
        """What price times size is multiplied by to be an amount of money, by venue and symbol, as instruments say it;
        None where it can't be one."""
        self.connections = Connections(second=SECOND)
        """Which venues are up, and how often they weren't."""
        self.units = units
        """The words for what volumes are counted in, by venue and then by what they are drawn from."""
        self.publisher = ""
        """The publisher of the event that is being judged."""
        self.alerts: list[Alert] = []
        """The alerts that came about and that the engine hasn't handed out yet."""
        self.feed_complete_at: dict[tuple[str, str], int] = {}
        """When a feed last said that all its wanted connections are up, by venue and feed name."""


class Subject:
    """An instrument or a connection, with all watches about it."""

    __slots__ = (
        "handlers", "last_event_at", "next_event_handlers", "symbol", "takers", "unjudged", "venue", "watches",
    )  # fmt: skip

    def __init__(self, venue: str, symbol: str, now: int) -> None:
        self.venue = venue
        self.symbol = symbol
        self.last_event_at = now
        """When the last event about it came. While an event is handled, this is still the time of the one before."""
        self.watches: list[Watch] = []
        self.next_event_handlers: list[Callable[[MarketEvent, int], None]] = []
        """These are called with the next event, whatever its kind, and then removed."""
        self.takers: tuple[tuple[tuple[str, Callable[[Any, int], None]], ...], ...] = ()
        """The methods that take an event, each with the topic word that has to be judged for it ("": it takes all),
        indexed by the number of the event's kind. The engine numbers the kinds."""
        self.handlers: tuple[tuple[Callable[[Any, int], None], ...], ...] = ()
        """Those of them that take events now."""
        self.unjudged: frozenset[str] = frozenset()
        """The words that aren't judged now."""

    def judge_words(self, trust: Trust) -> None:
        """Has events taken from now on whose word may be judged by what is said of it, and no others. Where nobody has
        ever said anything of a word, it is judged: other programs need not publish statuses."""
        words = {word for takers in self.takers for word, _ in takers if word}
        found = {word: trust.said(self.venue, self.symbol, word) for word in words}
        unjudged = frozenset(
            word for word, said in found.items() if said is not UNHEARD and said.state not in JUDGED_STATES
        )
        if unjudged == self.unjudged:
            return
        lost, self.unjudged = unjudged - self.unjudged, unjudged
        self.choose_handlers()
        for watch in self.watches if lost else ():
            for word in sorted(lost & watch.words()):
                watch.on_word_lost(word)

    def choose_handlers(self) -> None:
        """Has events taken by those methods alone whose word is judged."""
        unjudged = self.unjudged
        self.handlers = tuple(tuple(take for word, take in takers if word not in unjudged) for takers in self.takers)

    def firing_for_want_of_data(self) -> Iterator[str]:
        """Yields the names of the rules that are firing about this subject and that only data can end."""
        return (each.rule.name for each in self.watches if each.state == FIRING and each.NEEDS_DATA)


class CompiledRule:
    """A rule prepared for use: its times are in nanoseconds, and its patterns are parsed."""

    __slots__ = (
        "cooldown_ns",
        "for_ns",
        "keep_ns",
        "name",
        "patterns",
        "resolve_at",
        "rule",
        "severity",
        "threshold",
        "window_ns",
    )

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name = rule.name
        self.severity = rule.severity
        self.threshold = rule.threshold
        self.resolve_at = rule.threshold if rule.resolve_at is None else rule.resolve_at
        self.for_ns = round(rule.for_ * SECOND)
        self.keep_ns = round(rule.keep_firing_for * SECOND)
        self.cooldown_ns = round(rule.cooldown * SECOND)
        self.window_ns = round(rule.window * SECOND)
        self.patterns = [Pattern(text) for text in rule.symbols]

    def applies_to(self, venue: str, symbol: str) -> bool:
        """Whether the rule is about this instrument or connection."""
        return not self.patterns or any(pattern.matches(venue, symbol) for pattern in self.patterns)


class Watch:
    """One rule about one subject: the state machine above.

    A kind of rule is a subclass. It lists in HANDLERS the name of the method that takes each kind of event; an empty
    name means that the event is only noted in `subject.last_event_at`. These methods call `condition_holds` and
    `condition_ended`, and the base class makes the alerts.
    """

    HANDLERS: ClassVar[dict[type, str]] = {}
    NEEDS_DATA: ClassVar[bool] = False
    """Whether nothing but data ends its condition."""

    __slots__ = ("alerted_at", "cooldown_until", "ended_at", "rule", "shared", "since", "state", "subject", "timer_due")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        self.rule = rule
        self.subject = subject
        self.shared = shared
        self.state = QUIET
        self.since = 0
        """When the condition began to hold."""
        self.ended_at: int | None = None
        """When the condition of a firing alert ended, while `keep_firing_for` isn't over; else None."""
        self.cooldown_until = 0
        self.timer_due = NEVER
        """When the timer is due; NEVER when none is set."""
        self.alerted_at = 0
        """The time of its last alert, and of the present one while that is described."""

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the `value` and the `text` of an alert that fires now."""
        raise NotImplementedError

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the `value` and the `text` of an alert that is resolved now."""
        raise NotImplementedError

    def word_of(self, kind: type[Event]) -> str:
        """Returns the topic word that has to be judged for events of this kind to be taken."""
        return kind.WORD

    def words(self) -> frozenset[str]:
        """Returns the topic words that have to be judged for this watch."""
        return frozenset(self.word_of(kind) for kind, handler in self.HANDLERS.items() if handler)

    def data_word(self) -> str:
        """Returns the topic word of the data that was judged last; "" when it judges no data."""
        return ""

    def on_word_lost(self, _word: str) -> None:
        """Notes that this word, of which it takes events, isn't judged any more until events come again."""
        self.unknown()

    def unknown(self) -> None:
        """Notes that nobody knows whether the condition holds, until the next call of one of the two below."""
        self.ended_at = None
        if self.state == PENDING:
            self.state = QUIET

    def condition_holds(self, since: int, now: int, ts_event: int = 0) -> None:
        """Notes that the condition holds. It began at `since`, unless it was known to hold before. Fires at once or
        sets the timer for when it will have held long enough. `ts_event` is that of the event which showed it, 0 when
        it was the passing of time."""
        if self.state == FIRING:
            self.ended_at = None
            return
        if self.state == QUIET:
            self.state = PENDING
            self.since = since
        due = max(self.since + self.rule.for_ns, self.cooldown_until)
        if due <= now:
            self.state = FIRING
            self._alert("firing", now, ts_event)
        else:
            self.shared.timers.set(self, due)

    def condition_ended(self, now: int, ts_event: int = 0) -> None:
        """Notes that the condition doesn't hold, and resolves the alert if there is one: now, or when the condition
        hasn't held for `keep_firing_for` seconds."""
        if self.state == FIRING:
            if self.ended_at is None:
                self.ended_at = now
            if now < self.ended_at + self.rule.keep_ns:
                self.shared.timers.set(self, self.ended_at + self.rule.keep_ns)
                return
            self.cooldown_until = now + self.rule.cooldown_ns
            self._alert("resolved", now, ts_event)
            self.ended_at = None
        self.state = QUIET

    def timer_fired(self, now: int) -> None:
        """Resolves an alert whose condition ended long enough ago, and calls `on_timer`."""
        if self.ended_at is not None:
            self.condition_ended(now)
        self.on_timer(now)

    def on_timer(self, now: int) -> None:
        """Is called when the timer is due. A subclass with timers of its own overrides it, looks for those first, and
        must still let a pending condition fire."""
        if self.state == PENDING:
            self.condition_holds(self.since, now)

    def _alert(self, state: Literal["firing", "resolved"], now: int, ts_event: int) -> None:
        self.alerted_at = now
        value, text = self.describe_firing() if state == "firing" else self.describe_resolved()
        rule, subject = self.rule, self.subject
        word = self.data_word() if state == "firing" or self.NEEDS_DATA else ""
        is_delayed = word and self.shared.trust.said(subject.venue, subject.symbol, word).state == "delayed"
        end = IS_DELAYED if is_delayed else ""
        short_text = shortened(replaced(text, " "), MAX_TEXT - len(end)) + end
        self.shared.alerts.append(
            Alert(
                subject.venue,
                subject.symbol,
                ts_event,
                self.alerted_at,
                rule.name,
                rule.severity,
                state,
                value,
                short_text,
            )
        )


class MomentWatch(Watch):
    """A watch for what happens at one moment and has no duration, such as a large trade.

    It fires at once and is resolved when its cooldown is over. What happens in between belongs to the same alert.
    """

    __slots__ = ("value",)

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self.value = 0.0
        """The `value` of the last alert."""

    def happened(self, value: float, now: int, ts_event: int) -> None:
        """Notes that it happened, and fires unless it is firing already: then it goes on for `keep_firing_for`."""
        if self.state == FIRING:
            self.cooldown_until = max(self.cooldown_until, now + self.rule.keep_ns)
            return
        self.value = value
        self.state = FIRING
        self._alert("firing", now, ts_event)
        self.cooldown_until = now + max(self.rule.cooldown_ns, self.rule.keep_ns)
        self.on_timer(now)

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the value that fired: nothing has changed since, only time has passed."""
        passed = max(self.rule.rule.cooldown, self.rule.rule.keep_firing_for)
        return self.value, f"{plain_decimal(passed)} s have passed since"

    def on_word_lost(self, _word: str) -> None:
        """Changes nothing: what has happened has happened, and is resolved when its time has passed."""

    def on_timer(self, now: int) -> None:
        """Resolves the alert when the cooldown is over, and waits for that otherwise."""
        if self.state == FIRING and now < self.cooldown_until:
            self.shared.timers.set(self, self.cooldown_until)
        elif self.state == FIRING:
            self.state = QUIET
            self._alert("resolved", now, 0)
