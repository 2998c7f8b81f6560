"""The watches: hand-made heads and frames. No I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData, ConnectFailed
from feedbus.transport.frames import FRAGMENT_COST, SPARE_FRAGMENTS
from feedbus.transport.watch import MAX_HEAD, FrameWatch, HeadWatch
from tests.transport.peer import BINARY, CLOSE, CONTINUED, PING, TEXT, closing, frame

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
LIMIT = 1000


def test_a_head_ends_where_it_ends_however_it_is_cut() -> None:
    for at in range(1, len(HEAD)):
        watch = HeadWatch("venue:80")
        assert watch.feed(HEAD[:at]) is None
        assert watch.feed(HEAD[at:] + b"\x82\x01\n") == len(HEAD) - at


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"220", "no WebSocket server: it does not answer in HTTP"),
        (b"HTTP/2 200\r\n", "no WebSocket server: it does not answer in HTTP"),
        (b"HTTP/1.1 101 X\n", "no WebSocket server: a line of its answer does not end in CR LF"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", "HTTP 403"),
        (b"HTTP/1.1 \xff\r\n\r\n", "HTTP \ufffd"),
        (b"HTTP/1.1 101 X\r\nX: " + b"x" * MAX_HEAD, "bad answer to the handshake: its head is too long"),
    ],
)
def test_what_is_no_head_of_a_101_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        HeadWatch("venue:80").feed(data)
    assert str(caught.value).startswith(f"venue:80: {reason}")


def test_messages_are_counted_when_they_are_whole() -> None:
    watch = FrameWatch(LIMIT)
    data = frame(TEXT, b"a" * 200) + frame(PING, b"?") + frame(BINARY, fin=False) + frame(CONTINUED, b"b")
    counts = []
    for byte in data:
        assert watch.feed(bytes([byte])) == 1
        counts.append((watch.messages, watch.inside_frame))
    assert counts[203] == (1, False)
    assert counts[202] == (0, True)
    assert counts[-2:] == [(1, True), (2, False)]
    assert watch.feed(frame(BINARY) * 3) == 6
    assert watch.messages == 5


def test_the_peers_close_frame_is_kept() -> None:
    watch = FrameWatch(LIMIT)
    assert watch.close is None
    watch.feed(closing(1001, b"bye")[:4])
    assert watch.close is None
    rest = closing(1001, b"bye")[4:] + closing(1002) + frame(BINARY)
    assert watch.feed(rest) == len(rest)
    assert watch.close == b"\x03\xe9bye"
    assert watch.messages == 0


def test_a_close_frame_without_payload_is_one() -> None:
    watch = FrameWatch(LIMIT)
    watch.feed(frame(CLOSE))
    assert watch.close == b""


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, b"x" * (LIMIT + 1)),
        frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONTINUED, b"x"),
        frame(TEXT, b"x", fin=False) + frame(PING) + frame(CONTINUED, b"x" * LIMIT),
        b"\x82\x7f" + (1 << 40).to_bytes(8),
        b"\x82\x7f" + b"\xff" * 8,
    ],
)
def test_a_message_that_will_be_too_large_is_known_by_a_header(data: bytes) -> None:
    watch = FrameWatch(LIMIT)
    watch.feed(frame(BINARY, b"fine"))
    for byte in data:
        if watch.failure is None:
            watch.feed(bytes([byte]))
    assert isinstance(watch.failure, BadData)
    assert str(watch.failure) == "websocket: a message is larger than 1000 bytes"
    assert watch.feed(b"more") == 0
    assert watch.messages == 1


def test_the_library_gets_nothing_behind_a_header_that_announces_too_much() -> None:
    watch = FrameWatch(LIMIT)
    good, bad = frame(BINARY, b"fine"), frame(BINARY, b"x" * (LIMIT + 1))
    assert watch.feed(good + bad) == len(good) + 4


def test_the_limit_holds_for_a_message_not_for_all() -> None:
    watch = FrameWatch(LIMIT)
    watch.feed(frame(BINARY, b"x" * LIMIT) * 5)
    assert watch.failure is None
    assert watch.messages == 5


def test_a_message_in_too_many_fragments_is_refused_since_each_costs_memory() -> None:
    watch = FrameWatch(LIMIT)
    most = LIMIT // FRAGMENT_COST + SPARE_FRAGMENTS
    watch.feed(frame(TEXT, fin=False) + frame(CONTINUED, fin=False) * (most - 1))
    assert watch.failure is None
    watch.feed(frame(CONTINUED))
    assert str(watch.failure) == f"websocket: a message comes in more than {most} fragments"
    assert watch.messages == 0


@given(st.binary(max_size=300), st.lists(st.integers(1, 50)))
def test_any_bytes_in_any_pieces_are_watched_alike(data: bytes, sizes: list[int]) -> None:
    whole, cut = FrameWatch(LIMIT), FrameWatch(LIMIT)
    passed, at = 0, 0
    for size in [*sizes, len(data)]:
        passed += cut.feed(data[at : at + size])
        at += size
    assert whole.feed(data) == passed
    assert (whole.messages, whole.inside_frame) == (cut.messages, cut.inside_frame)
    assert whole.close == cut.close
    assert str(whole.failure) == str(cut.failure)
