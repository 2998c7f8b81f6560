"""TcpStream over loopback, waiting for itself alone and in rounds."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.transport.rounds import Rounds, WatchedSocket
from feedbus.transport.tcp import READ_SIZE, TcpStream

Pair = tuple[TcpStream, trio.SocketStream]


@pytest.fixture(params=["alone", "in rounds"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Our end, in both ways of waiting, and the other end as trio has it."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        connected = await trio.open_tcp_stream(*listener.socket.getsockname())
        far = await listener.accept()
        rounds = Rounds(0.001) if request.param == "in rounds" else None
        if rounds is not None:
            nursery.start_soon(rounds.run)
        async with TcpStream(connected, rounds) as near, far:
            yield near, far
        nursery.cancel_scope.cancel()
    if rounds is not None:
        rounds.close()


async def test_what_was_sent_is_received_both_ways(pair: Pair) -> None:
    near, far = pair
    await far.send_all(b"question")
    assert await near.receive_some() == b"question"
    await near.wait_send_all_might_not_block()
    await near.send_all(b"answer")
    assert await far.receive_some() == b"answer"


async def test_a_read_is_bounded(pair: Pair) -> None:
    near, far = pair
    await far.send_all(b"abcdef")
    assert await near.receive_some(4) == b"abcd"
    assert await near.receive_some() == b"ef"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.send_all, b"x" * 10 * READ_SIZE)
        received = 0
        while received < 10 * READ_SIZE:
            data = await near.receive_some()
            assert len(data) <= READ_SIZE
            received += len(data)


async def test_the_end_of_the_stream_is_no_data(pair: Pair) -> None:
    near, far = pair
    await far.aclose()
    assert await near.receive_some() == b""


async def test_a_read_that_is_cancelled_loses_nothing(pair: Pair) -> None:
    near, far = pair
    with trio.move_on_after(0.001) as scope:
        await near.receive_some()
    assert scope.cancelled_caught
    await far.send_all(b"data")
    with trio.CancelScope() as scope:
        scope.cancel()
        await near.receive_some()
    assert await near.receive_some() == b"data"


async def test_closing_wakes_a_blocked_read(pair: Pair) -> None:
    near, _far = pair
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def test_a_reset_is_a_broken_stream(pair: Pair) -> None:
    near, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError) as caught:
        await near.receive_some()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_the_end_and_a_reset_are_told_as_often_as_one_asks(pair: Pair) -> None:
    near, far = pair
    await far.aclose()
    for _ in range(3):
        assert await near.receive_some() == b""


async def test_more_than_one_read_holds_is_read_without_another_word_from_the_peer(pair: Pair) -> None:
    near, far = pair
    await far.send_all(b"x" * 100)
    assert len(await near.receive_some(60)) == 60
    with trio.fail_after(5):
        assert len(await near.receive_some(60)) == 40


async def test_an_end_that_came_together_with_the_last_data_is_told_after_it(pair: Pair) -> None:
    near, far = pair
    assert not isinstance(await receive_nothing(near), bytes)
    await far.send_all(b"last words")
    await far.aclose()
    with trio.fail_after(5):
        assert await near.receive_some() == b"last words"
        assert await near.receive_some() == b""


class BrokenRounds(Rounds):
    """Rounds with a bug, which shows when a socket has been read and its task waits again."""

    def leave(self, watched: WatchedSocket) -> None:
        raise ValueError("a bug elsewhere")


async def test_a_bug_of_what_runs_while_a_socket_waits_is_not_taken_for_a_closed_socket() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        connected = await trio.open_tcp_stream(*listener.socket.getsockname())
        rounds = BrokenRounds(0.001)
        async with connected:
            near = TcpStream(connected, rounds)
            with pytest.raises(ValueError, match="a bug elsewhere"):
                await near.receive_some()
    rounds.close()


async def receive_nothing(stream: TcpStream) -> bytes | None:
    """A read that finds nothing, so that the next one has to be told."""
    with trio.move_on_after(0.01):
        return await stream.receive_some()
    return None
