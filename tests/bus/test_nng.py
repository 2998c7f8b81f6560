"""The nng sockets alone: queues, permissions, addresses in use, stale sockets, dialling again."""

from __future__ import annotations

import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus.nng import MESSAGE_SIZE, QUEUE_LIMIT, RECV_MAX_SIZE, STALLED_BYTES, PubSocket, SubSocket, queue_length
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"inproc": f"inproc://{tmp_path}", "ipc": f"ipc://{tmp_path}/bus.ipc"}.get(
        request.param, f"tcp://127.0.0.1:{free_port()}"
    )


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/bus.ipc"


def first(subscriber: SubSocket) -> bytes:
    """The next message, however long it takes."""
    assert select.select([subscriber.fd], [], [], PATIENCE)[0], "no message came"
    return subscriber.drain(1)[0]


def join(publisher: PubSocket, subscriber: SubSocket) -> None:
    """Return when what is published reaches the subscriber, and nothing waits there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        publisher.send(b"join")
        if select.select([subscriber.fd], [], [], 0.01)[0]:
            publisher.send(b"joined")
            while first(subscriber) != b"joined":
                pass
            return
    pytest.fail("the subscriber didn't join")


@pytest.fixture
def pair(address: str) -> Iterator[tuple[PubSocket, SubSocket]]:
    with closing(PubSocket(address, STALLED)) as publisher, closing(SubSocket([address], [b""], STALLED)) as subscriber:
        join(publisher, subscriber)
        yield publisher, subscriber


@pytest.mark.parametrize(
    ("stalled_bytes", "length"),
    [(0, 1), (MESSAGE_SIZE, 1), (10 * MESSAGE_SIZE + 1, 10), (STALLED_BYTES, 4096), (1 << 40, QUEUE_LIMIT)],
)
def test_queue_length_is_the_bound_in_bytes_over_the_message_size(stalled_bytes: int, length: int) -> None:
    assert queue_length(stalled_bytes) == length


def test_sockets_are_given_their_queue_and_message_sizes(ipc: str) -> None:
    with closing(PubSocket(ipc, STALLED)) as publisher, closing(SubSocket([ipc], [b""], STALLED)) as subscriber:
        assert publisher._socket.send_buffer_size == QUEUE
        assert subscriber._socket.recv_buffer_size == QUEUE
        assert subscriber._socket.recv_max_size == RECV_MAX_SIZE
        assert subscriber._socket.reconnect_time_max <= 100


def test_longest_queue_that_we_ask_for_is_one_that_nng_takes(ipc: str) -> None:
    with closing(PubSocket(ipc, 1 << 40)) as publisher, closing(SubSocket([ipc], [b""], 1 << 40)) as subscriber:
        assert publisher._socket.send_buffer_size == QUEUE_LIMIT
        assert subscriber._socket.recv_buffer_size == QUEUE_LIMIT


def test_a_stalled_subscriber_keeps_the_newest_messages_in_order(pair: tuple[PubSocket, SubSocket]) -> None:
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
    with closing(PubSocket(address, STALLED)) as publisher, closing(SubSocket([address], [b""], STALLED)) as subscriber:
        join(publisher, subscriber)
        for _ in range(1000):
            publisher.send(b"message")
        publisher.send(b"end")
        kept = 0
        while first(subscriber) != b"end":
            kept += 1
        assert QUEUE - 1 <= kept <= 2 * QUEUE + 2


def test_drain_takes_at_most_its_limit_and_stays_readable(pair: tuple[PubSocket, SubSocket]) -> None:
    publisher, subscriber = pair
    for number in range(5):
        publisher.send(b"%d" % number)
    taken: list[bytes] = []
    while len(taken) < 5:
        assert select.select([subscriber.fd], [], [], PATIENCE)[0]
        some = subscriber.drain(2)
        assert 1 <= len(some) <= 2
        taken += some
    assert taken == [b"0", b"1", b"2", b"3", b"4"]
    assert subscriber.drain(2) == []


def test_only_what_begins_with_a_prefix_comes(ipc: str) -> None:
    with closing(PubSocket(ipc)) as publisher, closing(SubSocket([ipc], [b"join", b"a.b\0"])) as subscriber:
        join(publisher, subscriber)
        for message in (b"a.bc\0", b"a.b", b"b.b\0", b"a.b\0yes"):
            publisher.send(message)
        assert first(subscriber) == b"a.b\0yes"


def test_a_message_of_the_largest_size_passes(pair: tuple[PubSocket, SubSocket]) -> None:
    publisher, subscriber = pair
    publisher.send(b"x" * RECV_MAX_SIZE)
    assert len(first(subscriber)) == RECV_MAX_SIZE


def test_a_missing_publisher_is_dialled_until_it_is_there(address: str) -> None:
    with closing(SubSocket([address], [b""])) as subscriber:
        assert not select.select([subscriber.fd], [], [], 0.3)[0]
        with closing(PubSocket(address)) as publisher:
            start = time.monotonic()
            join(publisher, subscriber)
            assert time.monotonic() - start < 3


def test_a_lost_publisher_is_dialled_again(address: str) -> None:
    with closing(SubSocket([address], [b""])) as subscriber:
        for _ in range(3):
            with closing(PubSocket(address)) as publisher:
                start = time.monotonic()
                join(publisher, subscriber)
                assert time.monotonic() - start < 3


def test_a_second_listener_on_a_live_address_is_refused_and_disturbs_nobody(address: str) -> None:
    with closing(PubSocket(address)) as publisher, closing(SubSocket([address], [b""])) as subscriber:
        join(publisher, subscriber)
        with pytest.raises(BusError, match=r"can't publish at .*(in use|: another process publishes there)$"):
            PubSocket(address)
        publisher.send(b"still here")
        assert first(subscriber) == b"still here"


def test_stale_socket_of_a_killed_process_is_taken_over(ipc: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", ABANDONS_ITS_SOCKET, ipc], stdout=subprocess.PIPE)
    with child, closing(SubSocket([ipc], [b""])) as subscriber:
        assert child.stdout is not None
        assert child.stdout.readline() == b"listening\n"
        child.kill()
        child.wait()
        assert Path(ipc.removeprefix("ipc://")).is_socket()
        with closing(PubSocket(ipc)) as publisher:
            join(publisher, subscriber)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("precious")
    with pytest.raises(BusError, match=r"can't publish at .*orders.csv: a file that isn't a socket is there"):
        PubSocket(f"ipc://{path}")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("umask", "modes"),
    [
        (0o022, [0o700, 0o700, 0o600]),
        (0o000, [0o770, 0o770, 0o660]),
        (0o007, [0o770, 0o770, 0o660]),
        (0o077, [0o700, 0o700, 0o600]),
    ],
)
def test_directories_and_socket_are_for_us_alone_and_our_group_where_the_umask_has_it_write(
    tmp_path: Path, umask: int, modes: list[int]
) -> None:
    path = tmp_path / "run" / "feedbus" / "bus.ipc"
    before = os.umask(umask)
    try:
        with closing(PubSocket(f"ipc://{path}")):
            found = [stat.S_IMODE(made.stat().st_mode) for made in (path.parent.parent, path.parent, path)]
            assert found == modes
        assert os.umask(umask) == umask, "the umask is put back"
    finally:
        os.umask(before)


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with closing(PubSocket(f"ipc://{tmp_path}/bus.ipc")):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_closing_removes_the_socket_file(ipc: str) -> None:
    PubSocket(ipc).close()
    assert not Path(ipc.removeprefix("ipc://")).exists()


@pytest.mark.parametrize("bad", ["nonsense", "", "ipc://", "tcp://127.0.0.1:99999", "ipc://" + "x" * 200])
def test_what_is_no_address_to_listen_on_is_an_error_in_one_line(bad: str) -> None:
    with pytest.raises(BusError, match=r"\Acan't publish at [^\n]+\Z"):
        PubSocket(bad)


@pytest.mark.parametrize("bad", ["nonsense", "", "ipc://", "tcp://127.0.0.1", "ipc://" + "x" * 200])
def test_what_is_no_address_to_dial_is_an_error_in_one_line(bad: str) -> None:
    with pytest.raises(BusError, match=r"\Acan't subscribe at [^\n]+\Z"):
        SubSocket(["inproc://good", bad], [b""])


def test_a_directory_that_cannot_be_made_is_an_error_of_the_bus(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = os.umask(0o022)
    try:
        with pytest.raises(BusError, match="can't publish"):
            PubSocket(f"ipc://{tmp_path}/file/bus.ipc")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_closed_sockets_say_so_and_may_be_closed_again(ipc: str) -> None:
    publisher, subscriber = PubSocket(ipc), SubSocket([ipc], [b""])
    for _ in range(2):
        publisher.close()
        subscriber.close()
    with pytest.raises(BusError):
        publisher.send(b"x")
    with pytest.raises(BusError):
        subscriber.drain(1)
    assert subscriber.closed
