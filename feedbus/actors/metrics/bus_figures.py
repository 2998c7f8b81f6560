"""Figures about everything on the bus, by publisher and kind of event: counts, rates, ages, gaps and firing alerts.

In the metrics a publisher is called a feed, whether it is one or an actor. `BusFigures.add` is called for every message
of the bus, so it has to be cheap: of each kind it looks at the first event only, which has waited longest in the
publisher, and counts its age and delay for all events of that kind in the message.

Whatever comes from the wire is bounded, since each distinct label costs memory here and in Prometheus: publishers
beyond MAX_FEEDS, rules beyond MAX_RULES and names that make no fit label share the name "other", and no figure has a
symbol.

The module is pure: the time is an argument. `now_ns` is in nanoseconds by a clock that never jumps, and everything that
lasts is measured by it. `wall_ns` is in nanoseconds since the epoch: ages of events need it, because the events were
stamped in another process.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

from feedbus.schema.events import Alert, Event, FeedStatus, Gap, MarketEvent

SECOND = 1_000_000_000
MAX_FEEDS = 64
"""The most publishers that have figures of their own."""
MAX_RULES = 64
"""The most pairs of rule and severity that have figures of their own."""
MAX_NAME = 64
"""The most characters of a name that becomes a label."""
MAX_FIRING = 10_000
"""The most firing alerts that are remembered."""
SILENT_AFTER = 15 * SECOND
"""A feed's connections send a status every 5 s, so three are missing then."""
UNAGED_FOR = 2 * SECOND
"""After the clock was set, for so long no ages are counted: events of before and after it are under way together."""
SLICES = 6
"""How many slices a window has. The oldest slice is dropped when a new one begins, so the window moves by a sixth."""
QUANTILES = (0.5, 0.9, 0.99)
OTHER = "other"
CAUSES: tuple[str, ...] = get_args(get_type_hints(Gap)["cause"])

# Values are counted in buckets, as in an HDR histogram: each power of two is cut into 2**4 = 16 buckets, so that the
# middle of a bucket is within 3.2 % of every value in it.
_STEP_BITS = 4
_SIGNIFICANT_BITS = _STEP_BITS + 1


@dataclass(frozen=True)
class Distribution:
    """A distribution of times in nanoseconds. `count` and `sum` are of all values since the start, `quantiles` are of
    those within the window."""

    count: int
    sum: int
    quantiles: dict[float, float]


