"""What is on the bus, in figures by feed and kind. Pure: time is an argument.

A feed is a publisher, by the name in its messages. `add` is called for every message, so it looks at one event of each
kind in it: the first, which is the one that waited longest in the publisher. Its age and delay count for all.

Everything that the wire names is bounded: feeds beyond MAX_FEEDS, rules beyond MAX_RULES, and names that are no fit
labels share the name "other". No figure has a symbol.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

from feedbus.schema.events import Alert, Event, FeedStatus, Gap, MarketEvent

SECOND = 1_000_000_000
MAX_FEEDS = 64
MAX_RULES = 64  # pairs of rule and severity
MAX_NAME = 64  # characters
MAX_FIRING = 10_000
SILENT_AFTER = 15 * SECOND
"""A feed's connections speak every 5 s."""
SLICES = 6
"""A window is kept in so many parts; the oldest goes when a new one begins."""
QUANTILES = (0.5, 0.9, 0.99)
OTHER = "other"
CAUSES: tuple[str, ...] = get_args(get_type_hints(Gap)["cause"])

_STEPS = 4  # bits: each power of two is cut into 16, so that a value is known to within 3.2 %
_SHOWN = _STEPS + 1


@dataclass(frozen=True)
class Distribution:
    """How values (nanoseconds) lie: of all there have been count and sum, of the recent ones the QUANTILES."""

    count: int
    sum: int
    quantiles: dict[float, float]


