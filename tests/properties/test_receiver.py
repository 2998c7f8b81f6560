"""The subscriber's half of the bus on a network that keeps nothing: its balance, its gaps, and what it can't read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from feedbus.bus.publisher import Publisher
from feedbus.bus.receiver import Receiver
from feedbus.schema import codec
from feedbus.schema.events import Gap, MarketData, Ticker, Trade
from feedbus.schema.topics import TopicFilter, topic_of
from feedbus.testing.strategies import conversations, examples, unreliable

TOPICS = st.sampled_from([[""], ["trade"], ["trade.moex."], ["trade.moex.A"], ["ticker.moex.A", "trade.moex.B"]])


Handed = tuple[codec.MessageHeader, Sequence[codec.Group], int]
"""A message as a reader in the publisher's process gets it."""


class Bus:
    """The messages of a publisher and of its successors, in the order in which they were sent, and the same messages as
    they were handed over to readers in the process of the publisher."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.handed: list[Handed] = []
        self._numbers: Counter[str] = Counter()
        self._now = 0.0
        self._epoch = 0
        self.restart()

    def send(self, message: bytes) -> None:
        self.messages.append(message)

    def hand_over(self, header: codec.MessageHeader, groups: Sequence[codec.Group], size: int) -> None:
        self.handed.append((header, groups, size))

    def restart(self) -> None:
        self._epoch += 1
        self._numbers.clear()
        self.publisher = Publisher(
            "moex", self, linger=1.0, local=self, clock=lambda: self._now, wall_ns=lambda: self._epoch
        )

    def publish(self, kinds: Sequence[str]) -> None:
        """Events that carry their own number: T and t are trades, K and k tickers, of the symbols A and B."""
        self.publisher.publish([self._event(kind) for kind in kinds])

    def pause(self) -> None:
        self._now += 2.0

    def _event(self, kind: str) -> MarketData:
        word, symbol = "trade" if kind in "Tt" else "ticker", "A" if kind.isupper() else "B"
        self._numbers[word + symbol] += 1
        number = self._numbers[word + symbol]
        if word == "trade":
            return Trade("moex", symbol, self._epoch, 1, 1.5, 1.0, None, number)
        return Ticker("moex", symbol, self._epoch, 1, trades=number)


@st.composite
def buses(draw: st.DrawFn) -> Bus:
    """What publishers sent in a while."""
    bus = Bus()
    for step in draw(
        st.lists(st.sampled_from(["TtKk", "TTT", "t", "k", "beat", "beat", "pause", "restart"]), max_size=20)
    ):
        match step:
            case "beat":
                bus.publisher.beat()
            case "pause":
                bus.pause()
            case "restart":
                bus.restart()
            case kinds:
                bus.publish(kinds)
    return bus


def histories() -> st.SearchStrategy[list[bytes]]:
    return buses().map(lambda bus: bus.messages)


def twins() -> st.SearchStrategy[list[tuple[bytes, Handed]]]:
    """Messages, and the same ones as they were handed over."""
    return buses().map(lambda bus: list(zip(bus.messages, bus.handed, strict=True)))


class Reader:
    """A Receiver, and what it must have counted by what came out of it."""

    def __init__(self, topics: list[str]) -> None:
        self.receiver = Receiver(topics)
        self.delivered: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.gaps = 0
        self._filter = TopicFilter(topics)
        self._next: dict[str, float] = {}  # by topic: the number that has to come now

    def receive(self, message: bytes) -> None:
        batch = self.receiver.receive(message)
        if batch is not None:
            header, events = batch
            for number, event in zip(header.sequences(), events, strict=True):
                if isinstance(event, Gap):
                    assert number is None
                    self._gap(event)
                else:
                    self._event(number, event, header.epoch)

    def _gap(self, gap: Gap) -> None:
        self.gaps += 1
        if gap.cause == "restart":
            self._next.clear()
        if gap.cause != "lost":
            return
        assert self._filter.matches(*gap.topic.split("."))
        assert gap.last is not None
        assert gap.first in (None, self._next.get(gap.topic, gap.first))
        self.lost[gap.topic.partition(".")[0]] += 1 if gap.first is None else gap.last - gap.first + 1
        self._next[gap.topic] = gap.last + 1

    def _event(self, number: int | None, event: MarketData, epoch: int) -> None:
        own = event.trade_id if isinstance(event, Trade) else event.trades if isinstance(event, Ticker) else None
        assert (number, epoch) == (own, event.ts_event)
        assert number is not None
        assert self._filter.matches(event.WORD, event.venue, event.symbol)
        topic = topic_of(event.WORD, event.venue, event.symbol)
        assert number == self._next.get(topic, number)
        self._next[topic] = number + 1
        self.delivered[event.WORD] += 1


def balanced(receiver: Receiver) -> None:
    stats = receiver.stats()
    total = Counter(stats.delivered) + Counter(stats.lost)
    assert stats.published == {word: count for word, count in total.items() if count}


@examples(120)
@given(TOPICS, histories().flatmap(unreliable))
def test_published_is_delivered_and_lost_whatever_is_lost_repeated_or_late(
    topics: list[str], messages: list[bytes]
) -> None:
    reader = Reader(topics)
    for message in messages:
        reader.receive(message)
        balanced(reader.receiver)
    stats = reader.receiver.stats()
    assert (stats.delivered, stats.lost, stats.gaps) == (dict(reader.delivered), dict(reader.lost), reader.gaps)
    assert (stats.messages, stats.bytes) == (len(messages), sum(map(len, messages)))
    assert (stats.unreadable, stats.unknown_kinds) == (0, 0)


@examples(60)
@given(TOPICS, histories())
def test_where_nothing_is_lost_everything_is_delivered_once(topics: list[str], messages: list[bytes]) -> None:
    reader = Reader(topics)
    for message in messages:
        reader.receive(message)
    stats = reader.receiver.stats()
    assert (stats.published, stats.lost, stats.duplicates) == (stats.delivered, {}, 0)


@examples(60)
@given(TOPICS, histories(), st.data())
def test_messages_twice_and_late_lose_nothing_that_is_not_a_gap_and_deliver_nothing_twice(
    topics: list[str], messages: list[bytes], data: st.DataObject
) -> None:
    twice = Reader(topics)
    for message in messages:
        twice.receive(message)
        twice.receive(data.draw(st.sampled_from(messages)))
    balanced(twice.receiver)


@examples(120)
@given(TOPICS, twins().flatmap(unreliable))
def test_a_reader_in_the_publishers_process_gets_and_counts_what_one_elsewhere_does(
    topics: list[str], messages: list[tuple[bytes, Handed]]
) -> None:
    elsewhere, here = Receiver(topics), Receiver(topics)
    prefixes = tuple(here.wire_prefixes)
    for message, handed in messages:
        header, _, _ = handed
        assert here.wants(header.word, header.venue) == message.startswith(prefixes)
        assert here.take(*handed) == elsewhere.receive(message)
        assert here.stats() == elsewhere.stats()
        assert (here.publishers(), here.spoken()) == (elsewhere.publishers(), elsewhere.spoken())


SAMPLE = Bus()
for kinds in ("Tt", "KKk", "TTTT", "tk"):
    SAMPLE.publish(kinds)
    SAMPLE.publisher.beat()


@examples(120)
@given(TOPICS, conversations(SAMPLE.messages), histories())
def test_whatever_comes_is_read_or_counted_as_unreadable_and_the_next_is_read(
    topics: list[str], messages: list[bytes], later: list[bytes]
) -> None:
    receiver = Receiver(topics)
    for at, message in enumerate(messages, 1):
        before = receiver.unreadable
        batch = receiver.receive(message)
        assert receiver.messages == at
        assert receiver.unreadable in (before, before + 1)
        assert batch is None or receiver.unreadable == before
        if batch is not None:
            header, events = batch
            assert len(header.sequences()) == len(events)
            assert events
    unreadable = receiver.unreadable
    for message in later:
        receiver.receive(message)
    assert receiver.unreadable == unreadable
    assert all(type(count) is int for count in receiver.stats().delivered.values())
    assert inf not in receiver.stats().published.values()
