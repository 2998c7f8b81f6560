"""The nng sockets alone: queues, permissions, addresses in use, stale sockets."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus.nng import (
    MESSAGE_SIZE,
    QUEUE_LIMIT,
    RECV_MAX_SIZE,
    STALLED_BYTES,
    NngSubscriber,
    PubSocket,
    queue_length,
)
from feedbus.errors import BusError

PATIENCE = 5.0  # seconds; only a failing test waits that long
QUEUE = 8  # messages
STALLED = QUEUE * MESSAGE_SIZE


@pytest.mark.parametrize(
    ("stalled_bytes", "length"),
    [(0, 1), (MESSAGE_SIZE, 1), (10 * MESSAGE_SIZE + 1, 10), (STALLED_BYTES, 4096), (1 << 40, QUEUE_LIMIT)],
)
def test_queue_length_is_the_bound_in_bytes_over_the_message_size(stalled_bytes: int, length: int) -> None:
    assert queue_length(stalled_bytes) == length


@pytest.mark.parametrize(("stalled_bytes", "length"), [(STALLED, QUEUE), (1 << 40, QUEUE_LIMIT)])
def test_sockets_are_given_their_queue_and_message_sizes(ipc: str, stalled_bytes: int, length: int) -> None:
    with closing(PubSocket(ipc, stalled_bytes)) as publisher, closing(NngSubscriber([b""], stalled_bytes)) as reader:
        assert publisher._socket.send_buffer_size == length
        assert reader._socket.recv_buffer_size == length
        assert reader._socket.recv_max_size == RECV_MAX_SIZE
        assert reader._socket.reconnect_time_max <= 100


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


def test_a_directory_that_cannot_be_made_is_an_error_of_the_bus(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = os.umask(0o022)
    try:
        with pytest.raises(BusError, match="can't publish"):
            PubSocket(f"ipc://{tmp_path}/file/bus.ipc")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