class _Slice:
    """A part of the window, `number` of its length since 1970."""

    __slots__ = ("ages", "delays", "events", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.events = 0
        self.ages: dict[int, int] = {}
        self.delays: dict[int, int] = {}


class KindFigures:
    """One kind of one feed. Keeps no values, only how many there were of each size: at most 2 x 1,024 numbers."""

    __slots__ = (
        "_age_sum", "_began", "_current", "_delay_count", "_delay_sum", "_slice_ns", "_slices", "events", "kind",
    )  # fmt: skip

    def __init__(self, kind: str, slice_ns: int, now_ns: int) -> None:
        self.kind = kind
        self.events = 0
        self._age_sum = self._delay_sum = self._delay_count = 0
        self._slice_ns = slice_ns
        self._began = now_ns
        self._current = _Slice(now_ns // slice_ns)
        self._slices = deque([self._current], maxlen=SLICES)

    def add(self, event: MarketEvent, count: int, now_ns: int) -> None:
        """`count` events came, of which `event` stands for all."""
        number = now_ns // self._slice_ns
        now = self._current
        if number != now.number:
            now = self._current = _Slice(number)
            self._slices.append(now)
        self.events += count
        now.events += count
        at = event.ts_recv
        age = now_ns - at
        self._age_sum += age * count
        size = size_of(age)
        now.ages[size] = now.ages.get(size, 0) + count
        if event.ts_event:
            delay = at - event.ts_event
            self._delay_sum += delay * count
            self._delay_count += count
            size = size_of(delay)
            now.delays[size] = now.delays.get(size, 0) + count

    def rate(self, now_ns: int) -> float:
        """Events per second over the window, or since the first one."""
        recent = self._recent(now_ns)
        if not recent:
            return 0.0
        since = max(self._began, (now_ns // self._slice_ns - SLICES + 1) * self._slice_ns)
        return sum(each.events for each in recent) * SECOND / max(SECOND, now_ns - since)

    def ages(self, now_ns: int) -> Distribution:
        """Our clock at the receipt here, less `ts_recv`."""
        recent = (each.ages for each in self._recent(now_ns))
        return Distribution(self.events, self._age_sum, quantiles(recent))

    def delays(self, now_ns: int) -> Distribution | None:
        """`ts_recv` less `ts_event`, below 0 where the clocks differ; None where the venue has given no time yet."""
        if not self._delay_count:
            return None
        recent = (each.delays for each in self._recent(now_ns))
        return Distribution(self._delay_count, self._delay_sum, quantiles(recent))

    def _recent(self, now_ns: int) -> list[_Slice]:
        """Those of the window; after the clock was set back, none of what is now in the future."""
        now = now_ns // self._slice_ns
        return [each for each in self._slices if 0 <= now - each.number < SLICES]


class PublisherFigures:
    """One publisher, or all that share the name "other": of those together neither epoch nor restarts are known."""

    def __init__(self, name: str, epoch: int | None) -> None:
        self.name = name
        self.epoch = epoch
        self.restarts = 0
        self.heard_at = 0
        self.gaps = Counter(dict.fromkeys(CAUSES, 0))
        self.lost = 0
        """Events, of the gaps that say how many."""
        self.status: FeedStatus | None = None
        self.streams: dict[type[Event], KindFigures] = {}

    def silent_s(self, now_ns: int) -> float | None:
        """For how long its connections have said nothing, when that is too long: one that stopped isn't asked."""
        if self.status is None or self.status.state == "stopped":
            return None
        silent = now_ns - self.status.ts_recv
        return silent / SECOND if silent > SILENT_AFTER else None

    def connections_up(self, now_ns: int) -> int | None:
        """By its newest word; 0 when it has been silent since. None for a publisher without connections."""
        if self.status is None:
            return None
        return 0 if self.silent_s(now_ns) is not None else self.status.connections_up


class BusFigures:
    """Messages in, figures out. `not_kept` counts alerts beyond MAX_FIRING."""

    def __init__(self, window_ns: int) -> None:
        self.messages = 0
        self.not_kept = 0
        self.fired: Counter[tuple[str, str]] = Counter()
        """Alerts that began, by rule and severity."""
        self._slice_ns = window_ns // SLICES
        self._feeds: dict[str, PublisherFigures] = {}
        self._firing: dict[tuple[str, str, str, str], tuple[str, str]] = {}

    @property
    def feeds(self) -> Collection[PublisherFigures]:
        """All publishers that have been heard."""
        return self._feeds.values()

    def add(self, publisher: str, epoch: int, events: Sequence[Event], now_ns: int) -> None:
        """Take in what one message brought: `events` of a word of this publisher, and Gaps."""
        self.messages += 1
        feed = self._feeds.get(publisher) or self._feed(publisher, epoch)
        feed.heard_at = now_ns
        if feed.epoch != epoch and feed.epoch is not None:
            self._restart(feed, epoch)
        kind = type(events[0])
        if len(events) == 1 or len(kinds := set(map(type, events))) == 1:
            self._add(feed, kind, events, now_ns)
            return
        for kind in kinds:
            self._add(feed, kind, [event for event in events if type(event) is kind], now_ns)

    def firing(self) -> dict[tuple[str, str], int]:
        """How many alerts are firing now, by rule and severity: 0 for those that have been."""
        return dict.fromkeys(self.fired, 0) | Counter(self._firing.values())

    def not_ready(self, now_ns: int) -> list[str]:
        """Why this is no view of the bus: nothing has come yet, or feeds that should speak don't."""
        if not self._feeds:
            return ["nothing has come of the bus yet"]
        silent = [(feed.name, feed.silent_s(now_ns)) for feed in self.feeds]
        return [f"{name}: no word of its connections for {since:.0f} s" for name, since in silent if since is not None]

    def _add(self, feed: PublisherFigures, kind: type[Event], events: Sequence[Event], now_ns: int) -> None:
        """Some events of one kind."""
        read = READERS.get(kind)
        if read is not None:
            read(self, feed, events)
        if kind is not Gap:
            stream = feed.streams.get(kind) or self._stream(feed, kind, now_ns)
            stream.add(cast(MarketEvent, events[0]), len(events), now_ns)

    def _feed(self, publisher: str, epoch: int) -> PublisherFigures:
        named = len(self._feeds) < MAX_FEEDS and is_label(publisher)
        name = publisher if named else OTHER
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = PublisherFigures(name, epoch if named else None)
        return feed

    def _stream(self, feed: PublisherFigures, kind: type[Event], now_ns: int) -> KindFigures:
        stream = feed.streams[kind] = KindFigures(str(kind.__struct_config__.tag), self._slice_ns, now_ns)
        return stream

    def _restart(self, feed: PublisherFigures, epoch: int) -> None:
        """A publisher's new life knows nothing of the alerts of the old one, and says again what is still amiss."""
        feed.epoch = epoch
        feed.restarts += 1
        self._firing = {key: pair for key, pair in self._firing.items() if key[0] != feed.name}

    def _read_gaps(self, feed: PublisherFigures, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            feed.gaps[gap.cause] += 1
            if gap.first is not None and gap.last is not None:
                feed.lost += gap.last - gap.first + 1

    def _read_statuses(self, feed: PublisherFigures, statuses: Iterable[FeedStatus]) -> None:
        for status in statuses:
            if feed.status is None or status.ts_recv >= feed.status.ts_recv:
                feed.status = status

    def _read_alerts(self, feed: PublisherFigures, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            key = (feed.name, alert.venue, alert.symbol, alert.rule)
            before = self._firing.pop(key, None)
            if alert.state == "resolved":
                continue
            if len(self._firing) >= MAX_FIRING:
                self.not_kept += 1
                continue
            pair = self._firing[key] = self._pair(alert)
            self.fired[pair] += before is None

    def _pair(self, alert: Alert) -> tuple[str, str]:
        pair = (alert.rule, alert.severity)
        known = pair in self.fired or (len(self.fired) < MAX_RULES and all(map(is_label, pair)))
        return pair if known else (OTHER, OTHER)


READERS: dict[type[Event], Callable[[BusFigures, PublisherFigures, Any], None]] = {
    Gap: BusFigures._read_gaps,
    FeedStatus: BusFigures._read_statuses,
    Alert: BusFigures._read_alerts,
}
"""The kinds of which more is said than how many there are."""


def is_label(text: str) -> bool:
    """True for a name from the wire that a label may show: short, in one line."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def size_of(ns: int) -> int:
    """The class of values that this one counts in: all within 1/16 of one another, or the very value below 32."""
    shift = ns.bit_length() - _SHOWN
    if shift <= 0:
        return ns
    return (shift << _STEPS) + (ns >> shift) if ns > 0 else -(shift << _STEPS) - (-ns >> shift)


def middle_of(size: int) -> float:
    """The middle of a class."""
    if size < 0:
        return -middle_of(-size)
    shift = max(0, (size >> _STEPS) - 1)
    low = (size - (shift << _STEPS)) << shift
    return low + ((1 << shift) - 1) / 2


def quantiles(parts: Iterable[dict[int, int]]) -> dict[float, float]:
    """The QUANTILES of counts by class; none where nothing was counted. Each is of a class that has values."""
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(part)
    total = counts.total()
    found: dict[float, float] = {}
    seen = 0
    for size in sorted(counts):
        seen += counts[size]
        for quantile in QUANTILES[len(found) :]:
            if seen >= quantile * total:
                found[quantile] = middle_of(size)
    return found
