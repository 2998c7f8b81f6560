"""Whatever bytes come from the peer, both transports end in messages and one error of the seam. Over memory streams."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, VenueError
from feedbus.transport import DialOptions
from tests.transport.peer import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT, Peer, dialled, frame
from tests.transport.test_contract_timing import TRANSPORTS, URL

OPTIONS = DialOptions(subprotocols=("STOMP",), max_message_size=500, close_timeout=0.1)

PLACES = st.lists(st.integers(0, 10_000), max_size=8)
TAIL = st.one_of(st.just(b""), st.binary(max_size=300))
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4)

Script = list[tuple[int, bytes, bool]]
"""Frames: opcode, payload, whether it is the last of its message."""

GROUPS = st.lists(
    st.one_of(
        st.binary(max_size=300).map(lambda data: [(BINARY, data, True)]),
        st.text(max_size=90).map(lambda text: [(TEXT, text.encode(), True)]),
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)).map(lambda both: [(*both, True)]),
        st.tuples(st.text(max_size=60), st.integers(0, 120)).map(
            lambda both: [(TEXT, both[0].encode()[: both[1]], False), (CONTINUED, both[0].encode()[both[1] :], True)]
        ),
    ),
    max_size=8,
)
ODD_FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([CONTINUED, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
        st.one_of(st.binary(max_size=8), st.integers(990, 5100).map(lambda code: code.to_bytes(2) + b"why")),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 4, 1]),
        mask=st.sampled_from([b"", b"", b"", b"mask"]),
    ),
    max_size=6,
).map(b"".join)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges) if start < stop]


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    copy = bytearray(data)
    for at, how in changes:
        if copy:
            copy[at % len(copy)] ^= how
    return bytes(copy)


def encoded(groups: list[Script]) -> tuple[bytes, list[bytes]]:
    """The bytes of these frames, and the messages that they are."""
    data = b"".join(frame(opcode, body, fin=fin) for group in groups for opcode, body, fin in group)
    return data, [b"".join(body for _, body, _ in group) for group in groups if group[0][0] not in (PING, PONG)]


def outcome(transport: str, chunks: list[bytes]) -> tuple[list[bytes], VenueError]:
    """What `receive` made of these bytes, behind a good handshake, and how it ended."""

    async def speak(peer: Peer) -> None:
        await peer.accept()
        for chunk in chunks:
            await peer.say(chunk)
            await trio.testing.wait_all_tasks_blocked()
        await peer.stream.aclose()

    async def run() -> tuple[list[bytes], VenueError]:
        near, far = memory_stream_pair()
        messages: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, Peer(far))
            async with dialled(TRANSPORTS[transport], near, URL, OPTIONS) as connection:
                try:
                    while True:
                        messages += map(bytes, (await connection.receive())[0])
                except VenueError as error:
                    nursery.cancel_scope.cancel()
                    return messages, error
        raise AssertionError("unreachable")

    return trio.run(run, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("transport", TRANSPORTS)
@given(groups=GROUPS, tail=st.one_of(TAIL, ODD_FRAMES), places=PLACES)
def test_a_valid_beginning_is_received_whatever_comes_after_it_in_whatever_pieces(
    transport: str, groups: list[Script], tail: bytes, places: list[int]
) -> None:
    data, expected = encoded(groups)
    messages, error = outcome(transport, pieces(data + tail, places))
    assert messages[: len(expected)] == expected
    assert isinstance(error, BadData | ClosedByPeer)
    assert "\n" not in str(error)
    if not tail:
        assert messages == expected
        assert str(error) == "closed by the venue: 1006 the stream ended without a close frame"


@pytest.mark.parametrize("transport", TRANSPORTS)
@given(groups=GROUPS, changes=CHANGES, places=PLACES)
def test_changed_frames_end_in_one_error_of_the_seam(
    transport: str, groups: list[Script], changes: list[tuple[int, int]], places: list[int]
) -> None:
    data = changed(encoded(groups)[0], changes)
    messages, error = outcome(transport, pieces(data, places))
    assert all(len(message) <= OPTIONS.max_message_size for message in messages)
    assert isinstance(error, BadData | ClosedByPeer)
    assert "\n" not in str(error)


ANSWERS = st.one_of(
    st.tuples(st.just(b""), st.binary(max_size=200)),
    st.tuples(
        st.just(b"HTTP/1.1 101 Switching Protocols\r\n"),
        st.one_of(
            st.binary(max_size=200),
            st.lists(
                st.sampled_from(
                    [
                        b"Upgrade: websocket",
                        b"Connection: Upgrade",
                        b"Sec-WebSocket-Accept: KEY",
                        b"Sec-WebSocket-Protocol: STOMP",
                        b"Sec-WebSocket-Protocol: \xff",
                        b"Sec-WebSocket-Extensions: permessage-deflate; x",
                        b"Content-Length: 7",
                        b"Transfer-Encoding: chunked",
                        b"Upgrade",
                        b": x",
                        b" folded",
                    ]
                ),
                max_size=8,
            ).map(lambda lines: b"\r\n".join([*lines, b"", b""])),
        ),
    ),
).map(b"".join)


@pytest.mark.parametrize("transport", TRANSPORTS)
@given(answer=ANSWERS, changes=st.one_of(st.just([]), CHANGES), places=PLACES)
def test_whatever_answers_our_request_opens_the_connection_or_is_refused_as_the_seam_says(
    transport: str, answer: bytes, changes: list[tuple[int, int]], places: list[int]
) -> None:
    async def speak(peer: Peer) -> None:
        await peer.read_request()
        key = peer.accept_line().partition(b": ")[2]
        for chunk in pieces(changed(answer.replace(b"KEY", key), changes), places):
            await peer.say(chunk)
            await trio.testing.wait_all_tasks_blocked()
        await peer.stream.aclose()

    refusals: list[str] = []

    async def run() -> None:
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, Peer(far))
            try:
                async with dialled(TRANSPORTS[transport], near, URL, OPTIONS) as connection:
                    with pytest.raises((BadData, ClosedByPeer)):  # noqa: PT012
                        while True:
                            await connection.receive()
            except ConnectFailed as error:
                refusals.append(str(error))
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert not any("\n" in text for text in refusals)
