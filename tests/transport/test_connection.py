"""An open connection over memory streams, on a virtual clock. No sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CLOSED
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from feedbus.errors import BadData, ClosedByPeer, TimedOut, VenueError
from feedbus.transport import Options
from feedbus.transport.connection import MAX_ANSWERS, WebSocketConnection
from feedbus.transport.websocket import wrap

URL = "ws://venue.example/feed"


class Venue:
    """The other end: `websockets`' server protocol, or bytes made by hand."""

    def __init__(self, stream: trio.abc.Stream, subprotocols: Sequence[str] = ()) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(subprotocols=[Subprotocol(name) for name in subprotocols] or None)

    async def accept(self, early: bytes = b"") -> None:
        request = None
        while request is None:
            self.protocol.receive_data(await self.stream.receive_some())
            request = next(iter(self.protocol.events_received()), None)
        assert isinstance(request, Request)
        self.protocol.send_response(self.protocol.accept(request))
        await self.stream.send_all(b"".join(self.protocol.data_to_send()) + early)

    async def say(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def heard(self) -> list[Frame]:
        """The frames of the next read."""
        data = await self.stream.receive_some()
        self.protocol.receive_data(data) if data else self.protocol.receive_eof()
        return [event for event in self.protocol.events_received() if isinstance(event, Frame)]

    async def serve(self) -> None:
        """Answer pings and the close frame, until the stream ends."""
        while self.protocol.state is not CLOSED:
            await self.heard()
            answer = b"".join(self.protocol.data_to_send())
            if answer:
                await self.stream.send_all(answer)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def binary(data: bytes) -> bytes:
    return frame(Opcode.BINARY, data)


def closing(code: int, reason: str = "") -> bytes:
    return frame(Opcode.CLOSE, Close(code, reason).serialize())


@asynccontextmanager
async def connected(
    options: Options | None = None, *, early: bytes = b"", lockstep: bool = False
) -> AsyncIterator[tuple[WebSocketConnection, Venue]]:
    """A connection and its other end, which says nothing by itself. No nursery is open around the body but ours."""
    options = options or Options(subprotocols=("STOMP",))
    near, far = lockstep_stream_pair() if lockstep else memory_stream_pair()
    venue = Venue(far, options.subprotocols)
    trio.lowlevel.spawn_system_task(venue.accept, early)
    async with wrap(near, URL, options) as connection:
        await wait_all_tasks_blocked()
        yield connection, venue


async def test_a_read_gives_all_its_messages_and_one_time(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        assert connection.subprotocol == "STOMP"
        await venue.say(*(binary(b"%d" % number) for number in range(20)))
        before = time.time_ns()
        messages, ts_recv = await connection.receive()
        assert messages == [b"%d" % number for number in range(20)]
        assert before <= ts_recv <= time.time_ns()
        assert (connection.messages_received, connection.bytes_received) == (20, 70)


async def test_messages_right_behind_the_handshake_are_received_first(autojump_clock: MockClock) -> None:
    before = time.time_ns()
    async with connected(early=binary(b"early") + binary(b"half")[:3]) as (connection, venue):
        await venue.say(binary(b"half")[3:])
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.receive()
        messages, ts_recv = await connection.receive()
        assert messages == [b"early"]
        assert before <= ts_recv <= time.time_ns()
        assert (await connection.receive())[0] == [b"half"]


async def test_a_message_in_many_reads_is_waited_for(autojump_clock: MockClock) -> None:
    message = b"m" * 104_000
    data = frame(Opcode.BINARY, message[:50_000], fin=False) + frame(Opcode.CONT, message[50_000:])
    async with connected() as (connection, venue), trio.open_nursery() as nursery:

        async def trickle() -> None:
            for at in range(0, len(data), 1000):
                await venue.say(data[at : at + 1000])
                await wait_all_tasks_blocked()

        nursery.start_soon(trickle)
        assert (await connection.receive())[0] == [message]


async def test_a_ping_is_answered(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        await venue.say(frame(Opcode.PING, b"alive?"), binary(b"x"))
        await connection.receive()
        assert await venue.heard() == [Frame(Opcode.PONG, b"alive?")]


async def test_a_flood_of_pings_gets_only_the_last_pongs(autojump_clock: MockClock) -> None:
    async with connected(lockstep=True) as (connection, venue), trio.open_nursery() as nursery:
        pings = b"".join(frame(Opcode.PING, b"%d" % number) for number in range(1000))
        nursery.start_soon(venue.stream.send_all, pings + binary(b"x"))
        await connection.receive()
        assert connection.pongs_skipped == 1000 - MAX_ANSWERS
        assert [pong.data for pong in await venue.heard()] == [b"%d" % number for number in range(968, 1000)]


async def test_a_receive_that_is_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        data = binary(b"a" * 1000) + frame(Opcode.PING) + binary(b"b")
        for at in range(0, len(data), 300):
            with trio.move_on_after(1) as scope:
                await connection.receive()
            assert scope.cancelled_caught
            await venue.say(data[at : at + 300])
        received = (await connection.receive())[0]
        assert received == [b"a" * 1000, b"b"]


async def test_no_pong_in_time_ends_a_blocked_receive(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected(Options(ping_interval=20, ping_timeout=15)) as (connection, venue):
        with pytest.raises(TimedOut, match=r"^no pong within 15 s$"):
            await connection.receive()
        assert trio.current_time() - start == pytest.approx(35)
        assert [ping.opcode for ping in await venue.heard()] == [Opcode.PING]
        with pytest.raises(TimedOut):
            await connection.send([b"too late"])
        with pytest.raises(TimedOut):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(35)


async def test_data_and_a_wrong_pong_do_not_stand_for_the_pong(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue), trio.open_nursery() as nursery:

        async def chatter() -> None:
            while True:
                await trio.sleep(3)
                await venue.say(binary(b"data"), frame(Opcode.PONG, b"guess"))

        nursery.start_soon(chatter)
        with pytest.raises(TimedOut):  # noqa: PT012
            while True:
                await connection.receive()
        assert trio.current_time() % 100 == pytest.approx(40, abs=1)
        nursery.cancel_scope.cancel()


async def test_pongs_keep_a_silent_connection_open(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue), trio.open_nursery() as nursery:
        nursery.start_soon(venue.serve)
        with trio.move_on_after(3600) as scope:
            await connection.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_pong_that_nobody_has_read_yet_is_not_overdue(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue), trio.open_nursery() as nursery:
        nursery.start_soon(venue.serve)
        await trio.sleep(300)
        with trio.move_on_after(300) as scope:
            await connection.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_send_that_is_stuck_times_out_with_the_ping(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected(lockstep=True) as (connection, _):
        with pytest.raises(TimedOut, match="no pong within 20 s"):
            await connection.send([b"nobody reads this"])
        assert trio.current_time() - start == pytest.approx(40)
        with pytest.raises(TimedOut):
            await connection.receive()


async def test_a_ping_that_is_stuck_times_out(autojump_clock: MockClock) -> None:
    async with connected(lockstep=True) as (connection, _):
        with pytest.raises(TimedOut):
            await connection.receive()


async def test_messages_go_in_one_write_bytes_as_binary_and_str_as_text(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        await connection.send([b"bytes", "слова", bytearray(b"more")])
        assert await venue.heard() == [
            Frame(Opcode.BINARY, b"bytes"),
            Frame(Opcode.TEXT, "слова".encode()),
            Frame(Opcode.BINARY, b"more"),
        ]


async def test_several_tasks_may_send(autojump_clock: MockClock) -> None:
    async with connected(lockstep=True) as (connection, venue), trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(connection.send, [b"%d" % number * 100])
        heard: list[bytes] = []
        while len(heard) < 10:
            heard += [bytes(message.data) for message in await venue.heard()]
        assert sorted(heard) == [b"%d" % number * 100 for number in range(10)]


async def test_a_write_cut_short_ends_the_connection(autojump_clock: MockClock) -> None:
    async with connected(lockstep=True) as (connection, venue), trio.open_nursery() as nursery:

        async def reader() -> None:
            with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
                await connection.receive()

        nursery.start_soon(reader)
        with trio.move_on_after(1):
            await connection.send([b"x" * 1000])
        with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
            await connection.send([b"y"])
    written = await venue.stream.receive_some()
    assert len(written) <= 1008
    assert await venue.stream.receive_some() == b""


async def test_a_send_cancelled_before_it_wrote_does_no_harm(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.send([b"never"])
        await connection.send([b"this"])
        assert await venue.heard() == [Frame(Opcode.BINARY, b"this")]


async def test_a_send_cancelled_when_its_turn_comes_does_no_harm(autojump_clock: MockClock) -> None:
    async with connected(lockstep=True) as (connection, venue), trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def first() -> None:
            await connection.send([b"first"])
            scope.cancel()

        async def second() -> None:
            with scope:
                await connection.send([b"second"])

        nursery.start_soon(first)
        await wait_all_tasks_blocked()
        nursery.start_soon(second)
        await wait_all_tasks_blocked()
        assert await venue.heard() == [Frame(Opcode.BINARY, b"first")]
        await wait_all_tasks_blocked()
        assert scope.cancelled_caught
        nursery.start_soon(connection.send, [b"third"])
        assert await venue.heard() == [Frame(Opcode.BINARY, b"third")]


async def test_messages_and_a_close_in_one_read(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        await venue.say(binary(b"last"), closing(1008, "go away"))
        assert (await connection.receive())[0] == [b"last"]
        with pytest.raises(ClosedByPeer, match=r"^closed by the venue: 1008 go away$") as caught:
            await connection.receive()
        assert (caught.value.code, caught.value.reason) == (1008, "go away")
        with pytest.raises(ClosedByPeer, match="1008"):
            await connection.send([b"?"])
        (echo,) = await venue.heard()
        assert Close.parse(echo.data) == Close(1008, "go away")


async def test_an_abrupt_end_is_1006(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        await venue.say(binary(b"one"), b"\x82\x10")
        await trio.aclose_forcefully(venue.stream)
        assert (await connection.receive())[0] == [b"one"]
        for _ in range(2):
            with pytest.raises(ClosedByPeer, match="1006 the stream ended inside a frame"):
                await connection.receive()


async def test_a_broken_stream_is_1006_and_its_last_messages_are_received(autojump_clock: MockClock) -> None:
    class Broken(trio.abc.Stream):
        """Works for the handshake; afterwards writes fail, and so does the read after the last."""

        def __init__(self, inner: trio.abc.Stream) -> None:
            self.inner, self.writes = inner, 0

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            self.writes += 1
            if self.writes > 1:
                raise trio.BrokenResourceError from OSError(32, "Broken pipe")
            await self.inner.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            data = await self.inner.receive_some(max_bytes)
            if not data:
                raise trio.BrokenResourceError from OSError(104, "Connection reset by peer")
            return data

        async def aclose(self) -> None:
            await self.inner.aclose()

    near, far = memory_stream_pair()
    venue = Venue(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(venue.accept)
        async with wrap(Broken(near), URL, Options()) as connection:
            with pytest.raises(ClosedByPeer, match="1006 Broken pipe"):
                await connection.send([b"x"])
            await venue.say(binary(b"last"), frame(Opcode.PING))
            await trio.aclose_forcefully(far)
            assert (await connection.receive())[0] == [b"last"]
            with pytest.raises(ClosedByPeer, match="1006 Connection reset by peer"):
                await connection.receive()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x83\x00", 1002),
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (b"\x82\x7f\x00\x00\x00\x00\xff\xff\xff\xff", 1009),
    ],
)
async def test_bad_data_is_told_to_both_sides_after_the_messages_before_it(
    autojump_clock: MockClock, data: bytes, code: int
) -> None:
    async with connected() as (connection, venue):
        await venue.say(binary(b"good"), data, binary(b"after"))
        assert (await connection.receive())[0] == [b"good"]
        with pytest.raises(BadData, match=r"^websocket: "):
            await connection.receive()
        with pytest.raises(BadData):
            await connection.send([b"x"])
        (close,) = await venue.heard()
        assert Close.parse(close.data).code == code
        await trio.aclose_forcefully(venue.stream)


async def test_leaving_says_goodbye_and_waits_for_the_answer(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        async with connected() as (connection, venue):
            await venue.say(binary(b"unread"))
            nursery.start_soon(venue.serve)
        assert trio.current_time() == start
        with pytest.raises(ClosedByPeer, match="closed on our side"):
            await connection.send([b"too late"])
        with pytest.raises(ClosedByPeer, match="closed on our side"):
            await connection.receive()
    assert venue.protocol.close_rcvd == Close(1000, "")


@pytest.mark.parametrize("lockstep", [False, True])
async def test_leaving_a_mute_venue_takes_the_close_timeout(autojump_clock: MockClock, lockstep: bool) -> None:
    start = trio.current_time()
    async with connected(Options(close_timeout=1.5), lockstep=lockstep):
        pass
    assert trio.current_time() - start == pytest.approx(1.5)


async def test_leaving_when_cancelled_says_goodbye_and_waits_for_nothing(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with trio.move_on_after(5):
        async with connected() as (connection, venue):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(5)
    assert [Close.parse(close.data).code for close in await venue.heard()] == [1000]
    assert await venue.stream.receive_some() == b""


async def test_leaving_when_cancelled_with_a_stuck_write_is_bounded(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with trio.move_on_after(5):
        async with connected(Options(close_timeout=1), lockstep=True) as (connection, _):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(6)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        BadData("book TQBR.SBER", "no bids"),
        ExceptionGroup("mine", [KeyError("x")]),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_body_raises_leaves_as_itself(autojump_clock: MockClock, error: Exception) -> None:
    caught = None
    try:
        async with connected():
            raise error
    except Exception as left:
        caught = left
    assert caught is error


async def test_a_failure_of_receive_leaves_as_itself(autojump_clock: MockClock) -> None:
    with pytest.raises(ClosedByPeer):  # noqa: PT012
        async with connected() as (connection, venue):
            await venue.say(closing(1001))
            await connection.receive()


async def test_a_body_error_survives_an_outer_cancellation(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope, pytest.raises(KeyError):  # noqa: PT012
        async with connected():
            scope.cancel()
            raise KeyError
    assert not scope.cancelled_caught


async def test_a_ping_interval_of_infinity_means_no_pings(autojump_clock: MockClock) -> None:
    async with connected(Options(ping_interval=inf)) as (connection, _):
        with trio.move_on_after(10_000) as scope:
            await connection.receive()
        assert scope.cancelled_caught


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 200))
def test_random_bytes_end_in_a_venue_error(data: bytes, step: int) -> None:
    async def run() -> None:
        async with connected(Options(max_message_size=1000), early=data[:5]) as (connection, venue):
            for at in range(5, len(data), step):
                await venue.say(data[at : at + step])
            await trio.aclose_forcefully(venue.stream)
            with pytest.raises(VenueError):  # noqa: PT012
                while True:
                    await connection.receive()

    trio.run(run, clock=MockClock(autojump_threshold=0))
