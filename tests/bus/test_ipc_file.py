"""The socket file of a publisher, on the real file system: deleted, taken by another one, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus import nng
from feedbus.bus.ipc_file import LOCK, IpcFile
from feedbus.bus.nng import PubSocket
from feedbus.bus.sub_socket import SubSocket
from feedbus.errors import BusError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus" / "events.ipc"


@pytest.fixture
def publisher(path: Path) -> Iterator[PubSocket]:
    with closing(PubSocket(f"ipc://{path}")) as made:
        yield made


def received(publisher: PubSocket, subscriber: SubSocket) -> bytes:
    """The first message that comes through; it is sent until then."""
    while not (found := subscriber.drain()):
        publisher.send(b"x")
    return found[0]


def test_a_deleted_file_is_noticed_and_bound_again_and_those_who_have_joined_stay(
    publisher: PubSocket, path: Path
) -> None:
    assert publisher.lost() is None
    with closing(SubSocket([publisher.address], [b""])) as early:
        assert received(publisher, early)
        for _ in range(2):
            path.unlink()
            assert publisher.lost() == "its socket was deleted"
            publisher.bind_again()
            assert publisher.lost() is None
            with closing(SubSocket([publisher.address], [b""])) as late:
                assert received(publisher, late)
            publisher.send(b"still here")
            while b"still here" not in early.drain(1):
                continue


def test_binding_again_and_again_keeps_few_listeners_and_the_newest_file(
    publisher: PubSocket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nng, "MAX_LISTENERS", 2)
    for _ in range(5):
        path.unlink()
        publisher.bind_again()
    assert len(publisher._socket.listeners) == 2
    assert publisher.lost() is None


def test_a_directory_that_was_deleted_is_made_again(publisher: PubSocket, path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()
    publisher.bind_again()
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, path.name + LOCK]


def test_no_second_publisher_takes_an_address_over_although_its_file_was_deleted(
    publisher: PubSocket, path: Path
) -> None:
    path.unlink()
    with pytest.raises(BusError, match=r"^can't publish at ipc://.*: another process publishes there$"):
        PubSocket(publisher.address)
    publisher.bind_again()
    assert publisher.lost() is None


def test_one_that_took_the_address_all_the_same_is_left_alone_and_said(publisher: PubSocket, path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()
    with closing(PubSocket(publisher.address)) as other:
        assert publisher.lost() == "another process has put a socket in its place"
        with pytest.raises(BusError, match="another process publishes there"):
            publisher.bind_again()
        publisher.close()
        assert other.lost() is None


def test_the_end_leaves_nothing_behind_and_a_file_of_a_killed_publisher_is_no_hindrance(path: Path) -> None:
    for _ in range(2):
        PubSocket(f"ipc://{path}").close()
        assert list(path.parent.iterdir()) == []
    killed = IpcFile(path)
    with killed.binding():
        path.touch()
    path.unlink()
    with closing(PubSocket("tcp://127.0.0.1:0")) as other:
        assert other.lost() is None
    with pytest.raises(BusError, match="another process"):
        PubSocket(f"ipc://{path}")
    killed._give_lock_back()
    path.with_name(path.name + LOCK).touch()  # what kill -9 leaves
    PubSocket(f"ipc://{path}").close()
