"""How long one word of one instrument is usually silent, learnt from its own silences. Pure.

A Tempo counts silences in buckets by the hour of the day (UTC), and gives two bounds for the present hour: beyond
`usual` the word is quiet, beyond `bound` it has been silent for longer than it ever is. How they are drawn from what
was counted, and why so:

- **Share of time, not of number.** The quantiles are by length: for 99.9 % of its time a word has been in silences no
  longer than `quantile`. Thousands of messages in one burst take no time, so they don't push the quantile down to
  milliseconds, after which every pause between two bursts would be an alarm. For messages that come by pure chance it
  is 9.2 times the mean gap.
- **Three times that quantile**, where the counts bear it out: of messages that come by chance a longer gap is one in
  10^12. It takes two things. First, that many silences come near to the quantile (are a quarter of it or more): of at
  most 10 nobody knows how far the next one reaches, so the factor is ten, and it falls to three at 100. Second, that
  these are many of all silences: by chance they are one in ten. The fewer they are, the heavier is the tail, and the
  factor is three times the number of tens: six where one in a hundred comes near, and at most ten. It is six, too,
  where the quantile is too short for its quarter to be counted.
- **A single outlier is left out of the quantile**: a longest silence to which no other of that hour comes near, as it
  may be one outage. But the bound is at least twice the longest, because a word that did it once isn't silent for
  longer than it ever is.
- **The cap** is the most that these margins make of the bound. Only a word that has itself been silent for that long
  has a greater one, a quarter above its longest silence: a paper that trades once in six hours can't be told from a
  mute one by its silence.
- **Until 100 silences of the hour are known** the bound is `stale_after`, and at least ten times the longest silence of
  any hour. Neighbouring hours aren't asked for more: the hour before the opening of a market knows nothing of it.

All that lies in the same hour of all days, so what was learnt long ago fades: every four weeks all counts are halved,
and with them what happened once disappears.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from math import ceil, log2, log10
from typing import Annotated

import msgspec
from msgspec import Meta

FLOOR = 1.0
"""Seconds. A shorter time between two messages is no silence: the word speaks. It is also how often Tempo.look is
called while it does."""

HOURS = 24
BUCKETS = 48
PER_OCTAVE = 3
"""Buckets in which a silence becomes twice as long: each is 26 % wide, and the last begins at 14 hours."""

ENOUGH = 100
"""So many silences of an hour are what a bound can be learnt from."""

SHARE_BEYOND = 0.001
SHARE_UNUSUAL = 0.01
"""The shares of its time that a word spends in silences longer than the quantile, and than what is usual."""

LEAST_TIMES, MOST_TIMES = 3.0, 10.0
FEW_NEAR, MANY_NEAR = 10, 100
"""How many times the quantile makes the bound: the most when few silences come near to it, the least when many do."""

TIMES_UNSEEN = 6.0
"""How many times where it can't be seen how many come near."""

NEAR = 2 * PER_OCTAVE
"""Buckets. A silence of a quarter of another one comes near to it."""

TIMES_LONGEST, TIMES_LONGEST_OF_SLOW, TIMES_LONGEST_UNLEARNT = 2.0, 1.25, 10.0
LEAST_BOUND, LEAST_USUAL = 5.0, 2.5
"""Seconds. A network loses a packet and sends it again: a shorter silence means nothing."""

LOOK_AGAIN = 32
"""After so many silences, or seconds in which the word spoke, its bounds are drawn anew."""

HourRow = tuple[
    Annotated[int, Meta(ge=0, lt=HOURS)],
    Annotated[int, Meta(ge=0, le=65_535)],
    Annotated[bytes, Meta(max_length=2 * BUCKETS)],
]
"""What a Tempo knows of an hour: which, the seconds in which the word spoke, and its silences by bucket, as 16-bit
numbers of which the low byte comes first, without the zeros at the end."""

_ROW = struct.Struct(f"<{BUCKETS}H")
_MOST = 65_535
_EDGES = tuple(2.0 ** ((bucket + 1) / PER_OCTAVE) for bucket in range(BUCKETS))
_MIDDLES = tuple(2.0 ** ((bucket + 0.5) / PER_OCTAVE) for bucket in range(BUCKETS))
_SHRINKING = log2(MOST_TIMES / LEAST_TIMES) / log2(MANY_NEAR / FEW_NEAR)


