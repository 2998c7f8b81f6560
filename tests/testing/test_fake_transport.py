"""The fake transport keeps the promises of the seam that tests lean on."""

from __future__ import annotations

import pytest
import trio

from feedbus.errors import ClosedByPeer, ConnectFailed
from feedbus.testing.fake_transport import FakeDial
from feedbus.transport import Dial, DialOptions


async def test_what_is_delivered_comes_in_order_and_then_the_failure() -> None:
    fake = FakeDial()
    dial: Dial = fake
    async with dial("ws://venue/", DialOptions()) as connection:
        fake.connections[0].deliver(b"a", b"b", ts_recv=7)
        fake.connections[0].fail(ClosedByPeer(1000))
        assert await connection.receive() == ([b"a", b"b"], 7)
        with pytest.raises(ClosedByPeer):
            await connection.receive()
        assert (connection.messages_received, connection.bytes_received) == (2, 2)


async def test_what_is_sent_is_noted_and_nothing_after_the_close() -> None:
    fake = FakeDial()
    async with fake("ws://venue/", DialOptions()) as connection:
        await connection.send([b"x", "y"])
    assert connection.sent == [b"x", "y"]
    with pytest.raises(ClosedByPeer):
        await connection.send([b"late"])


async def test_attempts_are_refused_as_the_test_says() -> None:
    fake = FakeDial(lambda number: ConnectFailed("no") if number == 0 else None)
    with pytest.raises(ConnectFailed):
        async with fake("ws://venue/", DialOptions()):
            raise AssertionError("not reached")
    async with fake("ws://venue/", DialOptions()):
        pass
    assert len(fake.attempts) == 2


async def test_a_cancelled_receive_loses_nothing() -> None:
    fake = FakeDial()
    async with fake("ws://venue/", DialOptions()) as connection:
        with trio.move_on_after(0):
            await connection.receive()
        connection.deliver(b"a")
        assert await connection.receive() == ([b"a"], 0)
