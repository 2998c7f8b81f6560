"""Looking after a socket, which the test loses and takes away."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.bus.socket_guard import CHECK_EVERY, SocketGuard
from feedbus.errors import BusError


class Losable:
    address = "ipc:///run/events.ipc"

    def __init__(self) -> None:
        self.why: str | None = None
        self.taken = False

    def lost(self) -> str | None:
        return self.why

    def bind_again(self) -> None:
        if self.taken:
            raise BusError("can't publish at x: another process publishes there")
        self.why = None


async def test_a_lost_socket_is_bound_again_as_soon_as_it_can_be_and_said_meanwhile(
    mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    socket = Losable()
    guard = SocketGuard(socket)
    nursery.start_soon(guard.run)
    await wait_all_tasks_blocked()

    async def later() -> str | None:
        mock_clock.jump(CHECK_EVERY)
        await wait_all_tasks_blocked()
        return guard.overdue(mock_clock.current_time())

    assert await later() is None
    socket.why = "its socket was deleted"
    assert guard.overdue(0) == "the bus: nobody can subscribe at ipc:///run/events.ipc: its socket was deleted"
    assert await later() is None
    socket.why, socket.taken = "its socket was deleted", True
    assert [await later() is None for _ in range(3)] == [False] * 3
    socket.taken = False
    assert await later() is None
    assert [record.getMessage() for record in caplog.records] == [
        "its socket was deleted: it is bound again at ipc:///run/events.ipc",
        "its socket was deleted, and can't publish at x: another process publishes there",
        "its socket was deleted: it is bound again at ipc:///run/events.ipc",
    ]
