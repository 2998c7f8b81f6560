"""The receiving socket with a publisher: over ipc:// it reads the stream itself, over the others nng does it, and both
keep the same promises."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus.nng import (
    DRAIN,
    MESSAGE_SIZE,
    RECV_MAX_SIZE,
    PubSocket,
)
from feedbus.bus.sub_socket import SubSocket
from feedbus.errors import BusError

PATIENCE = 5.0  # seconds; only a failing test waits that long
QUEUE = 8  # messages
STALLED = QUEUE * MESSAGE_SIZE

ABANDONS_ITS_SOCKET = """
import sys, time
from feedbus.bus.nng import PubSocket
socket = PubSocket(sys.argv[1])
print("listening", flush=True)
time.sleep(60)
"""


class Subscriber(SubSocket):
    """A socket from which messages are taken one by one."""

    left: tuple[bytes, ...] = ()

    def first(self, patience: float = PATIENCE) -> bytes | None:
        """The next message, None when none comes in time."""
        end = time.monotonic() + patience
        while not self.left and time.monotonic() < end:
            self.left = tuple(self.drain(max(0.0, end - time.monotonic())))
        message, self.left = (self.left[0], self.left[1:]) if self.left else (None, ())
        return message


def first(subscriber: Subscriber) -> bytes:
    message = subscriber.first()
    assert message is not None, "no message came"
    return message


def join(publisher: PubSocket, subscriber: Subscriber) -> None:
    """Return when what is published reaches the subscriber, and nothing waits there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        publisher.send(b"join")
        if subscriber.first(0.01):
            publisher.send(b"joined")
            while first(subscriber) != b"joined":
                pass
            return
    pytest.fail("the subscriber didn't join")


@pytest.fixture
def pair(address: str) -> Iterator[tuple[PubSocket, Subscriber]]:
    with (
        closing(PubSocket(address, STALLED)) as publisher,
        closing(Subscriber([address], [b""], STALLED)) as subscriber,
    ):
        join(publisher, subscriber)
        yield publisher, subscriber


def test_a_stalled_subscriber_keeps_the_newest_messages_in_order(pair: tuple[PubSocket, Subscriber]) -> None:
    publisher, subscriber = pair
    for number in range(6000):
        publisher.send(number.to_bytes(2, "big") + bytes(4096))
    publisher.send(b"end")
    kept = []
    while (message := first(subscriber)) != b"end":
        kept.append(int.from_bytes(message[:2], "big"))
    assert kept == sorted(kept)
    assert kept[-1] == 5999
    assert len(kept) < 6000


def test_both_queues_bound_what_waits(tmp_path: Path) -> None:
    address = f"inproc://{tmp_path}"  # has no kernel buffer between the two queues
    with (
        closing(PubSocket(address, STALLED)) as publisher,
        closing(Subscriber([address], [b""], STALLED)) as subscriber,
    ):
        join(publisher, subscriber)
        for _ in range(1000):
            publisher.send(b"message")
        publisher.send(b"end")
        kept = 0
        while first(subscriber) != b"end":
            kept += 1
        assert QUEUE - 1 <= kept <= 2 * QUEUE + 2


def test_drain_takes_a_bounded_number_and_stays_readable(pair: tuple[PubSocket, Subscriber]) -> None:
    publisher, subscriber = pair
    sent = [b"%05d" % number + bytes(MESSAGE_SIZE) for number in range(QUEUE)]
    for message in sent:
        publisher.send(message)
    taken: list[bytes] = []
    while len(taken) < QUEUE:
        assert select.select([subscriber.fd], [], [], PATIENCE)[0]
        some = subscriber.drain()
        assert len(some) <= DRAIN
        taken += some
    assert taken == sent
    assert subscriber.drain() == []


def test_only_what_begins_with_a_prefix_comes(ipc: str) -> None:
    with closing(PubSocket(ipc)) as publisher, closing(Subscriber([ipc], [b"join", b"a.b\0"])) as subscriber:
        join(publisher, subscriber)
        for message in (b"a.bc\0", b"a.b", b"b.b\0", b"a.b\0yes"):
            publisher.send(message)
        assert first(subscriber) == b"a.b\0yes"


