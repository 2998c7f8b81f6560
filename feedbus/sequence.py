"""Holes in numbered streams: what a subscriber has been sent, what it got, and what is missing. Pure.

A stream is (publisher, epoch, topic), numbered from 1 without holes. A stream is followed from the first message
that arrives of it; from there on every hole becomes a Gap. A heartbeat names the heads that changed since the last
one, so that a lost last message is known too; it travels behind the messages that it counts. What is followed is
bounded: beyond the limits, a BusError.
"""

from __future__ import annotations

from collections.abc import Callable

from feedbus.errors import BusError
from feedbus.events import Gap, Heartbeat

MAX_PUBLISHERS = 1024
MAX_WORDS = 4096  # words and venues of one publisher
MAX_SYMBOLS = 200_000  # of one word and venue


class _Publisher:
    """What is known of one publisher in its present epoch."""

    __slots__ = ("beat", "begun", "epoch", "first_beat", "from_start", "heads", "part", "parts", "streams")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.streams: dict[str, dict[str, int]] = {}  # "word.venue" -> symbol -> the next sequence
        self.heads: dict[str, int] = {}  # of topics that no message has come of since we joined
        self.first_beat = 0  # the first one that came; 0: none yet
        self.beat = 0
        self.part = 0
        self.parts = 0
        self.begun = 0  # parts of beat 1 that came
        self.from_start = False  # it came whole: a topic that it doesn't name began after we joined


class Sequences:
    """Follows every stream that one subscriber asked for."""

    def __init__(self, wanted: Callable[[str, str, str], bool]) -> None:
        """`wanted(word, venue, symbol)` says which topics the subscriber asked for."""
        self._wanted = wanted
        self._publishers: dict[str, _Publisher] = {}
        self.duplicates = 0
        self.gaps = 0
        self.lost: dict[str, int] = {}  # by topic word; a gap whose begin isn't known counts as 1

    def streams(self, publisher: str, epoch: int, word_venue: str) -> tuple[dict[str, int], Gap | None]:
        """The next sequence by symbol, to be looked at and advanced by the caller; and the Gap of a new epoch.

        The caller's short cut: where `next.get(symbol) == first`, set it to `first + count` and be done. All
        else goes through `arrived`.
        """
        known = self._publishers.get(publisher)
        gap = None
        if known is None or known.epoch != epoch:
            if known is not None:
                gap = self._count(Gap("", publisher, known.epoch, None, None, "restart"))
            elif len(self._publishers) >= MAX_PUBLISHERS:
                raise BusError(f"more than {MAX_PUBLISHERS} publishers on the bus")
            known = self._publishers[publisher] = _Publisher(epoch)
        return self._of_word(known, word_venue), gap

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
        """`count` events numbered from `first` came: (how many of them are repeats, the hole before them)."""
        topic = f"{word_venue}.{symbol}"
        known = self._publishers[publisher]
        streams = known.streams[word_venue]
        expected = streams.get(symbol)
        if expected is None:
            if len(streams) >= MAX_SYMBOLS:
                raise BusError(f"more than {MAX_SYMBOLS} symbols of {word_venue} from one publisher")
            # Not a gap before the first message, unless a heartbeat has told us since where the topic stood.
            expected = min(first, _unseen(known, topic) or first)
        repeats = max(0, min(expected - first, count))
        self.duplicates += repeats
        streams[symbol] = max(expected, first + count)
        if first <= expected:
            return repeats, None
        return 0, self._lost(topic, publisher, epoch, expected, first - 1)

    def heartbeat(self, beat: Heartbeat) -> list[Gap]:
        """The holes that a heartbeat, or one that is missing, shows."""
        gaps = []
        _, gap = self.streams(beat.publisher, beat.epoch, f"heartbeat.{beat.publisher}")
        if gap is not None:
            gaps.append(gap)
        known = self._publishers[beat.publisher]
        if (beat.beat, beat.part) <= (known.beat, known.part):
            self.duplicates += 1
            return gaps
        if known.first_beat and not _follows(known, beat):
            gaps.append(self._count(Gap("", beat.publisher, beat.epoch, None, None, "heartbeat")))
        if beat.beat == 1:
            known.begun += 1
            known.from_start = known.begun == beat.parts
        known.beat, known.part, known.parts = beat.beat, beat.part, beat.parts
        known.first_beat = known.first_beat or beat.beat
        joined = beat.beat > known.first_beat  # what our first beat counts may be older than our joining
        for topic, head in beat.heads:
            gap = self._head(known, beat, topic, head, joined=joined)
            if gap is not None:
                gaps.append(gap)
        return gaps

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


def _unseen(known: _Publisher, topic: str) -> int | None:
    """The first sequence that we should have been sent of a topic that nothing has come of; None: not known."""
    head = known.heads.pop(topic, None)
    if head is not None:
        return head + 1
    return 1 if known.from_start else None


def _follows(known: _Publisher, beat: Heartbeat) -> bool:
    """True when `beat` is the very next part after the last one that came."""
    if beat.beat == known.beat:
        return beat.part == known.part + 1
    return beat.beat == known.beat + 1 and beat.part == 1 and known.part == known.parts
