"""TcpStream over loopback."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from feedbus.transport.tcp import READ_SIZE, TcpStream


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[TcpStream, trio.SocketStream]]:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        near = await trio.open_tcp_stream(*listener.socket.getsockname())
        far = await listener.accept()
    async with TcpStream(near) as stream, far:
        yield stream, far


async def test_what_was_sent_is_received_both_ways() -> None:
    async with pair() as (near, far):
        await far.send_all(b"question")
        assert await near.receive_some() == b"question"
        await near.wait_send_all_might_not_block()
        await near.send_all(b"answer")
        assert await far.receive_some() == b"answer"


async def test_a_read_is_bounded() -> None:
    async with pair() as (near, far):
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


async def test_the_end_of_the_stream_is_no_data() -> None:
    async with pair() as (near, far):
        await far.aclose()
        assert await near.receive_some() == b""


async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    async with pair() as (near, far):
        with trio.move_on_after(0.001) as scope:
            await near.receive_some()
        assert scope.cancelled_caught
        await far.send_all(b"data")
        with trio.CancelScope() as scope:
            scope.cancel()
            await near.receive_some()
        assert await near.receive_some() == b"data"


async def test_closing_wakes_a_blocked_read() -> None:
    async with pair() as (near, _), trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def test_a_reset_is_a_broken_stream() -> None:
    async with pair() as (near, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await far.aclose()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await near.receive_some()
        assert isinstance(caught.value.__cause__, ConnectionResetError)
