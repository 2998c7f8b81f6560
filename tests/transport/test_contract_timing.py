"""What the seam promises about time and stuck streams, for both transports, over memory streams on a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from types import ModuleType

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from feedbus.errors import BadData, ClosedByPeer, ConnectFailed, TimedOut
from feedbus.transport import Connection, DialOptions, trio_ws, websocket
from feedbus.transport.frames import FRAMES_PER_TURN
from tests.transport.peer import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT, Frame, Peer, closing, dialled, frame

URL = "ws://venue.example/feed"
TRANSPORTS = {"sansio": websocket, "trio-websocket": trio_ws}


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> ModuleType:
    return TRANSPORTS[request.param]


@asynccontextmanager
async def connected(
    transport: ModuleType, options: DialOptions | None = None, *, lockstep: bool = False
) -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection and its other end, which says nothing by itself. No nursery is open around the body but ours."""
    near, far = lockstep_stream_pair() if lockstep else memory_stream_pair()
    peer = Peer(far)
    trio.lowlevel.spawn_system_task(peer.accept)
    async with dialled(transport, near, URL, options or DialOptions()) as connection:
        await wait_all_tasks_blocked()
        yield connection, peer


async def answer_all(peer: Peer) -> None:
    """Answer pings and the close frame, until the stream ends."""
    while (heard := await peer.heard()) is not None:
        if heard.opcode == PING:
            await peer.say(frame(PONG, heard.data))
        elif heard.opcode == CLOSE:
            await peer.say(frame(CLOSE, heard.data))


FLOODS = {
    "messages": frame(BINARY),
    "pongs": frame(PONG),
    "pings": frame(PING),
    "fragments": frame(TEXT, fin=False) + frame(CONTINUED, fin=False) * 8 + frame(CONTINUED),
}
FLOOD = 12_000  # bytes, which come in one read