class StaleRules(msgspec.Struct, frozen=True):
    """What a feed's configuration says of silences, in seconds: the bound of a word about which nothing is known, and
    the most that any bound may be."""

    stale_after: float = 60.0
    cap: float = 14_400.0


class SilenceBounds(msgspec.Struct, frozen=True, gc=False):
    """Seconds of silence: beyond `usual` a word is quiet, beyond `bound` it has been silent for longer than it ever is.
    `learnt` says whether they are drawn from enough of its own silences; else they hold only while others speak.
    `quantile` is the one that the bound was drawn from, 0 where it wasn't, and `pace` says to which power of two
    `usual` comes near: 0 for up to 1 s, 1 for up to 2 s."""

    usual: float
    bound: float
    learnt: bool
    quantile: float = 0.0
    pace: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "pace", max(0, ceil(log2(self.usual))))


class Tempo:
    """What one word of one instrument is used to.

    Only silences in which it should have spoken are told to it: none across a connection that was away, a session that
    was closed, or a repair. A silence that a new subscription ended, and in which nothing turned out to be missed, was
    the word's own, and is to be told too. About 2.7 kB.
    """

    __slots__ = ("_bounds", "_carried", "_counts", "_fresh_for", "_hour", "_longest", "_rules", "_spoken", "_usual")

    def __init__(self, rules: StaleRules) -> None:
        self._rules = rules
        self._counts = array("H", bytes(2 * HOURS * BUCKETS))  # silences by hour and bucket
        self._spoken = array("H", bytes(2 * HOURS))  # by hour: seconds in which it spoke
        self._longest = -1  # the bucket of the longest silence of all hours
        self._hour = -1
        self._bounds = SilenceBounds(rules.stale_after, rules.stale_after, False)
        self._carried: SilenceBounds | None = None  # those of the hour in which the present silence began
        self._usual = 0.0  # of this hour, once it is learnt
        self._fresh_for = 0

    def gap(self, seconds: float, ts: int) -> None:
        """A silence of more than FLOOR seconds ended at `ts` (ns since the epoch).

        It counts for the hour in which its middle lay: one that began at night says nothing of the morning.
        """
        bucket = min(int(log2(seconds) * PER_OCTAVE), BUCKETS - 1)
        at = hour_of(ts - int(seconds * 5e8)) * BUCKETS + bucket
        if self._counts[at] == _MOST:
            self._halve(at // BUCKETS)
        self._counts[at] += 1
        self._longest = max(self._longest, bucket)
        bounds = self._bounds
        if seconds > bounds.usual or not bounds.learnt or self._carried is not None:
            self._fresh_for = 0
        else:
            self._fresh_for -= 1
        self._carried = None

    def look(self, silent: float, hour: int) -> SilenceBounds:
        """Returns the bounds that hold now, in this hour of the day (0 to 23), for a silence that has lasted for
        `silent` seconds. Called once a second: it counts the seconds in which the word speaks.

        A silence that began in the hour before keeps that hour's bounds, if they are greater.
        """
        if silent <= FLOOR:
            if self._spoken[hour] == _MOST:
                self._halve(hour)
            self._spoken[hour] += 1
            self._fresh_for -= 1
        if hour != self._hour or self._fresh_for <= 0:
            self._draw(silent, hour)
        return self._bounds

    def fade(self) -> None:
        """Halves all that was counted. Called every four weeks."""
        self._counts = array("H", [count >> 1 for count in self._counts])
        self._spoken = array("H", [count >> 1 for count in self._spoken])
        self._counted_anew()

    def rows(self) -> list[HourRow]:
        """What is known, for the next life of the process: the hours of which anything is."""
        rows: list[HourRow] = []
        for hour, spoken in enumerate(self._spoken):
            counts = _ROW.pack(*self._row(hour)).rstrip(b"\0")
            if spoken or counts:
                rows.append((hour, spoken, counts))
        return rows

    @classmethod
    def of_rows(cls, rules: StaleRules, rows: Iterable[HourRow]) -> Tempo:
        """Returns a Tempo that knows what `rows` said."""
        tempo = cls(rules)
        for hour, spoken, counts in rows:
            tempo._spoken[hour] = spoken
            row = array("H", _ROW.unpack(counts.ljust(_ROW.size, b"\0")))
            tempo._counts[hour * BUCKETS : (hour + 1) * BUCKETS] = row
        tempo._counted_anew()
        return tempo

    def _counted_anew(self) -> None:
        self._longest = max((at % BUCKETS for at, count in enumerate(self._counts) if count), default=-1)
        self._fresh_for = 0

    def _row(self, hour: int) -> array[int]:
        return self._counts[hour * BUCKETS : (hour + 1) * BUCKETS]

    def _halve(self, hour: int) -> None:
        for at in range(hour * BUCKETS, (hour + 1) * BUCKETS):
            self._counts[at] >>= 1
        self._spoken[hour] >>= 1

    def _draw(self, silent: float, hour: int) -> None:
        """Draw the bounds anew. What is usual stays for an hour what it was once learnt to be, or else a lull would
        become usual within minutes, and nobody could tell by the neighbours that there is one."""
        drawn = self.bounds_at(hour)
        if hour != self._hour:
            self._carried = None if self._hour < 0 else self._bounds
            self._usual = 0.0
        elif silent <= FLOOR:
            self._carried = None
        if drawn.learnt:
            self._usual = self._usual or drawn.usual
            drawn = SilenceBounds(min(self._usual, drawn.bound), drawn.bound, True, drawn.quantile)
        carried = self._carried
        if carried is not None and carried.bound > drawn.bound:
            learnt = drawn.learnt and carried.learnt
            drawn = SilenceBounds(max(drawn.usual, carried.usual), carried.bound, learnt, drawn.quantile)
        self._bounds, self._hour, self._fresh_for = drawn, hour, LOOK_AGAIN

    def bounds_at(self, hour: int) -> SilenceBounds:
        """The bounds that what is known of this hour of the day gives."""
        row = self._row(hour)
        silences, spoken = sum(row), self._spoken[hour]
        # A silence ends in a second in which the word speaks; the other such seconds follow upon one another.
        known = max(silences, spoken)
        if known < ENOUGH:
            return _unlearnt(self._rules, _edge(self._longest))
        return _learnt(self._rules, row, known, (known - silences) * FLOOR)


def hour_of(ts: int) -> int:
    """The hour of the day in UTC, 0 to 23, of a time in nanoseconds since the epoch."""
    return ts // 3_600_000_000_000 % HOURS


def _edge(bucket: int) -> float:
    """The longest silence that a bucket counts, in seconds; FLOOR for -1, which is none."""
    return _EDGES[bucket] if bucket >= 0 else FLOOR


def _unlearnt(rules: StaleRules, longest: float) -> SilenceBounds:
    margin = min(TIMES_LONGEST_UNLEARNT * longest, rules.cap)
    bound = max(rules.stale_after, margin, TIMES_LONGEST_OF_SLOW * longest)
    return SilenceBounds(max(rules.stale_after, longest), bound, False)


def _learnt(rules: StaleRules, row: Sequence[int], known: int, speaking: float) -> SilenceBounds:
    """The bounds that the silences of an hour give. `row` counts them by bucket, `known` with those that were shorter
    than FLOOR, in which the word spoke for `speaking` seconds."""
    top = next((bucket for bucket in reversed(range(BUCKETS)) if row[bucket]), -1)
    total = speaking + sum(row[bucket] * _MIDDLES[bucket] for bucket in range(top + 1))
    outliers = int(sum(row[max(0, top - NEAR) : top + 1]) == 1)
    beyond, unusual = SHARE_BEYOND * total, SHARE_UNUSUAL * total
    spent, quantile, at = -outliers * _MIDDLES[top], -1, -1
    for at in range(top, -1, -1):
        spent += row[at] * _MIDDLES[at]
        if quantile < 0 and spent > beyond:
            quantile = at
        if spent > unusual:
            break
    else:
        at = -1
    near = sum(row[max(0, quantile - NEAR) : top + 1]) - outliers
    edge = _edge(quantile)
    times = _times(near, max(known, near)) if quantile >= NEAR else max(TIMES_UNSEEN, _times(near, near))
    margin = min(max(times * edge, TIMES_LONGEST * _edge(top)), rules.cap)
    bound = max(LEAST_BOUND, margin, TIMES_LONGEST_OF_SLOW * _edge(top))
    return SilenceBounds(min(max(LEAST_USUAL, _edge(at)), bound), bound, True, edge)


def _times(near: int, known: int) -> float:
    """How many times the quantile makes the bound, where so many of the known silences come near to it."""
    if near <= FEW_NEAR:
        return MOST_TIMES
    by_number: float = MOST_TIMES * (FEW_NEAR / near) ** _SHRINKING
    by_share = LEAST_TIMES * log10(known / near)
    return min(max(LEAST_TIMES, by_number, by_share), MOST_TIMES)
