"""The bytes of bus messages: round trips, one worked example, versions, and messages that can't be read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.errors import BusError
from feedbus.schema import codec
from feedbus.schema.codec import MessageHeader
from feedbus.schema.events import SCHEMA_VERSION, BookSnapshot, Event, Heartbeat, MarketData, Ticker, Trade
from feedbus.testing.strategies import any_event, events

HEADER = MessageHeader("trade", "moex", "moex/0", 1700000000, 1719825533789000000)
TRADE = Trade("moex", "TQBR.SBER", 1, 2, 328.05, 10.0, "buy", 15195661254)
WORKED = (
    b"trade.moex\0"
    b"\x95"  # five fields
    b"\x01"  # schema version
    b"\xa6moex/0"  # publisher
    b"\xce\x65\x53\xf1\x00"  # epoch 1700000000
    b"\xcf\x17\xde\x0c\x36\x01\x23\xd1\x40"  # published 1719825533789000000
    b"\x91"  # one group
    b"\x93\xa9TQBR.SBER\x07"  # symbol, first sequence 7
    b"\x91"  # one event
    b"\x99\xa5trade\xa4moex\xa9TQBR.SBER\x01\x02"  # kind, venue, symbol, ts_event, ts_recv
    b"\xcb\x40\x74\x80\xcc\xcc\xcc\xcc\xcd"  # price 328.05
    b"\xcb\x40\x24\x00\x00\x00\x00\x00\x00"  # size 10.0
    b"\xa3buy\xcf\x00\x00\x00\x03\x89\xbb\x63\xc6"  # side, trade_id
)

KINDS: Any = MarketData.__args__
ANY_EVENT = any_event()
GROUPS = st.lists(
    st.tuples(st.text(max_size=8), st.integers(0, 2**63), st.lists(ANY_EVENT, min_size=1, max_size=3)), max_size=3
)
HEADERS = st.builds(
    MessageHeader,
    st.sampled_from(["book", "ticker"]),
    st.sampled_from(["moex", "alor", ""]),
    st.text(max_size=8),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
)


def pack(*message: Any, topic: bytes = b"trade.moex") -> bytes:
    return topic + b"\0" + msgspec.msgpack.encode(message)


def fields(event: Event) -> list[Any]:
    """The event as a foreign reader sees it."""
    decoded: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    return decoded


def read_everything(data: bytes) -> None:
    """All ways to read a message; whatever is wrong is a BusError."""
    for read in (codec.decode, codec.decode_heartbeats):
        with suppress(BusError):
            read(data)
    with suppress(BusError):
        for _, _, raw in codec.decode_raw(data)[1]:
            codec.decode_events(raw)


@pytest.mark.parametrize("of", KINDS)
def test_every_kind_comes_back_as_it_was(of: type[Event]) -> None:
    @settings(max_examples=25)
    @given(events(of))
    def check(event: MarketData) -> None:
        data = codec.encode(HEADER, [("TQBR.SBER", 1, [event])])
        assert codec.decode(data) == (HEADER, [("TQBR.SBER", 1, [event])])

    check()


@settings(max_examples=50)
@given(HEADERS, GROUPS)
def test_whole_messages_come_back_decoded_and_raw(
    header: MessageHeader, groups: list[tuple[str, int, list[MarketData]]]
) -> None:
    data = codec.encode(header, groups)
    assert codec.decode(data) == (header, groups)
    raw_header, raw = codec.decode_raw(data)
    assert raw_header == header
    assert [(symbol, first, codec.decode_events(events)) for symbol, first, events in raw] == groups


@given(events(Heartbeat))
def test_heartbeats_come_back(beat: Heartbeat) -> None:
    header = MessageHeader("heartbeat", "moex", beat.publisher, beat.epoch, 0)
    assert codec.decode_heartbeats(codec.encode(header, [("", 1, [beat])])) == [beat]


def test_the_worked_message_has_these_bytes() -> None:
    assert codec.encode(HEADER, [("TQBR.SBER", 7, [TRADE])]) == WORKED
    assert codec.decode(WORKED) == (HEADER, [("TQBR.SBER", 7, [TRADE])])


def test_fields_that_came_later_are_ignored() -> None:
    group = ("TQBR.SBER", 7, [[*fields(TRADE), "new", None]])
    data = pack(SCHEMA_VERSION, "p", 1, 2, [group], {"new": [1]})
    assert codec.decode(data)[1] == [("TQBR.SBER", 7, [TRADE])]
    assert codec.decode_events(codec.decode_raw(data)[1][0][2]) == [TRADE]


def test_fields_that_are_still_missing_have_their_defaults() -> None:
    data = pack(SCHEMA_VERSION, "p", 1, 2, [("S", 1, [["ticker", "moex", "S", 1, 2, 5.0]])])
    assert codec.decode(data)[1] == [("S", 1, [Ticker("moex", "S", 1, 2, bid=5.0)])]


def test_an_unknown_kind_is_skipped_and_its_neighbours_are_kept() -> None:
    data = pack(SCHEMA_VERSION, "p", 1, 2, [("S", 1, [fields(TRADE), ["funding", 1, {}], fields(TRADE)])])
    _, [(symbol, first, raw)] = codec.decode_raw(data)
    assert (symbol, first) == ("S", 1)
    assert codec.decode_events(raw) == [TRADE, None, TRADE]
    with pytest.raises(BusError):
        codec.decode(data)


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION, SCHEMA_VERSION + 1])
def test_adjacent_schema_versions_are_read(version: int) -> None:
    data = pack(version, "p", 1, 2, [("S", 1, [fields(TRADE)])])
    assert codec.decode(data)[1] == [("S", 1, [TRADE])]
    assert codec.decode_raw(data)[0].publisher == "p"


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 2, SCHEMA_VERSION + 2, 2**63])
def test_versions_further_off_are_refused_by_name(version: int) -> None:
    for read in (codec.decode, codec.decode_raw, codec.decode_heartbeats):
        with pytest.raises(BusError, match=f"schema version {version}; this feedbus reads {SCHEMA_VERSION}"):
            read(pack(version, "p", 1, 2, []))


DEEP = b"\x91" * 100_000 + b"\x90"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"trade.moex",
        b"trade.moex\0",
        b"x" * 300 + b"\0" + WORKED.partition(b"\0")[2],
        b"\xff.moex\0" + WORKED.partition(b"\0")[2],
        WORKED[:-1],
        WORKED + b"\0",
        b"trade.moex\0\x95\x01\xa1\xff\x01\x01\x90",
        b"trade.moex\0\x96\x01\xa1p\x01\x01\x90" + DEEP,
        b"trade.moex\0\x95\x01\xa1p\x01\x01\x91\x93\xa1s\x01" + DEEP,
        pack(SCHEMA_VERSION, "p", 1, 2),
        pack(SCHEMA_VERSION, "p", "1", 2, []),
        pack(SCHEMA_VERSION, "p", 1, 2, [("S", 1)]),
        pack(SCHEMA_VERSION, "p", 1, 2, [(None, 1, [])]),
    ],
)
def test_an_unreadable_message_is_a_bus_error(data: bytes) -> None:
    for read in (codec.decode, codec.decode_raw, codec.decode_heartbeats):
        with pytest.raises(BusError):
            read(data)


@pytest.mark.parametrize(
    ("group", "complaint"),
    [
        (msgspec.msgpack.encode({"a": 1}), "unreadable events"),
        (msgspec.msgpack.encode([["trade", "moex"]]), "another shape"),
        (msgspec.msgpack.encode([["trade", "moex", "S", 1, 2, 1.0, 1.0, "both", 1]]), "another shape"),
        (msgspec.msgpack.encode([[7]]), "another shape"),
        (msgspec.msgpack.encode([[]]), "another shape"),
        (msgspec.msgpack.encode(["trade"]), "another shape"),
        (b"\x91\x94\xa5trade\xa1\xff\xa1S\x01", "another shape"),
        (b"\x91" + DEEP, "recursion"),
        (b"\x91", "unreadable events"),
        (b"", "unreadable events"),
    ],
)
def test_an_event_of_another_shape_is_a_bus_error(group: bytes, complaint: str) -> None:
    with pytest.raises(BusError, match=complaint):
        codec.decode_events(msgspec.Raw(group))


@given(st.binary(max_size=80))
def test_garbage_is_a_bus_error_and_nothing_else(data: bytes) -> None:
    read_everything(data)
    read_everything(b"trade.moex\0" + data)
    read_everything(b"trade.moex\0\x95\x01\xa1p\x01\x01" + data)


@given(st.data())
def test_cut_and_mutated_messages_are_bus_errors_and_nothing_else(data: st.DataObject) -> None:
    book = BookSnapshot("moex", "TQBR.SBER", 1, 2, [(1.0, 2.0)], [(3.0, 4.0)], 5)
    message = bytearray(codec.encode(HEADER, [("TQBR.SBER", 7, [TRADE, book])]))
    for _ in range(data.draw(st.integers(0, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    read_everything(bytes(message[: data.draw(st.integers(0, len(message)))]))
    read_everything(bytes(message))