def test_a_message_of_the_largest_size_passes(pair: tuple[PubSocket, Subscriber]) -> None:
    publisher, subscriber = pair
    publisher.send(b"x" * RECV_MAX_SIZE)
    assert len(first(subscriber)) == RECV_MAX_SIZE


def test_a_missing_publisher_is_dialled_until_it_is_there(address: str) -> None:
    with closing(Subscriber([address], [b""])) as subscriber:
        assert subscriber.first(0.3) is None
        with closing(PubSocket(address)) as publisher:
            start = time.monotonic()
            join(publisher, subscriber)
            assert time.monotonic() - start < 3


def test_a_lost_publisher_is_dialled_again(address: str) -> None:
    with closing(Subscriber([address], [b""])) as subscriber:
        for _ in range(3):
            with closing(PubSocket(address)) as publisher:
                start = time.monotonic()
                join(publisher, subscriber)
                assert time.monotonic() - start < 3


def test_a_second_listener_on_a_live_address_is_refused_and_disturbs_nobody(address: str) -> None:
    with closing(PubSocket(address)) as publisher, closing(Subscriber([address], [b""])) as subscriber:
        join(publisher, subscriber)
        with pytest.raises(BusError, match=r"can't publish at .*(in use|: another process publishes there)$"):
            PubSocket(address)
        publisher.send(b"still here")
        assert first(subscriber) == b"still here"


def test_stale_socket_of_a_killed_process_is_taken_over(ipc: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", ABANDONS_ITS_SOCKET, ipc], stdout=subprocess.PIPE)
    with child, closing(Subscriber([ipc], [b""])) as subscriber:
        assert child.stdout is not None
        assert child.stdout.readline() == b"listening\n"
        child.kill()
        child.wait()
        assert Path(ipc.removeprefix("ipc://")).is_socket()
        with closing(PubSocket(ipc)) as publisher:
            join(publisher, subscriber)


@pytest.mark.parametrize("bad", ["nonsense", "", "ipc://", "tcp://127.0.0.1", "ipc://" + "x" * 200])
def test_what_is_no_address_to_dial_is_an_error_in_one_line(bad: str) -> None:
    with pytest.raises(BusError, match=r"\Acan't subscribe at [^\n]+\Z"):
        SubSocket(["inproc://good", bad], [b""])


def test_closed_sockets_say_so_and_may_be_closed_again(ipc: str) -> None:
    publisher, subscriber = PubSocket(ipc), SubSocket([ipc], [b""])
    for _ in range(2):
        publisher.close()
        subscriber.close()
    with pytest.raises(BusError):
        publisher.send(b"x")
    with pytest.raises(BusError):
        subscriber.drain()
    assert subscriber.closed


def test_the_end_of_a_publisher_is_seen_once_though_a_forked_process_has_a_copy_of_the_socket(ipc: str) -> None:
    with closing(Subscriber([ipc], [b""])) as subscriber:
        with closing(PubSocket(ipc)) as publisher:
            join(publisher, subscriber)
            copies = [os.dup(fd) for fd in subscriber._open]  # what a fork leaves in the other process
            assert copies
        try:
            assert subscriber.drain(PATIENCE) == []  # the end
            subscriber._redial.stop()
            assert not select.select([subscriber.fd], [], [], 0.05)[0]
        finally:
            for copy in copies:
                os.close(copy)


def test_whoever_waits_can_be_woken_and_finds_no_message() -> None:
    with closing(SubSocket([], [b""])) as waiting, select.epoll() as poll:
        poll.register(waiting.fd, select.EPOLLIN)
        for _ in range(2):
            assert poll.poll(0) == []
            waiting.wake()
            waiting.wake()
            assert poll.poll(0) != []
            assert not waiting.has_messages()
            assert waiting.drain() == []
