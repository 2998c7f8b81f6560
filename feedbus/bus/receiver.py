"""Makes batches of events out of bus messages, and finds the gaps. It knows no socket, clock or task.

What isn't wanted is skipped without decoding it. Each hole in the sequence numbers becomes a Gap event, in its place
among the events.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from feedbus.errors import BusError
from feedbus.schema import codec
from feedbus.schema.events import Gap, Heartbeat, MarketData
from feedbus.schema.sequence import Sequences
from feedbus.schema.topics import HEARTBEAT, MAX_TOPIC, TopicFilter

HEARTBEATS_KEPT = 32
"""Heartbeats, or parts of long ones, that are kept until the first event to say what is published."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What is known of the events of one bus message.

    word, venue  the first two parts of the topics of all its events
    publisher    the name of the publisher
    epoch        when the publisher began its sequence numbers, in nanoseconds since the Unix epoch
    published    when the message was sent, in nanoseconds since the Unix epoch; 0 for gaps found by a heartbeat, or by
                 silence
    runs         (first sequence number, count) for each run of events with consecutive numbers, in the order of the
                 events; a Gap is a run of its own, with None for its number
    """

    word: str
    venue: str
    publisher: str
    epoch: int
    published: int
    runs: list[tuple[int | None, int]]

    def sequences(self) -> list[int | None]:
        """Return the sequence number of each event, None for a Gap."""
        return _expand(self.runs)

    def last(self, count: int) -> Header:
        """Return the header for the last `count` of the events."""
        runs: list[tuple[int | None, int]] = []
        for first, size in reversed(self.runs):
            taken = min(size, count)
            if taken:
                runs.insert(0, (None if first is None else first + size - taken, taken))
            count -= taken
        return msgspec.structs.replace(self, runs=runs)


def _expand(runs: Sequence[tuple[int | None, int]]) -> list[int | None]:
    return [None if first is None else first + offset for first, count in runs for offset in range(count)]


Batch = tuple[Header, list[MarketData | Gap]]
"""The wanted events and gaps of one bus message."""


class Stats(msgspec.Struct):
    """A subscriber's balance sheet. By topic word, published = delivered + lost.

    The sheet covers what was published from the first message received of each topic to the newest message or
    heartbeat. `published` is computed from the sequence numbers, `delivered` and `lost` are counted, so that each
    checks the other. A gap whose beginning isn't known counts as one lost event.

    gaps           Gap events
    duplicates     events that were skipped because they had been received before
    messages       messages received, of which `bytes` are the sizes
    older          messages that were skipped because their publisher has begun a newer epoch
    unreadable     messages that were skipped because they could not be decoded
    unknown_kinds  events that count as delivered and are not yielded, because this version doesn't know their kind
    """

    published: dict[str, int]
    delivered: dict[str, int]
    lost: dict[str, int]
    gaps: int
    duplicates: int
    messages: int
    bytes: int
    older: int
    unreadable: int
    unknown_kinds: int


class Receiver:
    """Takes bus messages and returns batches of the wanted events. `heard` are the publishers whose messages were
    received, until it is cleared."""

    def __init__(self, topics: Iterable[str]) -> None:
        """Want these topics, as feedbus.schema.topics describes them. Raises BadAddress for a malformed one."""
        self._filter = TopicFilter(topics)
        self._sequences = Sequences(self._filter.matches)
        self._delivered: Counter[str] = Counter()
        self._heads: deque[list[tuple[str, int]]] = deque(maxlen=HEARTBEATS_KEPT)
        self.heard: set[str] = set()
        self.messages = 0
        self.bytes = 0
        self.unreadable = 0
        self.unknown_kinds = 0

    @property
    def wire_prefixes(self) -> list[bytes]:
        """The prefixes that the socket has to subscribe to. Heartbeats are among them, because they reveal gaps."""
        return [*self._filter.wire_prefixes, f"{HEARTBEAT}.".encode()]

    def receive(self, data: bytes) -> Batch | None:
        """Return the wanted events and gaps of one message, None when there are none.

        A message that can't be decoded is counted. Nothing is raised for it.
        """
        self.messages += 1
        self.bytes += len(data)
        try:
            if data.startswith(b"heartbeat."):
                return self._beats(codec.decode_heartbeats(data))
            return self._events(data)
        except BusError:
            self.unreadable += 1
            return None

    def take(self, header: codec.MessageHeader, groups: Sequence[codec.Group], size: int) -> Batch | None:
        """Do as `receive` does for a message that was never encoded: its publisher is in this process. Its events are
        shared with all other readers. `size` is what it has in bytes."""
        self.messages += 1
        self.bytes += size
        try:
            if header.word == HEARTBEAT:
                return self._beats([cast(Heartbeat, beat) for _, _, beats in groups for beat in beats])
            everything, exact, prefixes = self._filter.rule(header.word, header.venue)
            if not everything:
                groups = [
                    group for group in groups if group[0] in exact or (prefixes and group[0].startswith(prefixes))
                ]
            return self._deliver(header, cast("Sequence[tuple[str, int, Sequence[MarketData]]]", groups))
        except BusError:
            self.unreadable += 1
            return None

    def silent(self, publisher: str) -> Batch:
        """Return the Gap that says that this publisher, which was heard, says nothing any more."""
        gap = self._sequences.silent(publisher)
        return Header(HEARTBEAT, publisher, publisher, gap.epoch, 0, [(None, 1)]), [gap]

    def wants(self, word: str, venue: str) -> bool:
        """Return True when a message of this word and venue may hold something wanted. The receiving socket
        decides alike by `wire_prefixes`."""
        return word == HEARTBEAT or any(self._filter.rule(word, venue))

    @property
    def topics(self) -> list[str]:
        """The topics that are wanted."""
        return [topic.text for topic in self._filter.topics]

    def spoken(self) -> set[str]:
        """Return the topics, wanted or not, on which there were events before the first wanted one, as far as the last
        few heartbeats before it say.
        """
        return {topic for heads in self._heads for topic, _ in heads}

    def stats(self) -> Stats:
        """Return the balance sheet up to now."""
        return Stats(
            published=self._sequences.published(),
            delivered={word: count for word, count in self._delivered.items() if count},
            lost=dict(self._sequences.lost),
            gaps=self._sequences.gaps,
            duplicates=self._sequences.duplicates,
            older=self._sequences.older,
            messages=self.messages,
            bytes=self.bytes,
            unreadable=self.unreadable,
            unknown_kinds=self.unknown_kinds,
        )

    def publishers(self) -> dict[str, tuple[int, int]]:
        """Return, by name, each publisher's present epoch and the number of its newest heartbeat (0 before any)."""
        return self._sequences.publishers()

    def _beats(self, beats: Sequence[Heartbeat]) -> Batch | None:
        gaps: list[MarketData | Gap] = []
        for beat in beats:
            gaps += self._sequences.heartbeat(beat)
            self.heard.add(beat.publisher)
            if not any(self._delivered.values()):
                self._heads.append(beat.heads)
        if not gaps:
            return None
        last = beats[-1]
        return Header(HEARTBEAT, last.publisher, last.publisher, last.epoch, 0, [(None, len(gaps))]), gaps

    def _events(self, data: bytes) -> Batch | None:
        word, _, venue = data[: data.find(b"\0", 0, MAX_TOPIC)].decode(errors="replace").partition(".")
        everything, exact, prefixes = self._filter.rule(word, venue)
        if everything:
            try:
                header, groups = codec.decode(data)
            except BusError:
                pass  # perhaps it holds an event of an unknown kind: decode the events one by one, below
            else:
                return self._deliver(header, groups)
        # Only the groups of wanted symbols are decoded, since decoding is what costs.
        header, raw = codec.decode_raw(data)
        wanted = [
            (symbol, first, codec.decode_events(events))
            for symbol, first, events in raw
            if everything or symbol in exact or (prefixes and symbol.startswith(prefixes))
        ]
        return self._deliver(header, wanted)

    def _deliver(
        self, header: codec.MessageHeader, groups: Sequence[tuple[str, int, Sequence[MarketData | None]]]
    ) -> Batch | None:
        out: list[MarketData | Gap | None] = []
        runs: list[tuple[int | None, int]] = []
        word_venue = f"{header.word}.{header.venue}"
        next_of, gap = self._sequences.streams(header.publisher, header.epoch, word_venue)
        self.heard.add(header.publisher)
        if next_of is None:
            return None  # the message is of an older epoch
        if gap is not None:
            out.append(gap)
            runs.append((None, 1))
        gaps = len(out)
        for symbol, first, events in groups:
            count = len(events)
            if next_of.get(symbol) == first:  # nearly always: nothing was lost or repeated
                next_of[symbol] = first + count
                runs.append((first, count))
                out += events
                continue
            repeats, gap = self._sequences.arrived(header.publisher, header.epoch, word_venue, symbol, first, count)
            if gap is not None:
                out.append(gap)
                runs.append((None, 1))
                gaps += 1
            out += events[repeats:]
            runs.append((first + repeats, count - repeats))
        self._delivered[header.word] += len(out) - gaps
        if None in out:
            return self._without_unknown(header, out, runs)
        return self._batch(header, out, runs)

    def _without_unknown(
        self, header: codec.MessageHeader, out: list[MarketData | Gap | None], runs: list[tuple[int | None, int]]
    ) -> Batch | None:
        """Leave out the events of unknown kinds. Their numbers are missing then, so each event gets its own run."""
        numbers = _expand(runs)
        known = [(number, event) for number, event in zip(numbers, out, strict=True) if event is not None]
        self.unknown_kinds += len(out) - len(known)
        return self._batch(header, [event for _, event in known], [(number, 1) for number, _ in known])

    def _batch(
        self, header: codec.MessageHeader, out: list[MarketData | Gap | None], runs: list[tuple[int | None, int]]
    ) -> Batch | None:
        if not out:
            return None
        about = Header(header.word, header.venue, header.publisher, header.epoch, header.published, runs)
        return about, cast("list[MarketData | Gap]", out)
