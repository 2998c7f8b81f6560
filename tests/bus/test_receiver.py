"""The receiver on bytes, without a socket."""

from __future__ import annotations

import msgspec
import pytest

from feedbus.bus.receiver import Receiver
from feedbus.schema import codec
from feedbus.schema.events import SCHEMA_VERSION, Event, Gap, Heartbeat, Trade


def trade(number: int, symbol: str = "A", venue: str = "moex") -> Trade:
    return Trade(venue, symbol, number, number, 1.5, 2.0, None, number)


def trades(first: int, count: int = 1, symbol: str = "A") -> codec.Group:
    return symbol, first, [trade(number, symbol) for number in range(first, first + count)]


def message(*groups: codec.Group, epoch: int = 7, publisher: str = "moex", word: str = "trade") -> bytes:
    return codec.encode(codec.MessageHeader(word, "moex", publisher, epoch, 5), groups)


def heartbeat(beat: int, heads: list[tuple[str, int]], epoch: int = 7) -> bytes:
    event = Heartbeat("moex", epoch, beat, 1, 1, heads)
    return codec.encode(codec.MessageHeader("heartbeat", "moex", "moex", epoch, 5), [("", beat, [event])])


def raw_message(groups: list[object], schema: int = SCHEMA_VERSION) -> bytes:
    """As another program might write it: the body of any shape."""
    return b"trade.moex\0" + msgspec.msgpack.encode([schema, "moex", 7, 5, groups])


def received(receiver: Receiver, *messages: bytes) -> list[tuple[int | None, Event]]:
    """(sequence, event) of all that came out."""
    out: list[tuple[int | None, Event]] = []
    for data in messages:
        batch = receiver.receive(data)
        if batch is not None:
            header, events = batch
            out += zip(header.sequences(), events, strict=True)
    return out


def test_events_come_with_their_numbers_in_the_order_of_the_message() -> None:
    out = received(Receiver([""]), message(trades(1, 2), trades(9, 1, "B")), message(trades(3)))
    assert out == [(1, trade(1)), (2, trade(2)), (9, trade(9, "B")), (3, trade(3))]


def test_header_says_where_the_events_came_from() -> None:
    batch = Receiver(["trade"]).receive(message(trades(4)))
    assert batch is not None
    header, _ = batch
    assert (header.word, header.venue, header.publisher, header.epoch, header.published) == (
        "trade",
        "moex",
        "moex",
        7,
        5,
    )


@pytest.mark.parametrize("topic", ["", "trade", "trade.moex.", "trade.moex.A"])
def test_hole_in_the_numbers_becomes_a_gap_in_its_place(topic: str) -> None:
    out = received(Receiver([topic]), message(trades(1)), message(trades(5)), message(trades(6)))
    assert out == [(1, trade(1)), (None, Gap("trade.moex.A", "moex", 7, 2, 4, "lost")), (5, trade(5)), (6, trade(6))]


def test_holes_in_other_topics_are_nobodys_business() -> None:
    receiver = Receiver(["trade.moex.A"])
    assert received(receiver, message(trades(1, symbol="B"), trades(1)), message(trades(5, symbol="B"))) == [
        (1, trade(1))
    ]
    assert receiver.stats().lost == {}


def test_repeats_are_left_out_and_counted() -> None:
    receiver = Receiver([""])
    out = received(receiver, message(trades(1, 3)), message(trades(2, 4)), message(trades(1, 2)))
    assert out == [(number, trade(number)) for number in range(1, 6)]
    stats = receiver.stats()
    assert (stats.duplicates, stats.delivered, stats.gaps) == (4, {"trade": 5}, 0)


