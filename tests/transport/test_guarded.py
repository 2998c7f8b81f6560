"""GuardedStream over memory streams, with a stand-in for the library."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, VenueError
from feedbus.transport.guarded import GuardedStream
from tests.transport.peer import BINARY, TEXT, closing, frame

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Verdict(NamedTuple):
    code: int
    reason: str | None


class FakeLibrary:
    def __init__(self) -> None:
        self.closed: Verdict | None = None


class Side(NamedTuple):
    guarded: GuardedStream
    library: FakeLibrary
    far: trio.abc.Stream


def side(*, lockstep: bool = False) -> Side:
    near, far = lockstep_stream_pair() if lockstep else memory_stream_pair()
    return Side(GuardedStream(near, "venue:80", 1000), FakeLibrary(), far)


async def opened() -> Side:
    us = side()
    await us.far.send_all(HEAD)
    assert await us.guarded.receive_some() == HEAD
    us.guarded.attach(us.library)
    return us


async def test_bytes_are_counted_behind_the_head_and_messages_have_their_own_times() -> None:
    us = side()
    first = time.time_ns()
    await us.far.send_all(HEAD + frame(TEXT, b"one") + frame(BINARY, b"two") + b"\x82")
    assert await us.guarded.receive_some() == HEAD + frame(TEXT, b"one") + frame(BINARY, b"two") + b"\x82"
    us.guarded.attach(us.library)
    second = time.time_ns()
    await us.far.send_all(b"\x00")
    assert await us.guarded.receive_some() == b"\x00"
    assert us.guarded.bytes_received == 12
    one, two, three = us.guarded.times
    assert first <= one == two <= second <= three <= time.time_ns()


async def test_the_second_read_waits_until_it_is_known_whose_stream_it_is() -> None:
    us = side()
    await us.far.send_all(HEAD)
    await us.guarded.receive_some()
    await us.far.send_all(frame(TEXT))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.guarded.receive_some)
        await wait_all_tasks_blocked()
        assert us.guarded.bytes_received == 0
        us.guarded.attach(us.library)
    assert us.guarded.bytes_received == 2


@pytest.mark.parametrize(
    ("sent", "closed", "expected"),
    [
        (closing(1001, b"bye"), Verdict(1001, "bye"), "closed by the venue: 1001 bye"),
        (closing(1001), Verdict(1001, None), "closed by the venue: 1001"),
        (closing(4000, b"a\nb"), Verdict(4000, "a\nb"), "closed by the venue: 4000 a b"),
        (frame(8), Verdict(1005, None), "closed by the venue: 1005"),
        (frame(TEXT, b"\xff"), Verdict(1007, "not UTF-8"), "websocket: not UTF-8"),
        (frame(TEXT, b"\xff") + frame(8), Verdict(1007, "not UTF-8"), "websocket: not UTF-8"),
        (closing(999), Verdict(1002, "invalid code"), "websocket: invalid code"),
        (closing(1002, b"\xff"), Verdict(1007, "reason"), "websocket: reason"),
        (frame(BINARY, b"x" * 1001), None, "websocket: a message is larger than 1000 bytes"),
    ],
)
async def test_what_the_library_or_the_watch_found_ends_the_next_read(
    sent: bytes, closed: Verdict | None, expected: str
) -> None:
    us = await opened()
    await us.far.send_all(sent)
    assert sent.startswith(await us.guarded.receive_some())
    us.library.closed = closed
    with pytest.raises((BadData, ClosedByPeer)) as caught:
        await us.guarded.receive_some()
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "venue:80: the stream ended during the handshake"),
        (HEAD[:-1], "venue:80: the stream ended during the handshake"),
        (HEAD, "closed by the venue: 1006 the stream ended without a close frame"),
        (HEAD + b"\x82", "closed by the venue: 1006 the stream ended inside a frame"),
    ],
)
async def test_the_end_of_the_stream_is_an_error(data: bytes, expected: str) -> None:
    us = side()
    us.guarded.attach(us.library)
    await us.far.send_all(data)
    await us.far.aclose()
    with pytest.raises((ConnectFailed, ClosedByPeer)) as caught:  # noqa: PT012
        while True:
            await us.guarded.receive_some()
    assert str(caught.value) == expected


async def test_what_a_task_writes_is_held_back_and_goes_in_one_write() -> None:
    us = await opened()
    us.guarded.hold_writes()
    await us.guarded.send_all(b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.guarded.send_all, b"from another task ")
    await us.guarded.send_all(b"b")
    assert await us.far.receive_some() == b"from another task "
    await us.guarded.write_held()
    us.guarded.discard_held()
    assert await us.far.receive_some() == b"ab"
    await us.guarded.send_all(b"c")
    assert await us.far.receive_some() == b"c"


async def test_what_was_held_back_in_vain_is_forgotten() -> None:
    us = await opened()
    us.guarded.hold_writes()
    await us.guarded.send_all(b"never")
    us.guarded.discard_held()
    us.guarded.hold_writes()
    await us.guarded.send_all(b"this")
    await us.guarded.write_held()
    assert await us.far.receive_some() == b"this"


async def test_a_broken_write_is_raised_by_write_held_alone() -> None:
    us = await opened()
    await us.far.aclose()
    await us.guarded.send_all(b"a pong")
    assert us.guarded.write_failure is not None
    await us.guarded.send_all(b"another")
    with pytest.raises(ClosedByPeer, match="1006"):
        await us.guarded.write_held()
    await us.guarded.send_last(b"bye")


async def test_nothing_is_written_after_the_last_word() -> None:
    us = await opened()
    await us.guarded.send_last(b"bye")
    await us.guarded.send_all(b"a pong")
    await us.guarded.send_last(b"bye again")
    await us.guarded.aclose()
    assert await us.far.receive_some() == b"bye"
    assert await us.far.receive_some() == b""


async def test_a_cancelled_write_ends_the_stream_and_says_so(autojump_clock: MockClock) -> None:
    us = side(lockstep=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.far.send_all, HEAD)
        await us.guarded.receive_some()
    us.guarded.attach(us.library)
    failures: list[VenueError] = []

    async def read() -> None:
        with pytest.raises(ClosedByPeer) as caught:
            await us.guarded.receive_some()
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with trio.move_on_after(3):
            assert us.guarded.writing_for() == 0
            nursery.start_soon(check_writing, us.guarded)
            await us.guarded.send_all(b"nobody reads")
    assert str(failures[0]) == "closed by the venue: 1006 a write of ours was cut short"


async def check_writing(guarded: GuardedStream) -> None:
    await trio.sleep(2)
    assert guarded.writing_for() == pytest.approx(2)


@pytest.mark.parametrize("ends", ["cleanly", "broken"])
async def test_draining_takes_all_that_comes(ends: str) -> None:
    us = await opened()
    await us.far.send_all(b"x" * 100_000)
    if ends == "cleanly":
        await us.far.aclose()
    else:
        await us.guarded.aclose()
    await us.guarded.drain()
