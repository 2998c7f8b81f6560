"""What is particular to the transport over trio-websocket; the seam's promises are test_contract.py's."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from feedbus.errors import BadData, ConfigError, ConnectFailed
from feedbus.transport import DialOptions, trio_ws
from feedbus.transport.trio_ws import TrioWebSocket
from tests.transport.peer import BINARY, CLOSE, TEXT, Frame, Peer, closing, dialled, frame

URL = "ws://venue.example/feed?token=hush"


@asynccontextmanager
async def connected(behind: bytes = b"") -> AsyncIterator[tuple[TrioWebSocket, Peer]]:
    near, far = memory_stream_pair()
    peer = Peer(far)
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            await peer.accept(behind=behind)

        nursery.start_soon(accept)
        async with dialled(trio_ws, near, URL, DialOptions(close_timeout=0)) as connection:
            yield connection, peer


async def test_compression_is_the_operators_error() -> None:
    expected = "^trio-websocket has no compression for clients; use the transport sansio$"
    with pytest.raises(ConfigError, match=expected):
        await trio_ws.dial(URL, DialOptions(compression=True)).__aenter__()


async def test_each_receive_gives_one_message() -> None:
    async with connected(behind=frame(BINARY, b"one") + frame(TEXT, b"two")) as (connection, _):
        first, then = await connection.receive(), await connection.receive()
        assert (first[0], then[0]) == ([b"one"], [b"two"])
        assert first[1] == then[1]
        assert connection.messages_received == 2


async def test_the_time_is_that_of_the_read_which_had_the_message_not_of_a_later_one() -> None:
    async with connected() as (connection, peer):
        await peer.say(frame(BINARY, b"one"))
        await wait_all_tasks_blocked()
        await peer.say(frame(BINARY, b"two"))
        await wait_all_tasks_blocked()
        assert (await connection.receive())[1] < (await connection.receive())[1]


async def test_nobody_has_to_receive_for_bad_data_to_end_the_connection() -> None:
    async with connected() as (connection, peer):
        await peer.say(frame(TEXT, b"\xff"))
        await wait_all_tasks_blocked()
        await peer.say(b"x" * 1_000_000)
        await wait_all_tasks_blocked()
        assert connection.bytes_received == 3
        told = await peer.heard_close()
        assert told is not None
        assert told[0] == 1007
        with pytest.raises(BadData):
            await connection.send([b"x"])


async def test_the_library_knows_no_close_code_1014() -> None:
    async with connected(behind=closing(1014)) as (connection, _):
        with pytest.raises(BadData, match="reserved code"):
            await connection.receive()


async def test_messages_beyond_the_one_read_ahead_are_left_in_the_socket() -> None:
    async with connected() as (connection, peer):
        await peer.say(frame(BINARY, b"x" * 65_000))
        for _ in range(20):
            await wait_all_tasks_blocked()
            await peer.say(frame(BINARY, b"x" * 65_000))
        await wait_all_tasks_blocked()
        assert connection.bytes_received <= 4 * 65_536


async def test_a_fault_of_the_streams_is_not_let_out_of_the_library() -> None:
    class Faulty(trio.abc.Stream):
        def __init__(self, inner: trio.abc.Stream, good_reads: int) -> None:
            self.inner, self.good_reads = inner, good_reads

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await self.inner.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            data = await self.inner.receive_some(max_bytes)
            self.good_reads -= 1
            if self.good_reads < 0:
                raise RuntimeError("what no stream raises")
            return data

        async def aclose(self) -> None:
            await self.inner.aclose()

    for good_reads in (0, 1):
        near, far = memory_stream_pair()
        peer = Peer(far)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.accept)
            if not good_reads:
                with pytest.raises(ConnectFailed, match="what no stream raises"):
                    await dialled(trio_ws, Faulty(near, good_reads), URL, DialOptions()).__aenter__()
                continue
            async with dialled(trio_ws, Faulty(near, good_reads), URL, DialOptions(close_timeout=0)) as connection:
                await peer.say(frame(BINARY))
                with pytest.raises(BadData, match="the library could not cope: what no stream raises"):
                    await connection.receive()
                assert await peer.heard() == Frame(CLOSE, (1002).to_bytes(2))


async def test_debug_logging_reveals_no_secret(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    with caplog.at_level(logging.DEBUG):
        async with connected(behind=frame(TEXT, b"the venue's secret")) as (connection, _):
            await connection.send(["my password"])
            await connection.receive()
    text = caplog.text
    assert text
    assert not any(secret in text for secret in ("hush", "password", "secret"))