@pytest.mark.parametrize(
    "other",
    [
        ["trade", "not", "a", "trade"],
        "no list of events",
        [["trade", "moex", "B", "yesterday", 1, 1.0, 1.0, None, 1]],
        {},
    ],
)
def test_other_symbols_are_skipped_undecoded(other: object) -> None:
    receiver = Receiver(["trade.moex.A"])
    data = raw_message([["B", 1, other], ["A", 1, [trade(1)]], ["AB", 1, other]])
    assert received(receiver, data) == [(1, trade(1))]
    assert receiver.stats().unreadable == 0
    everything = Receiver(["trade"])
    assert received(everything, data) == []
    assert everything.stats().unreadable == 1, "or the row is no test"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"trade.moex",
        b"trade.moex\0",
        b"trade.moex\0garbage",
        b"trade.\xff\0\x90",
        b"x" * 1000,
        raw_message([], schema=SCHEMA_VERSION + 2),
        raw_message([["A", "one", []]]),
        raw_message([["A", 1, [["trade", 1]]]]),
        b"heartbeat.",
        b"heartbeat.moex\0garbage",
        message(trades(1)).replace(b"trade.moex", b"heartbeat."),
    ],
)
@pytest.mark.parametrize("topic", ["", "trade.moex.A"])
def test_unreadable_messages_are_counted_and_the_next_one_is_read(data: bytes, topic: str) -> None:
    receiver = Receiver([topic])
    assert receiver.receive(data) is None
    assert receiver.stats().unreadable == 1
    assert received(receiver, message(trades(1))) == [(1, trade(1))]


def test_what_an_unreadable_message_held_is_a_gap_as_soon_as_its_topic_speaks() -> None:
    receiver = Receiver(["trade.moex.A"])
    broken = raw_message([["A", 2, [["trade", 1]]]])
    out = received(receiver, message(trades(1)), broken, message(trades(3)))
    assert out == [(1, trade(1)), (None, Gap("trade.moex.A", "moex", 7, 2, 2, "lost")), (3, trade(3))]


def test_events_of_unknown_kinds_keep_their_numbers_and_are_left_out() -> None:
    for topic in ("", "trade.moex.A"):
        receiver = Receiver([topic])
        data = raw_message([["A", 1, [trade(1), ["auction", "moex", "A"], trade(3)]]])
        assert received(receiver, data, message(trades(4))) == [(1, trade(1)), (3, trade(3)), (4, trade(4))]
        assert (receiver.stats().unknown_kinds, receiver.stats().gaps) == (1, 0)


def test_heartbeats_are_not_yielded_and_show_a_lost_last_message() -> None:
    receiver = Receiver(["trade.moex.A"])
    out = received(
        receiver,
        message(trades(1)),
        heartbeat(1, [("trade.moex.A", 1)]),
        heartbeat(2, [("trade.moex.A", 3), ("trade.moex.B", 9)]),
    )
    assert out == [(1, trade(1)), (None, Gap("trade.moex.A", "moex", 7, 2, 3, "lost"))]
    assert receiver.publishers() == {"moex": (7, 2)}


def test_new_epoch_is_one_gap_before_its_first_events() -> None:
    receiver = Receiver([""])
    out = received(receiver, message(trades(5)), message(trades(1), epoch=8), message(trades(2), epoch=8))
    assert out == [
        (5, trade(5)),
        (None, Gap("", "moex", 7, None, None, "restart")),
        (1, trade(1)),
        (2, trade(2)),
    ]


def test_balance_sheet_adds_up() -> None:
    receiver = Receiver([""])
    messages = [message(trades(1, 2)), message(trades(6)), heartbeat(1, [("trade.moex.A", 10)])]
    received(receiver, *messages)
    stats = receiver.stats()
    assert (stats.published, stats.delivered, stats.lost) == ({"trade": 10}, {"trade": 3}, {"trade": 7})
    assert (stats.gaps, stats.messages, stats.bytes) == (2, 3, sum(map(len, messages)))


def test_who_was_heard_is_known_by_messages_and_heartbeats_alike() -> None:
    receiver = Receiver(["trade.moex.A"])
    received(receiver, heartbeat(1, []), message(trades(1, symbol="B"), publisher="other"), b"nonsense")
    assert receiver.heard == {"moex", "other"}
