"""Accepting connections while the system has no room for another one."""

from __future__ import annotations

import errno
import logging
import os
import resource
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

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
    async with client, PatientListener(FullListener(*[full] * 300, client), LOG) as listener:
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
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_clients_are_served_when_there_are_descriptors_again(caplog: pytest.LogCaptureFixture) -> None:
    ours = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    client = trio.socket.socket()
    async with PatientListener(ours, LOG) as listener, trio.open_nursery() as nursery:
        served = trio.Event()

        async def handler(stream: trio.SocketStream) -> None:
            await stream.aclose()
            served.set()

        with no_descriptors_left():
            nursery.start_soon(trio.serve_listeners, handler, [listener])
            await client.connect(ours.socket.getsockname())
            while not caplog.records:
                await trio.lowlevel.checkpoint()
        await served.wait()
        nursery.cancel_scope.cancel()
    client.close()
    assert caplog.messages[0] == "no connection can be accepted at present: Too many open files"


async def test_an_attempt_without_descriptors_is_a_failed_attempt_in_one_line() -> None:
    with no_descriptors_left(), pytest.raises(ConnectFailed, match=r"^127\.0\.0\.1:9: Too many open files$"):
        await open_stream(parse_address("ws://127.0.0.1:9/"), DialOptions())
