"""The publisher with a list for a sink and clocks of our own: what goes when, in which order, under which numbers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from feedbus.bus.nng import MESSAGE_SIZE, RECV_MAX_SIZE
from feedbus.bus.publisher import LINGER, Publisher
from feedbus.errors import BusError
from feedbus.schema import codec
from feedbus.schema.events import Alert, BookDelta, BookSnapshot, Event, Heartbeat, MarketData, Status, Trade
from feedbus.transport.rounds import Rounds
from feedbus.transport.tcp import TcpStream

EPOCH = 1_700_000_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Sent:
    """A sink that keeps what it is sent, and when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.messages: list[bytes] = []
        self.times: list[float] = []

    def send(self, message: bytes) -> None:
        self.messages.append(message)
        self.times.append(self.clock())

    def groups(self) -> list[list[tuple[str, int, list[MarketData]]]]:
        return [codec.decode(message)[1] for message in self.data()]

    def data(self) -> list[bytes]:
        return [message for message in self.messages if not message.startswith(b"heartbeat.")]

    def beats(self) -> list[Heartbeat]:
        found = [codec.decode_heartbeats(message) for message in self.messages if message.startswith(b"heartbeat.")]
        return [beat for beats in found for beat in beats]

    def streams(self) -> dict[str, list[tuple[int, MarketData]]]:
        """(sequence, event) by topic, in the order in which they went."""
        streams: dict[str, list[tuple[int, MarketData]]] = defaultdict(list)
        for message in self.data():
            header, groups = codec.decode(message)
            for symbol, first, events in groups:
                streams[f"{header.word}.{header.venue}.{symbol}"] += list(enumerate(events, first))
        return streams


class Bench:
    """A publisher without trio: a clock to set and a list of what went."""

    def __init__(self, linger: float = LINGER) -> None:
        self.clock = Clock()
        self.sent = Sent(self.clock)
        self.publisher = Publisher("moex", self.sent, linger=linger, clock=self.clock, wall_ns=lambda: EPOCH)


def trade(number: int, symbol: str = "TQBR.SBER", venue: str = "moex") -> Trade:
    return Trade(venue, symbol, number, number, 1.5, 2.0, "buy", number)


def alert(size: int, symbol: str = "TQBR.SBER") -> Alert:
    return Alert("moex", symbol, 0, 0, "rule", "high", "firing", None, "x" * size)


def topic_of(event: MarketData) -> str:
    return f"{event.WORD}.{event.venue}.{event.symbol}"


def test_first_message_goes_at_once() -> None:
    bench = Bench()
    bench.publisher.publish([trade(1), trade(2), trade(1, "TQBR.GAZP")])
    assert bench.sent.groups() == [[("TQBR.SBER", 1, [trade(1), trade(2)]), ("TQBR.GAZP", 1, [trade(1, "TQBR.GAZP")])]]


def test_message_says_where_it_came_from() -> None:
    bench = Bench()
    bench.publisher.publish([trade(1)])
    header, _ = codec.decode(bench.sent.messages[0])
    assert header == codec.MessageHeader("trade", "moex", "moex", EPOCH, EPOCH)


def test_what_follows_within_linger_waits_and_goes_as_one_message() -> None:
    bench = Bench()
    for number in range(1, 5):
        bench.publisher.publish([trade(number)])
    assert len(bench.sent.messages) == 1
    bench.publisher.flush()
    assert bench.sent.groups()[1:] == [[("TQBR.SBER", 2, [trade(2), trade(3), trade(4)])]]


def test_after_linger_the_next_message_goes_at_once_with_what_waited() -> None:
    bench = Bench()
    bench.publisher.publish([trade(1)])
    bench.publisher.publish([trade(2)])
    bench.clock.now += LINGER
    bench.publisher.publish([trade(3)])
    assert bench.sent.groups() == [[("TQBR.SBER", 1, [trade(1)])], [("TQBR.SBER", 2, [trade(2), trade(3)])]]


