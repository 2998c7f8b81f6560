"""Subscribing to the bus: `feedbus.subscribe` for trio programs, `feedbus.subscribe_sync` for plain ones.

Both wait for the socket to become readable and then drain it. What isn't wanted is skipped undecoded; every hole
in the numbers becomes a Gap, in its place among the events.
"""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self, cast

import msgspec
import trio

from feedbus.bus.nng import STALLED_BYTES, SubSocket
from feedbus.errors import BusError
from feedbus.schema import codec
from feedbus.schema.events import Gap, MarketData
from feedbus.schema.sequence import Sequences
from feedbus.schema.topics import HEARTBEAT, MAX_TOPIC, TopicFilter

WAIT_MS = 1000  # the longest that a plain program waits before its signals have their turn
DRAIN = 64  # messages taken from the socket before others get their turn


class Header(msgspec.Struct, frozen=True, gc=False):
    """What is known of the events of one bus message. `published` is nanoseconds since the epoch.

    `runs` numbers the events that were delivered with this header: (first sequence, count), in order; a Gap is a
    run without a number.
    """

    word: str
    venue: str
    publisher: str
    epoch: int
    published: int
    runs: list[tuple[int | None, int]]

    def sequences(self) -> list[int | None]:
        """The sequence number of each event; None for a Gap."""
        return _expand(self.runs)


def _expand(runs: Sequence[tuple[int | None, int]]) -> list[int | None]:
    return [None if first is None else first + offset for first, count in runs for offset in range(count)]


Batch = tuple[Header, list[MarketData | Gap]]


class Stats(msgspec.Struct):
    """A subscriber's balance sheet, by topic word: published = delivered + lost.

    It covers what was published between the first message that came of each topic and the last message or
    heartbeat; `published` is read off the sequence numbers, the others are counted. A gap whose begin isn't known
    counts as one. The counters below count what happened on the way: `older` are messages of a publisher's older
    epoch that were passed over, `unknown_kinds` events that were delivered here and not yielded.
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
    """Bus messages in, batches of wanted events out. Knows no socket."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._filter = TopicFilter(topics)
        self._sequences = Sequences(self._filter.matches)
        self._delivered: Counter[str] = Counter()
        self.messages = 0
        self.bytes = 0
        self.unreadable = 0
        self.unknown_kinds = 0

    @property
    def wire_prefixes(self) -> list[bytes]:
        """What the socket has to subscribe to: heartbeats always."""
        return [*self._filter.wire_prefixes, f"{HEARTBEAT}.".encode()]

    def receive(self, data: bytes) -> Batch | None:
        """The wanted events and gaps of one message; None when there are none. An unreadable one is counted."""
        self.messages += 1
        self.bytes += len(data)
        try:
            if data.startswith(b"heartbeat."):
                return self._heartbeat(data)
            return self._events(data)
        except BusError:
            self.unreadable += 1
            return None

    def stats(self) -> Stats:
        """The balance sheet up to now."""
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
        """By name, each publisher's present epoch, and the number of its newest heartbeat: 0 when none came yet."""
        return self._sequences.publishers()

    def _heartbeat(self, data: bytes) -> Batch | None:
        gaps: list[MarketData | Gap] = []
        beats = codec.decode_heartbeats(data)
        for beat in beats:
            gaps += self._sequences.heartbeat(beat)
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
                pass  # perhaps only an event of a kind that isn't known here: look at each
            else:
                return self._deliver(header, groups)
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
        if next_of is None:
            return None
        if gap is not None:
            out.append(gap)
            runs.append((None, 1))
        gaps = len(out)
        for symbol, first, events in groups:
            count = len(events)
            if next_of.get(symbol) == first:
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
        """Leave out the events of unknown kinds; they keep their numbers, so every other one gets a run of its own."""
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


