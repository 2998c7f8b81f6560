"""An open connection over memory streams, on a virtual clock. No sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CLOSED
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from feedbus.errors import ClosedByPeer, TimedOut
from feedbus.transport import DialOptions, websocket
from feedbus.transport.connection import MAX_ANSWERS, WebSocketConnection
from tests.transport.peer import dialled

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
    options: DialOptions | None = None, *, early: bytes = b"", lockstep: bool = False
) -> AsyncIterator[tuple[WebSocketConnection, Venue]]:
    """A connection and its other end, which says nothing by itself. No nursery is open around the body but ours."""
    options = options or DialOptions(subprotocols=("STOMP",))
    near, far = lockstep_stream_pair() if lockstep else memory_stream_pair()
    venue = Venue(far, options.subprotocols)
    trio.lowlevel.spawn_system_task(venue.accept, early)
    async with dialled(websocket, near, URL, options) as connection:
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
    told: list[None] = []
    options = DialOptions(control_sent=lambda: told.append(None))
    async with connected(options, lockstep=True) as (connection, venue), trio.open_nursery() as nursery:
        pings = b"".join(frame(Opcode.PING, b"%d" % number) for number in range(1000))
        nursery.start_soon(venue.stream.send_all, pings + binary(b"x"))
        await connection.receive()
        pongs: list[int] = []
        while not pongs or pongs[-1] != 999:
            pongs += [int(bytes(pong.data)) for pong in await venue.heard()]
        assert len(pongs) <= 2 * MAX_ANSWERS
        assert pongs == sorted(set(pongs))
        assert connection.pongs_skipped == 1000 - len(pongs)
        assert len(told) == len(pongs), "those that weren't sent aren't counted"


async def test_what_came_before_a_failure_is_received_first_in_however_many_turns(autojump_clock: MockClock) -> None:
    expected = [b"%d" % number for number in range(1000)]
    options = DialOptions(ping_interval=20, ping_timeout=15)
    async with connected(options, lockstep=True) as (connection, venue), trio.open_nursery() as nursery:
        nursery.start_soon(venue.say, *map(binary, expected))
        messages, ts_recv = await connection.receive()
        await trio.sleep(60)  # meanwhile the ping can't be written, and the connection is given up
        while len(messages) < 1000:
            more, ts_recv_of_more = await connection.receive()
            assert ts_recv_of_more == ts_recv
            messages += more
        assert messages == expected
        with pytest.raises(TimedOut):
            await connection.receive()


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


async def test_messages_go_in_one_write_bytes_as_binary_and_str_as_text(autojump_clock: MockClock) -> None:
    async with connected() as (connection, venue):
        await connection.send([b"bytes", "слова", bytearray(b"more")])
        assert await venue.heard() == [
            Frame(Opcode.BINARY, b"bytes"),
            Frame(Opcode.TEXT, "слова".encode()),
            Frame(Opcode.BINARY, b"more"),
        ]


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
