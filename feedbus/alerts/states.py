"""One rule about one instrument or connection, as a state machine, and the timers of all of them. Pure.

    quiet ──the condition holds──▶ pending ──for `for` seconds──▶ firing ──it is over──▶ quiet
                                      └──it is over──▶ quiet

A condition that holds without a break becomes an alert once, and one that was never alerted is never resolved: per rule
and instrument, firing and resolved take turns. After a resolve nothing fires for `cooldown` seconds; what holds by then
fires then.

Times are nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, ClassVar, Literal

from feedbus.alerts.rules import Pattern, Rule
from feedbus.schema.events import Alert, MarketEvent
from feedbus.text import replaced, shortened

SECOND = 1_000_000_000
NEVER = 1 << 63
MAX_TEXT = 300  # characters of an alert's text
SPARE = 64  # outdated entries that the timers may hold beside one for each watch

QUIET, PENDING, FIRING = range(3)


class Timers:
    """Who wants to be called when. A watch has one entry that counts; those that it replaced are passed over."""

    def __init__(self) -> None:
        self.next = NEVER
        """When the first of them is due, or earlier."""
        self.waiting = 0
        self._heap: list[tuple[int, int, Watch]] = []
        self._numbers = count()

    def __len__(self) -> int:
        """Entries, outdated ones among them."""
        return len(self._heap)

    def set(self, watch: Watch, due: int) -> None:
        """Call its `timer` at `due`, or earlier: an entry that is due before stays, since a timer looks what to do."""
        if watch.queued <= due:
            return
        if watch.queued == NEVER:
            self.waiting += 1
        watch.queued = due
        heappush(self._heap, (due, next(self._numbers), watch))
        if len(self._heap) > 2 * self.waiting + SPARE:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].queued]
            heapify(self._heap)
        self.next = self._heap[0][0]

    def run(self, now: int) -> None:
        """Call all that are due."""
        while self._heap and self._heap[0][0] <= now:
            due, _, watch = heappop(self._heap)
            if due == watch.queued:
                watch.queued = NEVER
                self.waiting -= 1
                watch.timer(now)
        self.next = self._heap[0][0] if self._heap else NEVER


class Scene:
    """What all watches share: timers, and where their alerts go. `full` is when a feed last had all connections."""

    __slots__ = ("alerts", "full", "timers")

    def __init__(self) -> None:
        self.timers = Timers()
        self.alerts: list[Alert] = []
        self.full: dict[tuple[str, str], int] = {}


class Subject:
    """An instrument or a connection, with what watches it. `last` is when the event before this one came; `awaiting`
    takes its next event, of whatever kind."""

    __slots__ = ("awaiting", "handlers", "last", "symbol", "venue", "watches")

    def __init__(self, venue: str, symbol: str, now: int) -> None:
        self.venue = venue
        self.symbol = symbol
        self.last = now
        self.watches: list[Watch] = []
        self.awaiting: list[Callable[[MarketEvent, int], None]] = []
        self.handlers: tuple[tuple[Callable[[Any, int], None], ...], ...] = ()
        """Who takes an event, by the number of its kind."""

    def others(self, watch: Watch) -> Iterator[str]:
        """The names of the other rules that fire about it."""
        return (each.rule.name for each in self.watches if each.state == FIRING and each is not watch)


class RuleInUse:
    """A rule with its numbers in nanoseconds and its patterns read."""

    __slots__ = ("cooldown", "for_", "name", "patterns", "rule", "severity", "threshold")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name = rule.name
        self.severity = rule.severity
        self.threshold = rule.threshold
        self.for_ = round(rule.for_ * SECOND)
        self.cooldown = round(rule.cooldown * SECOND)
        self.patterns = [Pattern(text) for text in rule.symbols]

    def is_about(self, venue: str, symbol: str) -> bool:
        """True when the rule is about this instrument or connection."""
        return not self.patterns or any(pattern.matches(venue, symbol) for pattern in self.patterns)


class Watch:
    """A rule about a subject. A kind of rule says in HANDLES which method takes which event ("": none does, but it
    counts that it came); the methods call `holds` and `over`, or `happened`."""

    HANDLES: ClassVar[dict[type, str]] = {}

    __slots__ = ("at", "cool_until", "queued", "rule", "scene", "since", "state", "subject")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        self.rule = rule
        self.subject = subject
        self.scene = scene
        self.state = QUIET
        self.since = 0
        """When the condition began to hold."""
        self.cool_until = 0
        self.queued = NEVER
        self.at = 0
        """When it last alerted, or does now."""

    def says(self) -> tuple[float | None, str]:
        """The value and the text of an alert that fires now."""
        raise NotImplementedError

    def says_over(self) -> tuple[float | None, str]:
        """The value and the text of its resolve."""
        raise NotImplementedError

    def holds(self, since: int, now: int, ts_event: int = 0) -> None:
        """The condition holds, and does so since this time, if it didn't before."""
        if self.state == FIRING:
            return
        if self.state == QUIET:
            self.state = PENDING
            self.since = since
        due = max(self.since + self.rule.for_, self.cool_until)
        if due <= now:
            self.state = FIRING
            self._tell("firing", now, ts_event)
        else:
            self.scene.timers.set(self, due)

    def over(self, now: int, ts_event: int = 0) -> None:
        """The condition doesn't hold, or not any more."""
        if self.state == FIRING:
            self.cool_until = now + self.rule.cooldown
            self._tell("resolved", now, ts_event)
        self.state = QUIET

    def timer(self, now: int) -> None:
        """A time that it had set has come. Kinds with other timers look for theirs first."""
        if self.state == PENDING:
            self.holds(self.since, now)

    def _tell(self, state: Literal["firing", "resolved"], now: int, ts_event: int) -> None:
        # An event may have come a little before the tick that alerted last.
        self.at = max(now, self.at)
        value, text = self.says() if state == "firing" else self.says_over()
        fit = shortened(replaced(text, " "), MAX_TEXT)
        rule, of = self.rule, self.subject
        self.scene.alerts.append(
            Alert(
                of.venue,
                of.symbol,
                ts_event,
                self.at,
                rule.name,
                rule.severity,
                state,
                value,
                fit,
            )
        )


class Moment(Watch):
    """A watch for what happens at one moment. It fires at once, and resolves by itself when its cooldown is over; what
    happens meanwhile is part of the same alert."""

    __slots__ = ("value",)

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self.value = 0.0

    def happened(self, value: float, now: int, ts_event: int) -> None:
        """It has happened."""
        if self.state == FIRING:
            return
        self.value = value
        self.state = FIRING
        self._tell("firing", now, ts_event)
        self.cool_until = now + self.rule.cooldown
        self.timer(now)

    def says_over(self) -> tuple[float | None, str]:
        """It is only time that has passed."""
        return self.value, f"{self.rule.rule.cooldown:g} s have passed since"

    def timer(self, now: int) -> None:
        """The cooldown may be over."""
        if self.state == FIRING and now < self.cool_until:
            self.scene.timers.set(self, self.cool_until)
        elif self.state == FIRING:
            self.state = QUIET
            self._tell("resolved", now, 0)


def number(value: float) -> str:
    """A price, a size or a share for people: no more digits than it has, or ten."""
    return f"{value:.10g}"
