"""Follows the numbers of the events that a subscriber receives, and finds the ones that are missing. Pure.

A stream is one publisher's events of one epoch on one topic. Its events are numbered from 1 without holes. We follow a
stream from the first message of it that arrives, and from then on every hole becomes a Gap. A heartbeat names the head
(the last number) of each stream that has sent something since the heartbeat before, and it is sent after the messages
that it counts. So we notice even when the last message of a stream was lost. The number of streams is limited, and
exceeding a limit raises BusError.

The epochs of a publisher only grow. A message of an older epoch is late, or comes from a second publisher of the same
name, so it is counted and ignored. If OLDER_BEATS heartbeats of an older epoch arrive with none of the newer epoch in
between, the publisher was restarted while its clock was set back, and the older epoch becomes the present one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from feedbus.errors import BusError
from feedbus.schema.events import Gap, Heartbeat

MAX_PUBLISHERS = 1024
MAX_WORDS = 4096  # words and venues of one publisher
MAX_SYMBOLS = 200_000  # of one word and venue
OLDER_BEATS = 3


class _Publisher:
    """What is known of one publisher in its present epoch."""

    __slots__ = (
        "beat", "epoch", "first_beat", "first_beat_parts", "heads", "joined_at", "joined_at_start", "older_beats",
        "part", "parts", "streams",
    )  # fmt: skip

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.streams: dict[str, dict[str, int]] = {}  # "word.venue" -> symbol -> the next sequence
        self.joined_at: Counter[str] = Counter()  # by word: the sum of the sequences at which topics were joined
        self.older_beats = 0  # heartbeats of an older epoch since the last one of this epoch
        self.heads: dict[str, int] = {}  # by topic, for topics of which no message has come since we joined
        self.first_beat = 0  # the number of the first heartbeat that we received; 0 before it has come
        self.beat = 0
        self.part = 0
        self.parts = 0
        self.first_beat_parts = 0  # how many parts of the publisher's heartbeat 1 we received
        # Whether we received all parts of heartbeat 1. Then a topic that it doesn't name began after we joined.
        self.joined_at_start = False


class Sequences:
    """Follows every stream that one subscriber asked for."""

    def __init__(self, wanted: Callable[[str, str, str], bool]) -> None:
        """`wanted(word, venue, symbol)` says which topics the subscriber asked for."""
        self._wanted = wanted
        self._publishers: dict[str, _Publisher] = {}
        self._published_before: Counter[str] = Counter()  # in epochs that have gone
        self.duplicates = 0
        self.older = 0  # messages of an older epoch than their publisher's present one
        self.gaps = 0
        self.lost: dict[str, int] = {}  # by topic word; a gap whose begin isn't known counts as 1

    def streams(self, publisher: str, epoch: int, word_venue: str) -> tuple[dict[str, int] | None, Gap | None]:
        """Returns the next sequence number of each symbol, which the caller advances, and a Gap if this message begins
        a new epoch. Returns None instead of the numbers when the message belongs to an older epoch and must be ignored.

        For speed, the caller handles the usual case itself: where the next number of the symbol is the first one of
        the message, it sets it to `first + count`. In every other case it calls `arrived`.
        """
        known = self._publishers.get(publisher)
        if known is not None and known.epoch == epoch:
            return self._of_word(known, word_venue), None
        if known is not None and epoch < known.epoch:
            self.older += 1
            return None, None
        gap = self._begin(publisher, epoch)
        return self._of_word(self._publishers[publisher], word_venue), gap

    def published(self) -> dict[str, int]:
        """By topic word, how many events were published on the followed streams since we joined each of them."""
        published = Counter(self._published_before)
        for known in self._publishers.values():
            published.update(_published(known))
        return {word: count for word, count in published.items() if count}

    def publishers(self) -> dict[str, tuple[int, int]]:
        """By name, each publisher's present epoch, and the number of its newest heartbeat: 0 when none came yet."""
        return {name: (known.epoch, known.beat) for name, known in self._publishers.items()}

    def silent(self, publisher: str) -> Gap:
        """Returns the Gap that says that this publisher, of which something was received, says nothing any more. It is
        about no numbers: whether any are missing shows when the publisher speaks again."""
        return self._count(Gap("", publisher, self._publishers[publisher].epoch, None, None, "silent"))

    def _begin(self, publisher: str, epoch: int) -> Gap | None:
        before = self._publishers.get(publisher)
        if before is None and len(self._publishers) >= MAX_PUBLISHERS:
            raise BusError(f"more than {MAX_PUBLISHERS} publishers on the bus")
        self._publishers[publisher] = _Publisher(epoch)
        if before is None:
            return None
        self._published_before.update(_published(before))
        return self._count(Gap("", publisher, before.epoch, None, None, "restart"))

    def _of_word(self, known: _Publisher, word_venue: str) -> dict[str, int]:
        streams = known.streams.get(word_venue)
        if streams is None:
            if len(known.streams) >= MAX_WORDS:
                raise BusError(f"more than {MAX_WORDS} words and venues from one publisher")
            streams = known.streams[word_venue] = {}
        return streams

    def arrived(
        self, publisher: str, epoch: int, word_venue: str, symbol: str, first: int, count: int
    ) -> tuple[int, Gap | None]:
        """Note that `count` events numbered from `first` arrived. Returns how many of them we already had, and a Gap
        when some are missing before them.
        """
        topic = f"{word_venue}.{symbol}"
        known = self._publishers[publisher]
        streams = known.streams[word_venue]
        expected = streams.get(symbol)
        if expected is None:
            if len(streams) >= MAX_SYMBOLS:
                raise BusError(f"more than {MAX_SYMBOLS} symbols of {word_venue} from one publisher")
            # What was sent before we joined is not missing, unless a heartbeat has told us where the topic stood then.
            expected = min(first, _unseen(known, topic) or first)
            known.joined_at[word_venue.partition(".")[0]] += expected
        repeats = max(0, min(expected - first, count))
        self.duplicates += repeats
        streams[symbol] = max(expected, first + count)
        if first <= expected:
            return repeats, None
        return 0, self._lost(topic, publisher, epoch, expected, first - 1)

    def heartbeat(self, beat: Heartbeat) -> list[Gap]:
        """Returns the gaps that this heartbeat reveals, among them the one of a heartbeat that is missing before it."""
        streams, gap = self.streams(beat.publisher, beat.epoch, f"heartbeat.{beat.publisher}")
        if streams is None:
            gap = self._older_beat(beat)
            if gap is None:
                return []
        gaps = [] if gap is None else [gap]
        known = self._publishers[beat.publisher]
        known.older_beats = 0
        if (beat.beat, beat.part) <= (known.beat, known.part):
            self.duplicates += 1
            return gaps
        if known.first_beat and not _follows(known, beat):
            gaps.append(self._count(Gap("", beat.publisher, beat.epoch, None, None, "heartbeat")))
        if beat.beat == 1:
            known.first_beat_parts += 1
            known.joined_at_start = known.first_beat_parts == beat.parts
        known.beat, known.part, known.parts = beat.beat, beat.part, beat.parts
        known.first_beat = known.first_beat or beat.beat
        joined = beat.beat > known.first_beat  # our first heartbeat may count events from before we joined
        prefix, next_of = "", dict[str, int]()
        for topic, head in beat.heads:
            # Nearly always we follow the stream, and have its last event. Heads of one word and venue stand together.
            if topic.startswith(prefix) and next_of.get(topic[len(prefix) :]) == head + 1:
                continue
            gap = self._head(known, beat, topic, head, joined=joined)
            if gap is not None:
                gaps.append(gap)
            prefix, next_of = _followed(known, topic)
        return gaps

    def _older_beat(self, beat: Heartbeat) -> Gap | None:
        known = self._publishers[beat.publisher]
        known.older_beats += beat.part == 1
        return self._begin(beat.publisher, beat.epoch) if known.older_beats >= OLDER_BEATS else None

    def _head(self, known: _Publisher, beat: Heartbeat, topic: str, head: int, *, joined: bool) -> Gap | None:
        word, _, rest = topic.partition(".")
        venue, _, symbol = rest.partition(".")
        if not self._wanted(word, venue, symbol):
            return None
        streams = self._of_word(known, f"{word}.{venue}")
        expected = streams.get(symbol)
        if expected is None and not joined:
            known.heads[topic] = head
            return None
        if expected is None:
            expected = _unseen(known, topic)
            known.joined_at[word] += head if expected is None else expected
        streams[symbol] = max(expected or 0, head + 1)
        if expected is not None and head < expected:
            return None
        return self._lost(topic, beat.publisher, beat.epoch, expected, head)

    def _lost(self, topic: str, publisher: str, epoch: int, first: int | None, last: int) -> Gap:
        word = topic.partition(".")[0]
        self.lost[word] = self.lost.get(word, 0) + (1 if first is None else last - first + 1)
        return self._count(Gap(topic, publisher, epoch, first, last, "lost"))

    def _count(self, gap: Gap) -> Gap:
        self.gaps += 1
        return gap


def _published(known: _Publisher) -> Counter[str]:
    published: Counter[str] = Counter()
    for word_venue, streams in known.streams.items():
        published[word_venue.partition(".")[0]] += sum(streams.values())
    published.subtract(known.joined_at)
    return published


def _followed(known: _Publisher, topic: str) -> tuple[str, dict[str, int]]:
    """Returns how all topics of this topic's word and venue begin, and the next sequence of each symbol that is
    followed there."""
    word, _, rest = topic.partition(".")
    word_venue = f"{word}.{rest.partition('.')[0]}"
    return f"{word_venue}.", known.streams.get(word_venue, {})


def _unseen(known: _Publisher, topic: str) -> int | None:
    """Returns the first number we should have received on a topic that has sent us nothing yet; None when unknown."""
    head = known.heads.pop(topic, None)
    if head is not None:
        return head + 1
    return 1 if known.joined_at_start else None


def _follows(known: _Publisher, beat: Heartbeat) -> bool:
    """Whether `beat` is the very next part after the last one that came."""
    if beat.beat == known.beat:
        return beat.part == known.part + 1
    return beat.beat == known.beat + 1 and beat.part == 1 and known.part == known.parts
