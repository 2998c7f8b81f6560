"""FrameReader: table tests on hand-made frames, and random bytes. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from feedbus.errors import BadData, ClosedByPeer
from feedbus.transport.frames import FRAMES_PER_TURN, FrameReader, most_fragments

LIMIT = 200_000


class Side(NamedTuple):
    """A reader, and the protocol object that it drives."""

    reader: FrameReader
    protocol: ClientProtocol

    def feed(self, *chunks: bytes) -> list[bytes]:
        return [bytes(message) for chunk in chunks for turn in self.turns(chunk) for message in turn]

    def turns(self, chunk: bytes) -> Iterator[list[bytes | bytearray]]:
        """The messages of each turn that one read takes."""
        yield self.reader.feed(chunk)
        while self.reader.more:
            yield self.reader.feed(b"")

    def sent(self) -> list[Frame]:
        """What the protocol object wants to have written, unmasked."""
        return [_unmask(data) for data in self.protocol.data_to_send() if data]


def _unmask(data: bytes) -> Frame:
    length = data[1] & 0x7F
    assert length < 126
    key, body = data[2:6], data[6:]
    return Frame(Opcode(data[0] & 15), bytes(byte ^ key[i % 4] for i, byte in enumerate(body)))


def side(limit: int = LIMIT) -> Side:
    protocol = ClientProtocol(parse_uri("ws://venue/"), state=OPEN, max_size=limit)
    return Side(FrameReader(protocol, limit), protocol)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def binary(data: bytes) -> bytes:
    return frame(Opcode.BINARY, data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT])
@pytest.mark.parametrize("opcode", [Opcode.BINARY, Opcode.TEXT])
def test_a_message_of_any_length_comes_out_as_it_went_in(size: int, opcode: Opcode) -> None:
    assert side().feed(frame(opcode, b"x" * size)) == [b"x" * size]


def test_all_messages_of_one_read_come_together_in_order() -> None:
    messages = [b"%d" % number for number in range(50)]
    assert side().feed(b"".join(map(binary, messages))) == messages


def test_a_big_message_arrives_byte_by_byte() -> None:
    message = b"m" * 104_000
    data = binary(message) + binary(b"next")
    assert side().feed(*(data[at : at + 1] for at in range(len(data)))) == [message, b"next"]


def test_fragments_are_joined_with_control_frames_between_them() -> None:
    us = side()
    parts = [b"p" * 30_000 for _ in range(4)]
    data = frame(Opcode.BINARY, parts[0], fin=False) + frame(Opcode.PING, b"are you there")
    data += frame(Opcode.CONT, parts[1], fin=False) + frame(Opcode.PONG, b"unasked")
    data += frame(Opcode.CONT, parts[2], fin=False) + frame(Opcode.CONT, parts[3]) + binary(b"plain")
    assert us.feed(data[:40_000], data[40_000:]) == [b"".join(parts), b"plain"]
    assert us.sent() == [Frame(Opcode.PONG, b"are you there")]
    assert us.reader.failure is None


def test_text_may_be_cut_inside_a_character() -> None:
    text = "Сбербанк".encode()
    data = frame(Opcode.TEXT, text[:3], fin=False) + frame(Opcode.CONT, text[3:])
    assert side().feed(data) == [text]


def test_only_the_awaited_pong_counts() -> None:
    us = side()
    us.reader.awaited_pong = b"7"
    us.feed(frame(Opcode.PONG, b"6"))
    assert us.reader.awaited_pong == b"7"
    us.feed(frame(Opcode.PONG, b"7") + frame(Opcode.PONG, b"8"))
    assert us.reader.awaited_pong is None


def test_plain_messages_ask_for_no_attention() -> None:
    us = side()
    us.feed(binary(b"one"))
    assert not us.reader.attention
    us.feed(frame(Opcode.PING))
    assert us.reader.attention


def test_many_empty_fragments_take_no_memory() -> None:
    us = side()
    us.feed(frame(Opcode.BINARY, b"a", fin=False), frame(Opcode.CONT, b"", fin=False) * 1000)
    assert us.feed(frame(Opcode.CONT, b"b")) == [b"ab"]


FLOODS = {
    "messages": binary(b""),
    "texts": frame(Opcode.TEXT, b"x"),
    "pings": frame(Opcode.PING),
    "pongs": frame(Opcode.PONG, b"unasked"),
    "fragments": frame(Opcode.BINARY, fin=False) + frame(Opcode.CONT, fin=False) * 3 + frame(Opcode.CONT, b"x"),
    "messages and pings": binary(b"x") + frame(Opcode.PING) + frame(Opcode.PONG),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_tiny_frames_is_taken_in_turns(name: str) -> None:
    count = 20 * FRAMES_PER_TURN
    flood = FLOODS[name]
    us = side()
    turns = list(us.turns(flood * count + binary(b"last") + b"\x82"))
    assert max(map(len, turns)) <= FRAMES_PER_TURN
    assert count // FRAMES_PER_TURN <= len(turns) <= 7 * count // FRAMES_PER_TURN
    expected = side().feed(flood) * count + [b"last"]
    assert [bytes(message) for turn in turns for message in turn] == expected
    assert us.feed(b"\x00") == [b""]
    assert us.reader.failure is None


BROKEN = {
    "opcode 3": (b"\x83\x00", 1002, "invalid opcode"),
    "opcode 15": (b"\x8f\x00", 1002, "invalid opcode"),
    "reserved bit": (b"\xc2\x01x", 1002, "reserved bits must be 0"),
    "masked": (Frame(Opcode.BINARY, b"x").serialize(mask=True), 1002, "incorrect masking"),
    "masked, longer": (Frame(Opcode.BINARY, b"x" * 300).serialize(mask=True), 1002, "incorrect masking"),
    "continuation of nothing": (frame(Opcode.CONT, b"x"), 1002, "unexpected continuation frame"),
    "message inside a message": (
        frame(Opcode.BINARY, b"a", fin=False) + binary(b"b"),
        1002,
        "expected a continuation frame",
    ),
    "long ping": (b"\x89\x7e\x00\x80" + b"x" * 128, 1002, "control frame too long"),
    "ping in fragments": (b"\x09\x00", 1002, "fragmented control frame"),
    "too large": (binary(b"x" * (LIMIT + 1)), 1009, f"a message is larger than {LIMIT} bytes"),
    "too large by its header": (b"\x82\x7f" + b"\xff" * 8, 1009, f"a message is larger than {LIMIT} bytes"),
    "too large in fragments": (
        frame(Opcode.BINARY, b"x" * LIMIT, fin=False) + frame(Opcode.CONT, b"x"),
        1009,
        f"a message is larger than {LIMIT} bytes",
    ),
    "too many fragments": (
        frame(Opcode.BINARY, fin=False) + frame(Opcode.CONT, fin=False) * most_fragments(LIMIT),
        1009,
        f"a message comes in more than {most_fragments(LIMIT)} fragments",
    ),
    "text not UTF-8": (frame(Opcode.TEXT, b"\xff"), 1007, "a text message is not UTF-8"),
    "text cut inside a character": (frame(Opcode.TEXT, "я".encode()[:1]), 1007, "a text message is not UTF-8"),
    "fragments not UTF-8": (
        frame(Opcode.TEXT, b"\xd0", fin=False) + frame(Opcode.CONT, b"x"),
        1007,
        "a text message is not UTF-8",
    ),
    "close code 999": (frame(Opcode.CLOSE, (999).to_bytes(2, "big")), 1002, "invalid status code"),
    "close of one byte": (frame(Opcode.CLOSE, b"\x03"), 1002, "close frame too short"),
    "close reason not UTF-8": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007, "the reason in a close frame is not UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_fail_with_a_reason_and_a_close_code(name: str) -> None:
    data, code, reason = BROKEN[name]
    us = side()
    assert us.feed(binary(b"before") + data + binary(b"after")) == [b"before"]
    assert isinstance(us.reader.failure, BadData)
    assert re.match(f"websocket: {reason}", str(us.reader.failure))
    (close,) = us.sent()
    assert close.opcode is Opcode.CLOSE
    assert Close.parse(close.data).code == code
    assert us.feed(binary(b"later")) == []


def test_an_announced_size_fails_before_the_data_come() -> None:
    us = side()
    us.feed(binary(b"x" * (LIMIT + 1))[:10])
    assert isinstance(us.reader.failure, BadData)


def test_messages_before_a_close_are_kept_and_the_close_is_answered() -> None:
    us = side()
    close = frame(Opcode.CLOSE, Close(1012, "restart\nsoon").serialize())
    assert us.feed(binary(b"last") + close + binary(b"after")) == [b"last"]
    assert isinstance(us.reader.failure, ClosedByPeer)
    assert (us.reader.failure.code, us.reader.failure.reason) == (1012, "restart soon")
    assert us.sent() == [Frame(Opcode.CLOSE, Close(1012, "restart\nsoon").serialize())]


def test_a_close_without_code_is_1005_and_one_inside_a_message_counts() -> None:
    us = side()
    us.feed(frame(Opcode.BINARY, b"half", fin=False) + frame(Opcode.CLOSE))
    assert isinstance(us.reader.failure, ClosedByPeer)
    assert us.reader.failure.code == 1005
    assert us.sent() == [Frame(Opcode.CLOSE, b"")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the stream ended without a close frame"),
        (b"\x82", "the stream ended inside a frame"),
        (b"\x82\x7e\x01", "the stream ended inside a frame"),
        (binary(b"whole") + binary(b"torn")[:-1], "the stream ended inside a frame"),
        (b"\x89\x05ab", "the stream ended inside a frame"),
    ],
)
def test_the_end_of_the_stream_without_a_close_frame_is_1006(data: bytes, reason: str) -> None:
    us = side()
    us.feed(data)
    us.reader.eof()
    assert isinstance(us.reader.failure, ClosedByPeer)
    assert (us.reader.failure.code, us.reader.failure.reason) == (1006, reason)


def test_the_first_failure_counts() -> None:
    us = side()
    us.feed(frame(Opcode.CLOSE, Close(1001, "").serialize()))
    us.reader.eof()
    assert isinstance(us.reader.failure, ClosedByPeer)
    assert us.reader.failure.code == 1001


FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=300).map(lambda data: [(Opcode.BINARY, data, True)]),
        st.text(max_size=90).map(lambda text: [(Opcode.TEXT, text.encode(), True)]),
        st.binary(max_size=20).map(lambda data: [(Opcode.PING, data, True)]),
        st.lists(st.binary(max_size=150), min_size=2, max_size=4).map(
            lambda parts: [
                (Opcode.CONT if at else Opcode.BINARY, part, at == len(parts) - 1) for at, part in enumerate(parts)
            ]
        ),
    ),
    max_size=12,
)


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges) if start < stop]


@settings(deadline=None)
@given(FRAMES, st.lists(st.integers(0, 10_000), max_size=20))
def test_however_valid_data_are_cut_the_messages_are_the_same(
    groups: list[list[tuple[Opcode, bytes, bool]]], places: list[int]
) -> None:
    data = b"".join(frame(opcode, body, fin=fin) for group in groups for opcode, body, fin in group)
    expected = [b"".join(body for _, body, _ in group) for group in groups if group[0][0] is not Opcode.PING]
    us = side()
    assert us.feed(*_cut(data, places)) == expected
    assert us.reader.failure is None
    assert [pong.data for pong in us.sent()] == [group[0][1] for group in groups if group[0][0] is Opcode.PING]


@settings(deadline=None)
@given(FRAMES, st.binary(max_size=400), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_tail_and_any_cut_end_alike(
    groups: list[list[tuple[Opcode, bytes, bool]]], tail: bytes, places: list[int]
) -> None:
    data = b"".join(frame(opcode, body, fin=fin) for group in groups for opcode, body, fin in group) + tail
    whole, cut = side(limit=500), side(limit=500)
    assert whole.feed(data) == cut.feed(*_cut(data, places))
    whole.reader.eof()
    cut.reader.eof()
    assert isinstance(whole.reader.failure, BadData | ClosedByPeer)
    assert str(whole.reader.failure) == str(cut.reader.failure)