@pytest.mark.parametrize("name", FLOODS)
async def test_other_tasks_run_while_a_flood_of_tiny_frames_is_taken(
    transport: ModuleType, name: str, autojump_clock: MockClock
) -> None:
    flood = FLOODS[name] * (FLOOD // len(FLOODS[name]))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with connected(transport, DialOptions(ping_interval=inf)) as (connection, peer):
        await peer.say(flood, frame(BINARY, b"last"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            messages: list[bytes | bytearray] = []
            while not messages or messages[-1] != b"last":
                messages += (await connection.receive())[0]
            nursery.cancel_scope.cancel()
        assert turns >= FLOOD // 2 // FRAMES_PER_TURN
        await connection.send([b"still open"])


async def test_a_connection_is_left_at_once_although_a_flood_came_before_the_close_frame(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    async with connected(transport) as (_, peer):
        await peer.say(frame(PONG) * 5000, closing(1001))
        start = trio.current_time()
    assert trio.current_time() == start
    assert await peer.heard_close() is not None


async def test_no_pong_in_time_ends_a_blocked_receive(transport: ModuleType, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected(transport, DialOptions(ping_interval=20, ping_timeout=15)) as (connection, peer):
        with pytest.raises(TimedOut, match=r"^no pong within 15 s$"):
            await connection.receive()
        assert trio.current_time() - start == pytest.approx(35)
        heard = await peer.heard()
        assert heard is not None
        assert heard.opcode == PING
        with pytest.raises(TimedOut):
            await connection.send([b"too late"])
        with pytest.raises(TimedOut):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(35)


async def test_data_and_a_wrong_pong_do_not_stand_for_the_pong(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    async with connected(transport) as (connection, peer), trio.open_nursery() as nursery:

        async def chatter() -> None:
            while True:
                await trio.sleep(3)
                await peer.say(frame(BINARY, b"data"), frame(PONG, b"guess"))

        nursery.start_soon(chatter)
        start = trio.current_time()
        with pytest.raises(TimedOut):  # noqa: PT012
            while True:
                await connection.receive()
        assert trio.current_time() - start == pytest.approx(40, abs=1)
        nursery.cancel_scope.cancel()


async def test_pongs_keep_a_silent_connection_open(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(answer_all, peer)
        with trio.move_on_after(3600) as scope:
            await connection.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_pong_that_nobody_has_read_yet_is_not_overdue(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport) as (connection, peer), trio.open_nursery() as nursery:
        await peer.say(frame(BINARY, b"unread") * 5)
        nursery.start_soon(answer_all, peer)
        await trio.sleep(300)
        with trio.move_on_after(300) as scope:
            while True:
                await connection.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_a_send_that_is_stuck_times_out_with_the_ping(transport: ModuleType, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected(transport, lockstep=True) as (connection, _):
        with pytest.raises(TimedOut, match="no pong within 20 s"):
            await connection.send([b"nobody reads this"])
        assert trio.current_time() - start == pytest.approx(40)
        with pytest.raises(TimedOut):
            await connection.receive()


async def test_a_ping_that_is_stuck_times_out(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport, lockstep=True) as (connection, _):
        with pytest.raises(TimedOut):
            await connection.receive()


async def pinged(transport: ModuleType, opened_at: float, interval: float) -> list[float]:
    """When the peer of a connection gets its first five pings."""
    found: list[float] = []
    await trio.sleep_until(opened_at)
    options = DialOptions(ping_interval=interval)
    async with connected(transport, options) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.receive)
        while len(found) < 5:
            heard = await peer.heard()
            assert heard is not None
            assert heard.opcode == PING
            found.append(trio.current_time())
            await peer.say(frame(PONG, heard.data))
        nursery.cancel_scope.cancel()
    return found


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (20, {0.3: [20, 40, 60, 80, 100], 0.8: [20, 40, 60, 80, 100], 5.6: [25, 45, 65, 85, 105]}),
        (12.5, {0.3: [12, 24, 36, 48, 60], 0.8: [13, 25, 37, 49, 61]}),
        (2.5, {0.3: [2.8, 5.3, 7.8, 10.3, 12.8]}),
    ],
)
async def test_connections_ping_together_and_never_later_than_the_interval(
    transport: ModuleType, interval: float, expected: dict[float, list[float]], autojump_clock: MockClock
) -> None:
    found: dict[float, list[float]] = {}

    async def note(opened_at: float) -> None:
        found[opened_at] = await pinged(transport, opened_at, interval)

    async with trio.open_nursery() as nursery:
        for opened_at in expected:
            nursery.start_soon(note, opened_at)
    assert found == {opened_at: pytest.approx(times) for opened_at, times in expected.items()}


async def test_a_ping_interval_of_infinity_means_no_pings(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport, DialOptions(ping_interval=inf)) as (connection, _):
        with trio.move_on_after(10_000) as scope:
            await connection.receive()
        assert scope.cancelled_caught


async def test_messages_go_in_one_write(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport) as (connection, peer):
        await connection.send([b"bytes", "text", b"more"])
        written = await peer.stream.receive_some()
        assert len(written) == 3 * (2 + 4) + 5 + 4 + 4


async def test_a_write_cut_short_ends_the_connection(transport: ModuleType, autojump_clock: MockClock) -> None:
    async with connected(transport, lockstep=True) as (connection, peer), trio.open_nursery() as nursery:

        async def reader() -> None:
            with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
                await connection.receive()

        nursery.start_soon(reader)
        with trio.move_on_after(1):
            await connection.send([b"x" * 1000])
        with pytest.raises(ClosedByPeer, match="1006 a write of ours was cut short"):
            await connection.send([b"y"])
    written = await peer.stream.receive_some()
    assert len(written) <= 1008
    assert await peer.stream.receive_some() == b""


async def test_a_send_cancelled_when_its_turn_comes_does_no_harm(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    async with connected(transport, lockstep=True) as (connection, peer), trio.open_nursery() as nursery:
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
        assert await peer.heard() == Frame(BINARY, b"first")
        await wait_all_tasks_blocked()
        assert scope.cancelled_caught
        nursery.start_soon(connection.send, [b"third"])
        assert await peer.heard() == Frame(BINARY, b"third")


class HalfBroken(trio.abc.Stream):
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


async def test_a_broken_stream_is_1006_and_its_last_messages_are_received(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    near, far = memory_stream_pair()
    peer = Peer(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.accept)
        async with dialled(transport, HalfBroken(near), URL, DialOptions()) as connection:
            with pytest.raises(ClosedByPeer, match="1006 Broken pipe"):
                await connection.send([b"x"])
            await peer.say(frame(PING), frame(BINARY, b"last"), frame(PING), frame(TEXT, b"words"))
            await trio.aclose_forcefully(far)
            received: list[bytes | bytearray] = []
            while len(received) < 2:
                received += (await connection.receive())[0]
            assert received == [b"last", b"words"]
            with pytest.raises(ClosedByPeer, match="1006 Connection reset by peer"):
                await connection.receive()


@pytest.mark.parametrize("lockstep", [False, True])
async def test_leaving_a_mute_peer_takes_the_close_timeout(
    transport: ModuleType, autojump_clock: MockClock, lockstep: bool
) -> None:
    start = trio.current_time()
    async with connected(transport, DialOptions(close_timeout=1.5), lockstep=lockstep):
        pass
    assert trio.current_time() - start == pytest.approx(1.5)


@pytest.mark.parametrize("ends", [False, True])
async def test_leaving_after_bad_data_waits_for_the_peers_end(
    transport: ModuleType, autojump_clock: MockClock, ends: bool
) -> None:
    start = trio.current_time()
    async with connected(transport, DialOptions(close_timeout=1.5)) as (connection, peer):
        await peer.say(frame(TEXT, b"\xff"))
        with pytest.raises(BadData):
            await connection.receive()
        if ends:
            await peer.stream.aclose()
    assert trio.current_time() - start == pytest.approx(0 if ends else 1.5)


async def test_leaving_a_peer_that_answers_takes_no_time(transport: ModuleType, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        async with connected(transport) as (connection, peer):
            await peer.say(frame(BINARY, b"unread") * 5)
            nursery.start_soon(answer_all, peer)
        assert trio.current_time() == start
        with pytest.raises(ClosedByPeer, match="closed on our side"):
            await connection.receive()


async def test_leaving_after_the_peers_goodbye_takes_no_time(transport: ModuleType, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected(transport) as (connection, peer):
        await peer.say(closing(1001))
        with pytest.raises(ClosedByPeer):
            await connection.receive()
    assert trio.current_time() == start
    assert await peer.heard() == Frame(CLOSE, (1001).to_bytes(2))
    assert await peer.heard() is None


async def test_leaving_when_cancelled_says_goodbye_and_waits_for_nothing(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    start = trio.current_time()
    with trio.move_on_after(5):
        async with connected(transport) as (connection, peer):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(5)
    assert await peer.heard() == Frame(CLOSE, (1000).to_bytes(2))
    assert await peer.heard() is None


async def test_leaving_when_cancelled_with_a_stuck_write_is_bounded(
    transport: ModuleType, autojump_clock: MockClock
) -> None:
    start = trio.current_time()
    with trio.move_on_after(5):
        async with connected(transport, DialOptions(close_timeout=1), lockstep=True) as (connection, _):
            await connection.receive()
    assert trio.current_time() - start == pytest.approx(6)


async def test_the_opening_has_its_time_limit(transport: ModuleType, autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    with pytest.raises(TimedOut, match=r"^venue\.example:80: no connection within 7 s$"):
        await dialled(transport, near, URL, DialOptions(connect_timeout=7)).__aenter__()
    assert trio.current_time() == pytest.approx(7)
    assert (await far.receive_some()).startswith(b"GET /feed HTTP/1.1\r\n")
    assert await far.receive_some() == b""


async def test_a_cancelled_opening_closes_the_stream(transport: ModuleType) -> None:
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialled(transport, near, URL, DialOptions()).__aenter__)
        assert (await far.receive_some()).startswith(b"GET /feed HTTP/1.1\r\n")
        nursery.cancel_scope.cancel()
    assert await far.receive_some() == b""


async def test_a_stream_that_breaks_in_the_handshake_is_told(transport: ModuleType) -> None:
    near, far = memory_stream_pair()
    await far.aclose()
    with pytest.raises(ConnectFailed, match=r"^venue\.example:80: "):
        await dialled(transport, near, URL, DialOptions()).__aenter__()