def test_words_and_venues_linger_independently() -> None:
    bench = Bench()
    for event in (trade(1), trade(1, venue="alor"), alert(1)):
        bench.publisher.publish([event])
    assert len(bench.sent.messages) == 3


def test_linger_of_zero_sends_every_publish_at_once() -> None:
    bench = Bench(linger=0)
    for number in range(1, 4):
        bench.publisher.publish([trade(number)])
    assert [groups[0][1] for groups in bench.sent.groups()] == [1, 2, 3]


def test_full_message_goes_before_linger_is_over_and_the_rest_waits() -> None:
    bench = Bench()
    bench.publisher.publish([trade(0)])
    for number in range(1, 5001):
        bench.publisher.publish([trade(number)])
    early = [len(message) for message in bench.sent.messages[1:]]
    assert len(early) > 2, "full messages must not wait for the clock"
    assert min(early[-2:]) > MESSAGE_SIZE * 0.8, "once event sizes are known, messages are filled"
    assert max(early) <= MESSAGE_SIZE
    waiting = 5001 - len(bench.sent.streams()["trade.moex.TQBR.SBER"])
    assert waiting > 0
    bench.clock.now += LINGER / 2
    bench.publisher.publish([trade(5001)])
    assert 5002 - len(bench.sent.streams()["trade.moex.TQBR.SBER"]) == waiting + 1, "a full message starts linger anew"


def test_book_and_its_deltas_share_one_order() -> None:
    bench = Bench()
    book = BookSnapshot("moex", "A", 1, 1, [(1.0, 2.0)], [], 1)
    deltas = [BookDelta("moex", "A", 1, 1, [(1.0, float(size))], [], 1, 1) for size in range(3)]
    bench.publisher.publish([book, *deltas])
    bench.publisher.publish([book])
    bench.publisher.flush()
    assert bench.sent.streams() == {"book.moex.A": list(enumerate([book, *deltas, book], 1))}


def test_one_large_event_goes_alone_and_its_neighbours_keep_their_places() -> None:
    bench = Bench()
    events = [alert(100), alert(5 * MESSAGE_SIZE), alert(101), alert(102)]
    bench.publisher.publish(events)
    bench.publisher.flush()
    assert bench.sent.streams()["alert.moex.TQBR.SBER"] == list(enumerate(events, 1))
    large = [groups for groups in bench.sent.groups() if events[1] in groups[0][2]]
    assert large == [[("TQBR.SBER", 2, [events[1]])]]


def test_small_events_are_gathered_again_soon_after_a_large_one() -> None:
    bench = Bench()
    bench.publisher.publish([alert(RECV_MAX_SIZE - 200)])
    for _ in range(100):
        bench.publisher.publish([alert(10)])
    assert len(bench.sent.messages) <= 10


