"""Accepting connections while the system has no room for another one."""

from __future__ import annotations

import errno
import logging
import os
import resource
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from feedbus.errors import ConnectFailed
from feedbus.telemetry.listening import PatientListener
from feedbus.transport import DialOptions
from feedbus.transport.handshake import parse_address
from feedbus.transport.streams import open_stream

LOG = logging.getLogger("feedbus.test")


class FullListener(trio.abc.Listener[trio.SocketStream]):
    """Answers each accept with the next of these: an error, or a client."""

    def __init__(self, *answers: OSError | trio.SocketStream) -> None:
        self._answers = deque(answers)

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        answer = self._answers.popleft()
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_lack_of_descriptors_is_one_line_without_a_traceback_and_another_when_it_is_over(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    full = OSError(errno.EMFILE, "Too many open files")
    client = trio.SocketStream(trio.socket.socket())
    async with client, PatientListener(FullListener(*[full] * 600, client), LOG) as listener:
        assert await listener.accept() is client
    assert caplog.messages == [
        "no connection can be accepted at present: Too many open files",
        "connections are accepted again, after 30.0 s",
    ]
    assert not any(record.exc_info for record in caplog.records)


async def test_other_errors_are_not_waited_out() -> None:
    listener = PatientListener(FullListener(OSError(errno.EINVAL, "Invalid argument")), LOG)
    with pytest.raises(OSError, match="Invalid argument"):
        await listener.accept()


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    gaps: list[int] = []
    while (free := os.dup(0)) <= highest:
        gaps.append(free)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for gap in gaps:
            os.close(gap)


async def test_one_client_is_served_without_descriptors_and_the_next_when_there_are_some_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    clients = [trio.socket.socket() for _ in range(2)]
    served: list[trio.SocketStream] = []
    async with PatientListener(ours, LOG) as listener, trio.open_nursery() as nursery:

        async def handler(stream: trio.SocketStream) -> None:
            served.append(stream)
            await trio.sleep_forever()

        with no_descriptors_left(), trio.fail_after(20):
            nursery.start_soon(trio.serve_listeners, handler, [listener])
            for client in clients:
                await client.connect(ours.socket.getsockname())
            while not (caplog.records and served):
                await trio.lowlevel.checkpoint()
            assert len(served) == 1
        with trio.fail_after(20):
            while len(served) < 2:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    for end in (*clients, *(stream.socket for stream in served)):
        end.close()
    assert caplog.messages[0] == "no connection can be accepted at present: Too many open files"


async def test_an_attempt_without_descriptors_is_a_failed_attempt_in_one_line() -> None:
    with no_descriptors_left(), pytest.raises(ConnectFailed, match=r"^127\.0\.0\.1:9: Too many open files$"):
        await open_stream(parse_address("ws://127.0.0.1:9/"), DialOptions())
