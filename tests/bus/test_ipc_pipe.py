"""One connection of a subscriber, with publishers that lie, leave and come again."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus.ipc_pipe import MAX_PATH, READ_SIZE, IpcPipe
from feedbus.bus.sp_messages import GREETING, PUBLISHER
from feedbus.errors import BadAddress

PATIENCE = 5.0  # seconds; only a failing test waits that long
LIMIT = 2 * READ_SIZE


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(PATIENCE)
        made.bind(f"{tmp_path}/bus.ipc")
        made.listen()
        yield made


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[IpcPipe]:
    with closing(IpcPipe(f"ipc://{tmp_path}/bus.ipc", (b"",), LIMIT)) as made:
        yield made


def read(pipe: IpcPipe) -> list[bytes] | None:
    """What the pipe reads once it has something to read."""
    assert select.select([pipe.fd], [], [], PATIENCE)[0]
    return pipe.read()


def framed(message: bytes) -> bytes:
    return b"\x01" + len(message).to_bytes(8) + message


def test_a_pipe_is_opened_again_and_forgets_what_the_lost_publisher_had_begun_to_say(
    pipe: IpcPipe, listener: socket.socket
) -> None:
    for _ in range(2):
        assert pipe.open()
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(len(GREETING)) == GREETING
            assert pipe.read() == []
            assert not pipe.connected
            peer.sendall(PUBLISHER + framed(b"one") + framed(b"never finished")[:-1])
            assert read(pipe) == [b"one"]
            assert pipe.connected
        assert read(pipe) is None
        pipe.close()
        assert (pipe.connected, pipe.fd) == (False, -1)


def test_who_is_no_publisher_loses_the_connection(pipe: IpcPipe, listener: socket.socket) -> None:
    assert pipe.open()
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"220 mail.example ESMTP\r\n")
        assert read(pipe) is None
        assert not pipe.connected
        pipe.close()
        assert peer.recv(len(GREETING)) == GREETING
        assert peer.recv(1) == b""


def test_a_read_is_bounded(pipe: IpcPipe, listener: socket.socket) -> None:
    assert pipe.open()
    peer, _ = listener.accept()
    with peer:
        peer.setblocking(False)
        peer.send(PUBLISHER + framed(bytes(1000)) * 100)  # more than one read, less than the kernel keeps
        first = read(pipe)
        assert first is not None
        assert len(first) == (READ_SIZE - len(PUBLISHER)) // 1009
        assert len(read(pipe) or ()) == 100 - len(first)


def test_nobody_there_is_no_error(pipe: IpcPipe, tmp_path: Path) -> None:
    assert not pipe.open()
    (tmp_path / "bus.ipc").touch()
    assert not pipe.open()


@pytest.mark.parametrize("path", ["", "a\0b", "x" * (MAX_PATH + 1), "\N{CYRILLIC SMALL LETTER ZHE}" * 54])
def test_a_path_that_no_socket_can_have_is_a_bad_address(path: str) -> None:
    with pytest.raises(BadAddress, match="can't subscribe at"):
        IpcPipe(f"ipc://{path}", (b"",), LIMIT)