def test_event_of_the_largest_size_is_sent_and_one_byte_more_leaves_a_counted_hole() -> None:
    bench = Bench(linger=0)
    bench.publisher.publish([alert(RECV_MAX_SIZE // 2)])
    overhead = len(bench.sent.messages[0]) - RECV_MAX_SIZE // 2
    largest = alert(RECV_MAX_SIZE - overhead)
    bench.publisher.publish([largest])
    assert len(bench.sent.messages[1]) == RECV_MAX_SIZE
    assert bench.publisher.too_large == 0
    bench.publisher.publish([alert(1), alert(RECV_MAX_SIZE - overhead + 1), alert(2)])
    assert bench.publisher.too_large == 1
    numbers = [number for number, _ in bench.sent.streams()["alert.moex.TQBR.SBER"]]
    assert numbers == [1, 2, 3, 5]
    bench.publisher.beat()
    assert bench.sent.beats()[0].heads == [("alert.moex.TQBR.SBER", 5)]


def test_hole_of_a_too_large_last_event_is_known_by_the_heads() -> None:
    bench = Bench()
    bench.publisher.publish([alert(2 * RECV_MAX_SIZE)])
    bench.publisher.beat()
    assert bench.sent.data() == []
    assert bench.sent.beats()[0].heads == [("alert.moex.TQBR.SBER", 1)]


def test_beat_follows_what_it_counts_and_names_exactly_the_changed_heads() -> None:
    bench = Bench()
    bench.publisher.publish([trade(1), trade(2), trade(1, "B")])
    bench.publisher.publish([trade(3)])
    bench.publisher.beat()
    bench.publisher.publish([trade(2, "B")])
    bench.publisher.beat()
    bench.publisher.beat()
    kinds = [message.startswith(b"heartbeat.moex\0") for message in bench.sent.messages]
    assert kinds == [False, False, True, False, True, True]
    beats = bench.sent.beats()
    assert [(beat.publisher, beat.epoch, beat.beat, beat.part, beat.parts) for beat in beats] == [
        ("moex", EPOCH, number, 1, 1) for number in (1, 2, 3)
    ]
    assert [sorted(beat.heads) for beat in beats] == [
        [("trade.moex.B", 1), ("trade.moex.TQBR.SBER", 3)],
        [("trade.moex.B", 2)],
        [],
    ]


@pytest.mark.parametrize("letter", ["T", "Ж"])  # the second one takes two bytes
def test_many_heads_are_split_into_parts_that_fit_a_message(letter: str) -> None:
    bench = Bench()
    symbols = [f"{letter * 40}{number:03d}" for number in range(1000)]
    bench.publisher.publish([trade(1, symbol) for symbol in symbols])
    bench.publisher.beat()
    beats = bench.sent.beats()
    assert len(beats) > 2
    assert [(beat.beat, beat.part, beat.parts) for beat in beats] == [
        (1, part, len(beats)) for part in range(1, len(beats) + 1)
    ]
    heads = sorted(head for beat in beats for head in beat.heads)
    assert heads == [(f"trade.moex.{symbol}", 1) for symbol in symbols]
    assert max(map(len, bench.sent.messages)) <= MESSAGE_SIZE


def test_events_are_counted_by_kind() -> None:
    bench = Bench()
    bench.publisher.publish([trade(1), trade(2), alert(1), BookDelta("moex", "A", 1, 1, [], [], 1, 1)])
    bench.publisher.beat()
    assert bench.publisher.counts() == {"trade": 2, "delta": 1, "alert": 1, "heartbeat": 1}
    assert bench.publisher.messages == len(bench.sent.messages)
    assert bench.publisher.bytes == sum(map(len, bench.sent.messages))


def test_publishers_of_one_sink_number_their_streams_apart() -> None:
    bench = Bench(linger=0)
    other = Publisher("aggregator", bench.sent, linger=0, clock=bench.clock, wall_ns=lambda: EPOCH)
    for publisher in (bench.publisher, other, bench.publisher):
        publisher.publish([trade(1)])
    headers = [codec.decode(message)[0].publisher for message in bench.sent.messages]
    assert headers == ["moex", "aggregator", "moex"]
    assert [groups[0][1] for groups in bench.sent.groups()] == [1, 1, 2]


def test_who_begins_again_says_what_is_pending_and_numbers_anew_in_a_later_epoch() -> None:
    bench = Bench()
    publisher = bench.publisher
    publisher.publish([trade(1)])
    publisher.publish([trade(2)])
    publisher.beat()
    first = publisher.epoch
    publisher.publish([trade(3)])
    publisher.begin_epoch()
    publisher.publish([trade(4)])
    publisher.beat()
    assert publisher.epoch > first
    told = [
        (header.epoch, number, event.ts_event)
        for header, groups in map(codec.decode, bench.sent.data())
        for _, begin, events in groups
        for number, event in enumerate(events, begin)
        if isinstance(event, Trade)
    ]
    assert told == [(first, 1, 1), (first, 2, 2), (first, 3, 3), (publisher.epoch, 1, 4)]
    beats = [(beat.epoch, beat.beat, beat.heads) for beat in bench.sent.beats()]
    assert beats[-1] == (publisher.epoch, 1, [("trade.moex.TQBR.SBER", 1)])


def test_a_closed_sink_is_an_error_of_the_bus() -> None:
    class Closed:
        def send(self, message: bytes) -> None:
            raise BusError("closed")

    publisher = Publisher("moex", Closed(), clock=Clock())
    with pytest.raises(BusError, match="closed"):
        publisher.publish([trade(1)])


SOME_EVENTS = st.lists(
    st.builds(trade, st.integers(0, 9), st.sampled_from("AB"), st.sampled_from(["moex", "alor"]))
    | st.builds(alert, st.sampled_from([1, 300, 3000, 9000, 20_000]), st.sampled_from("AB")),
    max_size=30,
)
STEPS = st.lists(st.tuples(st.sampled_from(["publish", "publish", "flush", "beat"]), SOME_EVENTS, st.floats(0, 0.002)))


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, linger=st.sampled_from([0, LINGER, 1.0]))
def test_numbers_have_no_holes_and_order_is_kept_over_every_path(
    steps: list[tuple[str, Sequence[MarketData], float]], linger: float
) -> None:
    bench = Bench(linger)
    published: dict[str, list[MarketData]] = defaultdict(list)
    for step, events, seconds in steps:
        bench.clock.now += seconds
        if step == "publish":
            bench.publisher.publish(events)
            for event in events:
                published[topic_of(event)].append(event)
        elif step == "flush":
            bench.publisher.flush()
        else:
            bench.publisher.beat()
    bench.publisher.beat()
    assert bench.sent.streams() == {topic: list(enumerate(events, 1)) for topic, events in published.items()}
    heads = dict(head for beat in bench.sent.beats() for head in beat.heads)
    assert heads == {topic: len(events) for topic, events in published.items()}
    for message, groups in zip(bench.sent.data(), bench.sent.groups(), strict=True):
        assert len(message) <= MESSAGE_SIZE or sum(len(events) for _, _, events in groups) == 1
    counted = {kind: count for kind, count in bench.publisher.counts().items() if kind != "heartbeat"}
    assert sum(counted.values()) == sum(map(len, published.values()))


# Under trio's virtual clock


async def test_heartbeats_go_each_second(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    sent = Sent(trio.current_time)
    publisher = Publisher("moex", sent)
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        await trio.sleep(1.5)
        publisher.publish([trade(1)])
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    beats = sent.beats()
    assert [beat.beat for beat in beats] == [1, 2, 3, 4]
    assert [beat.heads for beat in beats] == [[], [], [("trade.moex.TQBR.SBER", 1)], []]
    times = [at - start for at, message in zip(sent.times, sent.messages, strict=True) if message not in sent.data()]
    assert times == pytest.approx([0, 1, 2, 3])


async def test_beats_missed_while_the_loop_was_held_up_are_not_made_up_for(autojump_clock: MockClock) -> None:
    sent = Sent(trio.current_time)
    publisher = Publisher("moex", sent)
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        await trio.testing.wait_all_tasks_blocked()
        autojump_clock.jump(5)
        await trio.testing.wait_all_tasks_blocked()
        assert len(sent.beats()) == 2
        nursery.cancel_scope.cancel()


async def test_finish_sends_what_is_pending_and_a_last_beat(autojump_clock: MockClock) -> None:
    sent = Sent(trio.current_time)
    publisher = Publisher("moex", sent)
    publisher.publish([trade(1)])
    publisher.publish([trade(2)])
    await publisher.finish()
    assert [number for number, _ in sent.streams()["trade.moex.TQBR.SBER"]] == [1, 2]
    assert sent.beats()[-1].heads == [("trade.moex.TQBR.SBER", 2)]
    assert not sent.messages[-1].startswith(b"trade.")


async def test_a_lone_follower_goes_when_linger_is_over(autojump_clock: MockClock) -> None:
    sent = Sent(trio.current_time)
    publisher = Publisher("moex", sent)
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        await trio.sleep(0.1)
        for number in (1, 2):
            publisher.publish([trade(number)])
        start = trio.current_time()
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    times = [at for at, message in zip(sent.times, sent.messages, strict=True) if message in sent.data()]
    assert times == pytest.approx([start, start + LINGER])


@settings(max_examples=40, deadline=None)
@given(
    schedule=st.lists(
        st.tuples(st.floats(0, 3 * LINGER), st.sampled_from(["trade", "alert"]), st.integers(1, 3)), max_size=40
    ),
    linger=st.sampled_from([0, LINGER, 5 * LINGER]),
)
def test_no_event_waits_longer_than_linger(schedule: list[tuple[float, str, int]], linger: float) -> None:
    async def main() -> None:
        sent = Sent(trio.current_time)
        publisher = Publisher("moex", sent, linger=linger)
        published: dict[tuple[str, int], float] = {}
        counts: dict[str, int] = defaultdict(int)
        async with trio.open_nursery() as nursery:
            await nursery.start(publisher.run)
            for pause, word, count in schedule:
                await trio.sleep(pause)
                events: list[Trade | Alert] = [trade(1) if word == "trade" else alert(10)] * count
                publisher.publish(events)
                for _ in events:
                    counts[word] += 1
                    published[word, counts[word]] = trio.current_time()
            await trio.sleep(3 * linger)
            nursery.cancel_scope.cancel()
        assert waits(sent, published) <= linger + 1e-9

    trio.run(main, clock=MockClock(autojump_threshold=0))


def waits(sent: Sent, published: dict[tuple[str, int], float]) -> float:
    """The longest time between publishing and sending; infinite when something was never sent."""
    longest = 0.0
    for at, message in zip(sent.times, sent.messages, strict=True):
        if message.startswith(b"heartbeat."):
            continue
        header, groups = codec.decode(message)
        for _, first, events in groups:
            for number in range(first, first + len(events)):
                longest = max(longest, at - published.pop((header.word, number)))
    return longest if not published else float("inf")


def test_all_kinds_that_are_yielded_can_be_published() -> None:
    kinds: tuple[type[Event], ...] = MarketData.__args__
    publisher = Bench().publisher
    assert {kind for kind in kinds if kind.WORD and kind in publisher._kinds} == set(kinds)


async def test_a_publisher_is_overdue_when_its_heartbeat_is_and_only_while_it_runs(autojump_clock: MockClock) -> None:
    publisher = Publisher("moex", Sent(trio.current_time))
    assert publisher.overdue(1e9) is None
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        await trio.sleep(9.5)
        assert publisher.overdue(trio.current_time()) is None
        assert publisher.overdue(trio.current_time() + 7) == "moex: no heartbeat is published"
        publisher.publish([trade(1), trade(2)])
        publisher.publish([trade(3)])  # it waits for the timer
        assert publisher.overdue(trio.current_time() + 5.25) == "moex: events that wait aren't sent"
        await trio.sleep(0.1)
        assert publisher.overdue(trio.current_time() + 5.25) is None
        nursery.cancel_scope.cancel()
    assert publisher.overdue(1e9) is None


class FakeRounds:
    """Rounds that the test opens and ends."""

    def __init__(self) -> None:
        self.readers = 0
        self.to_wake: set[trio.Event] = set()

    def is_open(self) -> bool:
        return self.readers > 0

    def more_to_come(self) -> bool:
        return self.readers > 1

    def wake_at_end(self, event: trio.Event) -> None:
        self.to_wake.add(event)

    def cancel_wake(self, event: trio.Event) -> None:
        self.to_wake.discard(event)

    def end(self) -> None:
        self.readers = 0
        for event in self.to_wake:
            event.set()
        self.to_wake.clear()


class InRounds:
    """A publisher that runs, told of rounds."""

    def __init__(self) -> None:
        self.rounds = FakeRounds()
        self.sent = Sent(trio.current_time)
        self.publisher = Publisher("moex", self.sent, linger=0.2, rounds=self.rounds)


@asynccontextmanager
async def in_rounds() -> AsyncIterator[InRounds]:
    made = InRounds()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.publisher.run)
        await trio.sleep(0.1)
        yield made
        nursery.cancel_scope.cancel()


async def test_what_a_round_brings_goes_together_with_what_its_last_reader_brings(autojump_clock: MockClock) -> None:
    async with in_rounds() as play:
        for _ in range(2):  # the second round comes before linger is over
            play.sent.messages.clear()
            play.rounds.readers = 2
            play.publisher.publish([trade(1)])
            assert play.sent.data() == []
            play.rounds.readers = 1
            play.publisher.publish([trade(2, "TQBR.GAZP")])
            assert [[group[0] for group in groups] for groups in play.sent.groups()] == [["TQBR.SBER", "TQBR.GAZP"]]
            assert not play.rounds.to_wake, "nobody need be woken for what is sent already"
            play.rounds.end()


async def test_when_the_last_reader_brings_nothing_the_end_of_the_round_sends_what_waits(
    autojump_clock: MockClock,
) -> None:
    async with in_rounds() as play:
        for count in (1, 2):
            play.rounds.readers = 2
            play.publisher.publish([trade(count)])
            play.rounds.end()
            assert len(play.sent.data()) == count - 1, "it isn't sent from within a reader's read"
            start = trio.current_time()
            await trio.testing.wait_all_tasks_blocked()
            assert (len(play.sent.data()), trio.current_time()) == (count, start)


async def test_a_round_without_an_end_holds_nothing_back_for_longer_than_linger(autojump_clock: MockClock) -> None:
    async with in_rounds() as play:
        play.rounds.readers = 2
        for count in (1, 2):
            play.publisher.publish([trade(count)])
            await trio.sleep(0.19)
            assert len(play.sent.data()) == count - 1
            await trio.sleep(0.02)
            assert len(play.sent.data()) == count


# A message that can't be sent


class Breaking(Sent):
    """A sink that fails to send the next message when it is told to."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.fails_next = False

    def send(self, message: bytes) -> None:
        if self.fails_next:
            self.fails_next = False
            raise ValueError("can't be sent")
        super().send(message)


class Reader:
    """A connection of a feed: each byte that it reads is published, as a trade of its own symbol."""

    def __init__(self, symbol: str, stream: TcpStream, publisher: Publisher) -> None:
        self.symbol = symbol
        self.stream = stream
        self.publisher = publisher
        self.read = 0

    async def run(self) -> None:
        while data := await self.stream.receive_some():
            numbers = range(self.read + 1, self.read + 1 + len(data))
            self.read = numbers[-1]
            self.publisher.publish([trade(number, self.symbol) for number in numbers] if self.symbol else [])


async def settle(done: Callable[[], bool]) -> None:
    """Let the loop turn until this holds."""
    with trio.fail_after(30):
        while not done():
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("symbols", [("A", "B"), ("A", "")], ids=["the last reader sends", "the round's end sends"])
async def test_a_message_that_cannot_be_sent_ends_the_publisher_and_no_connection(symbols: tuple[str, str]) -> None:
    rounds = Rounds(0.001)
    sent = Breaking(trio.current_time)
    publisher = Publisher("moex", sent, linger=0.001, rounds=rounds)
    async with AsyncExitStack() as stack:
        stack.callback(rounds.close)
        readers, fars = [], []
        for symbol in symbols:
            listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
            near = await trio.testing.open_stream_to_socket_listener(listener)
            fars.append(await stack.enter_async_context(await listener.accept()))
            stream = await stack.enter_async_context(TcpStream(near, rounds))
            await listener.aclose()
            readers.append(Reader(symbol, stream, publisher))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(rounds.run)
        for reader in readers:
            nursery.start_soon(reader.run)

        async def bring(number: int) -> None:
            """Every reader reads one byte more. No turn of the loop lies between the bytes, so one round reads both."""
            for far in fars:
                os.write(far.socket.fileno(), b"x")
            await settle(lambda: all(reader.read == number for reader in readers))

        def sent_first(symbol: str, number: int) -> bool:
            return (symbol, number) in [(name, first) for groups in sent.groups() for name, first, _ in groups]

        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="can't be sent"), flatten_subgroups=True):
            async with trio.open_nursery() as own:
                await own.start(publisher.run)
                await bring(1)
                await settle(lambda: sent_first("A", 1))
                sent.fails_next = True
                await bring(2)
                with trio.fail_after(30):
                    await trio.sleep_forever()
        await nursery.start(publisher.run)
        await bring(3)
        await settle(lambda: sent_first("A", 3))
        assert not sent_first("A", 2)
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_sent_while_the_publisher_is_down_ends_its_next_run(autojump_clock: MockClock) -> None:
    sent = Breaking(trio.current_time)
    publisher = Publisher("moex", sent)
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        nursery.cancel_scope.cancel()
    sent.fails_next = True
    publisher.publish([trade(1)])
    with pytest.RaisesGroup(ValueError):
        await publisher.run()
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        publisher.publish([trade(2)])
        await publisher.finish()
        nursery.cancel_scope.cancel()
    assert [number for number, _ in sent.streams()["trade.moex.TQBR.SBER"]] == [2]


async def test_a_last_message_that_cannot_be_sent_is_an_error_of_finish(autojump_clock: MockClock) -> None:
    sent = Breaking(trio.current_time)
    publisher = Publisher("moex", sent)
    async with trio.open_nursery() as nursery:
        await nursery.start(publisher.run)
        nursery.cancel_scope.cancel()
    sent.fails_next = True
    with pytest.raises(ValueError, match="can't be sent"):
        await publisher.finish()


PUBLISHED = st.lists(st.lists(st.sampled_from(["book", "trade", "status"]), min_size=1, max_size=6), max_size=8)


@given(calls=PUBLISHED, pauses=st.lists(st.sampled_from([0.0, LINGER / 2, 1.0]), min_size=8, max_size=8))
def test_a_status_goes_between_what_was_published_before_it_and_after_it(
    calls: list[list[str]], pauses: list[float]
) -> None:
    """Of each word the order is kept, and no event of another word passes a status."""
    clock = Clock()
    sent = Sent(clock)
    publisher = Publisher("p", sent, clock=clock, wall_ns=lambda: EPOCH)
    published: list[MarketData] = []
    for kinds, pause in zip(calls, pauses, strict=False):
        clock.now += pause
        events: list[MarketData] = []
        for kind in kinds:
            number = len(published) + len(events)
            events.append(
                Status("v", "S", 0, number, "live", "", 0, 1, "book")
                if kind == "status"
                else Trade("v", "S", 0, number, 1.0, 1.0, None, None)
                if kind == "trade"
                else BookSnapshot("v", "S", 0, number, [], [], None)
            )
        published += events
        publisher.publish(events)
    publisher.flush()
    numbers = [event.ts_recv for message in sent.groups() for _, _, events in message for event in events]
    statuses = [event.ts_recv for event in published if isinstance(event, Status)]
    assert sorted(numbers) == list(range(len(published)))
    for status in statuses:
        at = numbers.index(status)
        assert all(number < status for number in numbers[:at])
        assert all(number > status for number in numbers[at + 1 :])
