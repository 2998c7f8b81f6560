"""Opening a stream and ending it, and tasks in the background. Connecting and TLS are test_contract.py's."""

from __future__ import annotations

import errno
import os

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from feedbus.errors import ConnectFailed, TimedOut
from feedbus.transport import DialOptions
from feedbus.transport.handshake import parse_address
from feedbus.transport.rounds import Rounds, WatchedSocket
from feedbus.transport.streams import abandon, background, closed_on_failure, open_stream, time_limit

ADDRESS = parse_address("wss://venue.example/feed?token=hush")


async def test_a_stream_is_abandoned_even_when_cancelled() -> None:
    near, far = memory_stream_pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await abandon(near)
    assert await far.receive_some() == b""


async def test_the_time_limit_is_for_all_of_the_body(autojump_clock: MockClock) -> None:
    with pytest.raises(TimedOut, match=r"^venue\.example:443: no connection within 3 s$"):  # noqa: PT012
        limit = time_limit(ADDRESS, DialOptions(connect_timeout=3))
        with limit:
            await trio.sleep(2)
            await trio.sleep(2)
    with time_limit(ADDRESS, DialOptions(connect_timeout=3)):
        await trio.sleep(2)


@pytest.mark.parametrize("error", [KeyError("x"), trio.BrokenResourceError("torn"), ConnectFailed("no")])
async def test_a_failure_closes_the_stream(error: Exception) -> None:
    near, far = memory_stream_pair()
    expected = ConnectFailed if isinstance(error, trio.BrokenResourceError) else type(error)
    with pytest.raises(expected):
        async with closed_on_failure(near, ADDRESS):
            raise error
    assert await far.receive_some() == b""


async def test_without_a_failure_the_stream_stays_open() -> None:
    near, far = memory_stream_pair()
    async with closed_on_failure(near, ADDRESS):
        await near.send_all(b"x")
    assert await far.receive_some() == b"x"


async def test_a_cancelled_tls_handshake_closes_the_socket() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_stream, parse_address(f"wss://127.0.0.1:{port}/"), DialOptions())
        async with await listener.accept() as peer:
            assert await peer.receive_some(1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                async for _ in peer:
                    pass
    await listener.aclose()


class FullRounds(Rounds):
    """Rounds whose kernel watches no more sockets."""

    def watch(self, fd: int) -> WatchedSocket:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_socket_that_can_not_be_watched_is_closed_and_that_is_a_failed_attempt() -> None:
    rounds = FullRounds(0.001)
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(ConnectFailed, match="No space left on device"):
            await open_stream(parse_address(f"ws://127.0.0.1:{port}/"), DialOptions(rounds=rounds))
        async with await listener.accept() as peer:
            assert await peer.receive_some(1) == b""
    rounds.close()


async def test_what_the_body_raises_leaves_as_itself_and_ends_the_background() -> None:
    ended = []

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with background() as nursery:
            nursery.start_soon(forever)
            await trio.testing.wait_all_tasks_blocked()
            raise error
    assert caught.value is error
    assert ended == [True]


async def test_a_cancellation_from_outside_passes_through_the_background() -> None:
    with trio.CancelScope() as scope:
        async with background() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_error_survives_a_cancellation_from_outside() -> None:
    with trio.CancelScope() as scope, pytest.raises(KeyError):  # noqa: PT012
        async with background() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            raise KeyError
    assert not scope.cancelled_caught