class EventReader(ABC):
    """What a subscription offers to a trio program, however its messages come. One task may iterate."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._events: deque[MarketData | Gap] = deque()

    @abstractmethod
    async def next_batch(self) -> Batch:
        """The next batch. Raises trio.ClosedResourceError when there will be none."""

    def stats(self) -> Stats:
        """The balance sheet up to now."""
        return self._receiver.stats()

    def publishers(self) -> dict[str, tuple[int, int]]:
        """By name, each publisher's present epoch, and the number of its newest heartbeat: 0 when none came yet. They
        are heard, whatever was subscribed."""
        return self._receiver.publishers()

    def messages(self) -> AsyncIterator[Batch]:
        """(header, events) for each bus message that held something wanted."""
        return _Messages(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MarketData | Gap:
        while not self._events:
            self._events.extend((await self.next_batch())[1])
        return self._events.popleft()


class _Messages:
    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        return await self._reader.next_batch()


class BusSubscription(EventReader):
    """An open subscription of a trio program. Iterating yields `MarketData | Gap`; one task may iterate."""

    def __init__(self, socket: SubSocket, receiver: Receiver) -> None:
        super().__init__(receiver)
        self._socket = socket
        self._batches: deque[Batch] = deque()

    async def next_batch(self) -> Batch:
        """The next batch; others get their turn whenever the socket is looked at, not once a message."""
        while not self._batches:
            if self._socket.closed:
                raise trio.ClosedResourceError("the subscription is closed")
            await trio.lowlevel.wait_readable(self._socket.fd)
            _receive_all(self._socket, self._receiver, self._batches)
        return self._batches.popleft()


class SyncSubscription:
    """An open subscription of a plain program. Iterating yields `MarketData | Gap` and waits for each."""

    def __init__(self, socket: SubSocket, receiver: Receiver) -> None:
        self._socket = socket
        self._receiver = receiver
        self._batches: deque[Batch] = deque()
        self._poll = select.poll()
        self._poll.register(socket.fd, select.POLLIN)

    def stats(self) -> Stats:
        """The balance sheet up to now."""
        return self._receiver.stats()

    def messages(self) -> Iterator[Batch]:
        """(header, events) for each bus message that held something wanted."""
        while True:
            while not self._batches:
                if self._socket.closed:
                    raise BusError("the subscription is closed")
                # A signal that comes just before the call doesn't interrupt it: it has its turn when the wait is over.
                self._poll.poll(WAIT_MS)
                _receive_all(self._socket, self._receiver, self._batches)
            yield self._batches.popleft()

    def __iter__(self) -> Iterator[MarketData | Gap]:
        for _, events in self.messages():
            yield from events


def _receive_all(socket: SubSocket, receiver: Receiver, batches: deque[Batch]) -> None:
    for data in socket.drain(DRAIN):
        batch = receiver.receive(data)
        if batch is not None:
            batches.append(batch)


def _open(
    addresses: str | Iterable[str], topics: str | Iterable[str], stalled_bytes: int
) -> tuple[SubSocket, Receiver]:
    receiver = Receiver([topics] if isinstance(topics, str) else list(topics) or [""])
    listed = [addresses] if isinstance(addresses, str) else list(addresses)
    return SubSocket(listed, receiver.wire_prefixes, stalled_bytes), receiver


@asynccontextmanager
async def subscribe(
    addresses: str | Iterable[str], *, topics: str | Iterable[str] = "", stalled_bytes: int = STALLED_BYTES
) -> AsyncIterator[BusSubscription]:
    """Subscribe to the publishers at `addresses`; no topics means all.

    Entering neither fails nor waits when a publisher is missing: it is dialled again at least every 100 ms, now and
    whenever it goes away. `stalled_bytes` bounds what may wait here, unread. Raises BadAddress for something that isn't
    an address or a topic. A task that still iterates when another one leaves gets trio.ClosedResourceError.
    """
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        await trio.lowlevel.checkpoint()
        yield BusSubscription(socket, receiver)
    finally:
        trio.lowlevel.notify_closing(socket.fd)
        socket.close()


@contextmanager
def subscribe_sync(
    addresses: str | Iterable[str], *, topics: str | Iterable[str] = "", stalled_bytes: int = STALLED_BYTES
) -> Iterator[SyncSubscription]:
    """`subscribe` for programs without trio."""
    socket, receiver = _open(addresses, topics, stalled_bytes)
    try:
        yield SyncSubscription(socket, receiver)
    finally:
        socket.close()