class _WindowSlice:
    """A part of the window. `number` is its start divided by its length, so slices are aligned to the clock's zero.
    `ages` and `delays` count events by bucket."""

    __slots__ = ("ages", "delays", "events", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.events = 0
        self.ages: dict[int, int] = {}
        self.delays: dict[int, int] = {}


class KindFigures:
    """The figures of one kind of event of one publisher. No values are kept, only their counts by bucket: at most 1,024
    buckets for ages and as many for delays in each slice."""

    __slots__ = (
        "_age_count", "_age_sum", "_began", "_current", "_delay_count", "_delay_sum", "_slice_ns", "_slices", "events",
        "kind",
    )  # fmt: skip

    def __init__(self, kind: str, slice_ns: int, now_ns: int) -> None:
        self.kind = kind
        self.events = 0
        self._age_count = self._age_sum = self._delay_sum = self._delay_count = 0
        self._slice_ns = slice_ns
        self._began = now_ns
        self._current = _WindowSlice(now_ns // slice_ns)
        self._slices = deque([self._current], maxlen=SLICES)

    def add(self, event: MarketEvent, count: int, now_ns: int, wall_ns: int | None) -> None:
        """Counts `count` events that came in one message. The age and delay of `event` count for all of them, the age
        only if there is a `wall_ns`."""
        number = now_ns // self._slice_ns
        now = self._current
        if number != now.number:
            now = self._current = _WindowSlice(number)
            self._slices.append(now)
        self.events += count
        now.events += count
        at = event.ts_recv
        if wall_ns is not None:
            age = wall_ns - at
            self._age_sum += age * count
            self._age_count += count
            bucket = bucket_of(age)
            now.ages[bucket] = now.ages.get(bucket, 0) + count
        if event.ts_event:
            delay = at - event.ts_event
            self._delay_sum += delay * count
            self._delay_count += count
            bucket = bucket_of(delay)
            now.delays[bucket] = now.delays.get(bucket, 0) + count

    def rate(self, now_ns: int) -> float:
        """Returns the events per second over the window, or since the first event if that is more recent."""
        recent = self._recent(now_ns)
        if not recent:
            return 0.0
        since = max(self._began, (now_ns // self._slice_ns - SLICES + 1) * self._slice_ns)
        return sum(each.events for each in recent) * SECOND / max(SECOND, now_ns - since)

    def ages(self, now_ns: int) -> Distribution:
        """Returns the ages of events: our clock when they were received here, minus `ts_recv`."""
        recent = (each.ages for each in self._recent(now_ns))
        return Distribution(self._age_count, self._age_sum, quantiles(recent))

    def delays(self, now_ns: int) -> Distribution | None:
        """Returns the delays of events at the venue: `ts_recv` minus `ts_event`, which is negative where the clocks
        differ. None while the venue has given no time."""
        if not self._delay_count:
            return None
        recent = (each.delays for each in self._recent(now_ns))
        return Distribution(self._delay_count, self._delay_sum, quantiles(recent))

    def _recent(self, now_ns: int) -> list[_WindowSlice]:
        """Returns the slices within the window."""
        now = now_ns // self._slice_ns
        return [each for each in self._slices if now - each.number < SLICES]


class PublisherFigures:
    """The figures of one publisher, or of all that share the name "other": for those, `epoch` is None and restarts
    aren't counted.

    `heard_at` is when its last message with events or gaps came, by the wall clock, since people read it. `streams` has
    the figures of each kind of event."""

    def __init__(self, name: str, epoch: int | None) -> None:
        self.name = name
        self.epoch = epoch
        self.restarts = 0
        self.heard_at = 0
        self.gaps = Counter(dict.fromkeys(CAUSES, 0))
        self.lost = 0
        """Lost events, as far as the gaps say how many."""
        self.status: FeedStatus | None = None
        """The newest status of any of its connections; None for a publisher that isn't a feed."""
        self.status_at = 0
        """When that status came, by the clock that never jumps."""
        self.streams: dict[type[Event], KindFigures] = {}

    def silent_s(self, now_ns: int) -> float | None:
        """Returns the seconds since its connections sent the last status when these are too many, else None. A feed
        whose last status said that it stopped isn't expected to send any."""
        if self.status is None or self.status.state == "stopped":
            return None
        silent = now_ns - self.status_at
        return silent / SECOND if silent > SILENT_AFTER else None

    def connections_up(self, now_ns: int) -> int | None:
        """Returns how many connections are up by the newest status, 0 when it is too old. None for a publisher that
        isn't a feed."""
        if self.status is None:
            return None
        return 0 if self.silent_s(now_ns) is not None else self.status.connections_up


class BusFigures:
    """Takes in the messages of the bus and keeps the figures. `messages` counts them, and `not_kept` counts firing
    alerts beyond MAX_FIRING, which are left out of the figures."""

    def __init__(self, window_ns: int) -> None:
        self.messages = 0
        self.not_kept = 0
        self.fired: Counter[tuple[str, str]] = Counter()
        """How many alerts began to fire, by rule and severity."""
        self._slice_ns = window_ns // SLICES
        self._aged_from = 0
        self._feeds: dict[str, PublisherFigures] = {}
        self._firing: dict[tuple[str, str, str, str], tuple[str, str]] = {}

    @property
    def feeds(self) -> Collection[PublisherFigures]:
        """All publishers that have been heard so far."""
        return self._feeds.values()

    def add(self, publisher: str, epoch: int, events: Sequence[Event], now_ns: int, wall_ns: int) -> None:
        """Takes in the events of one message of this publisher, Gaps included. `events` must not be empty."""
        self.messages += 1
        feed = self._feeds.get(publisher) or self._new_publisher(publisher, epoch)
        if not _is_silence(events[0]):
            feed.heard_at = wall_ns
        if feed.epoch != epoch and feed.epoch is not None:
            self._begin_epoch(feed, epoch)
        kind = type(events[0])
        if len(events) == 1 or len(kinds := set(map(type, events))) == 1:
            self._add(feed, kind, events, now_ns, wall_ns)
            return
        for kind in kinds:
            self._add(feed, kind, [event for event in events if type(event) is kind], now_ns, wall_ns)

    def clock_was_set(self, now_ns: int) -> None:
        """The wall clock was set just now: for UNAGED_FOR no ages are counted."""
        self._aged_from = now_ns + UNAGED_FOR

    def firing(self) -> dict[tuple[str, str], int]:
        """Returns how many alerts are firing now, by rule and severity. Pairs of which an alert has ever fired are
        there with 0, so that their series don't vanish."""
        return dict.fromkeys(self.fired, 0) | Counter(self._firing.values())

    def not_ready(self, now_ns: int) -> list[str]:
        """Returns the reasons why these figures may not show the whole bus, one line each: nothing has come yet, or a
        feed has fallen silent. Empty when all is well."""
        if not self._feeds:
            return ["nothing has come of the bus yet"]
        silent = [(feed.name, feed.silent_s(now_ns)) for feed in self.feeds]
        return [f"{name}: no word of its connections for {since:.0f} s" for name, since in silent if since is not None]

    def _add(
        self, feed: PublisherFigures, kind: type[Event], events: Sequence[Event], now_ns: int, wall_ns: int
    ) -> None:
        """Takes in the events of one kind."""
        if kind is FeedStatus:
            # The last that came is the newest, whatever time it bears: the wall clock may have been set back.
            feed.status, feed.status_at = cast(FeedStatus, events[-1]), now_ns
        read = _READERS.get(kind)
        if read is not None:
            read(self, feed, events)
        if kind is not Gap:
            stream = feed.streams.get(kind) or self._new_stream(feed, kind, now_ns)
            aged = wall_ns if now_ns >= self._aged_from else None
            stream.add(cast(MarketEvent, events[0]), len(events), now_ns, aged)

    def _new_publisher(self, publisher: str, epoch: int) -> PublisherFigures:
        named = len(self._feeds) < MAX_FEEDS and is_label(publisher)
        name = publisher if named else OTHER
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = PublisherFigures(name, epoch if named else None)
        return feed

    def _new_stream(self, feed: PublisherFigures, kind: type[Event], now_ns: int) -> KindFigures:
        stream = feed.streams[kind] = KindFigures(str(kind.__struct_config__.tag), self._slice_ns, now_ns)
        return stream

    def _begin_epoch(self, feed: PublisherFigures, epoch: int) -> None:
        """Notes that the publisher was started anew. Its new life doesn't know the alerts of the old one and never
        resolves them, but fires again what still holds. So the old ones are forgotten."""
        feed.epoch = epoch
        feed.restarts += 1
        self._firing = {key: pair for key, pair in self._firing.items() if key[0] != feed.name}

    def _read_gaps(self, feed: PublisherFigures, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            feed.gaps[gap.cause] += 1
            if gap.first is not None and gap.last is not None:
                feed.lost += gap.last - gap.first + 1

    def _read_alerts(self, feed: PublisherFigures, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            key = (feed.name, alert.venue, alert.symbol, alert.rule)
            before = self._firing.pop(key, None)
            if alert.state == "resolved":
                continue
            if len(self._firing) >= MAX_FIRING:
                self.not_kept += 1
                continue
            pair = self._firing[key] = self._rule_and_severity(alert)
            self.fired[pair] += before is None

    def _rule_and_severity(self, alert: Alert) -> tuple[str, str]:
        pair = (alert.rule, alert.severity)
        known = pair in self.fired or (len(self.fired) < MAX_RULES and all(map(is_label, pair)))
        return pair if known else (OTHER, OTHER)


_READERS: dict[type[Event], Callable[[BusFigures, PublisherFigures, Any], None]] = {
    Gap: BusFigures._read_gaps,
    Alert: BusFigures._read_alerts,
}
"""How the kinds of events are read whose content matters. Of the others only the number and the times count."""


def _is_silence(event: Event) -> bool:
    """Whether this says that nothing has come from its publisher."""
    return isinstance(event, Gap) and event.cause == "silent"


def is_label(text: str) -> bool:
    """Whether a name from the wire is fit to be a label: neither empty nor too long, and printable."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def bucket_of(ns: int) -> int:
    """Returns the number of the bucket that a value counts in. The values of one bucket lie within 1/16 of one another,
    and values from -31 to 31 have a bucket each."""
    shift = ns.bit_length() - _SIGNIFICANT_BITS
    if shift <= 0:
        return ns
    return (shift << _STEP_BITS) + (ns >> shift) if ns > 0 else -(shift << _STEP_BITS) - (-ns >> shift)


def bucket_middle(bucket: int) -> float:
    """Returns the middle of the values of a bucket, in nanoseconds."""
    if bucket < 0:
        return -bucket_middle(-bucket)
    shift = max(0, (bucket >> _STEP_BITS) - 1)
    low = (bucket - (shift << _STEP_BITS)) << shift
    return low + ((1 << shift) - 1) / 2


def quantiles(parts: Iterable[dict[int, int]]) -> dict[float, float]:
    """Returns the QUANTILES of the values in `parts`, which are counts by bucket; empty where nothing was counted. Each
    quantile is the middle of a bucket that has values."""
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(part)
    total = counts.total()
    found: dict[float, float] = {}
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        for quantile in QUANTILES[len(found) :]:
            if seen >= quantile * total:
                found[quantile] = bucket_middle(bucket)
    return found
