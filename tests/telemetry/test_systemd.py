"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.telemetry.systemd import MAX_STATUS, Notifier, socket_address, status_line, watchdog_seconds


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """systemd's end, and what NOTIFY_SOCKET says of it."""
    text = str(tmp_path / "notify") if request.param == "path" else f"@feedbus-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(text.replace("@", "\0") if request.param == "abstract" else text)
        bound.settimeout(5)
        yield bound, text


@pytest.fixture
def notifier(manager: tuple[socket.socket, str]) -> Iterator[Notifier]:
    made = Notifier({"NOTIFY_SOCKET": manager[1]})
    yield made
    made.close()


def test_each_state_is_one_datagram(manager: tuple[socket.socket, str], notifier: Notifier) -> None:
    notifier.ready("2 of 2 feeds up")
    notifier.status("1 of 2 feeds up")
    notifier.alive()
    notifier.stopping()
    received = [manager[0].recv(4096) for _ in range(4)]
    assert received == [
        b"READY=1\nSTATUS=2 of 2 feeds up",
        b"STATUS=1 of 2 feeds up",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=stopping",
    ]
    assert (notifier.sent, notifier.lost) == (4, 0)


def test_foreign_text_in_a_status_is_no_second_assignment(
    manager: tuple[socket.socket, str], notifier: Notifier
) -> None:
    notifier.status("moex: Access denied\nMAINPID=1\x00\ud800")
    assert manager[0].recv(4096) == rb"STATUS=moex: Access denied\nMAINPID=1\x00\ud800"


def test_without_a_socket_nothing_is_done() -> None:
    notifier = Notifier({})
    notifier.ready("")
    notifier.stopping()
    notifier.close()
    assert (notifier.sent, notifier.lost, notifier.watchdog) == (0, 0, None)


def test_a_closed_notifier_says_nothing_more(manager: tuple[socket.socket, str], notifier: Notifier) -> None:
    notifier.close()
    notifier.alive()
    assert (notifier.sent, notifier.lost) == (0, 0)


def test_a_manager_that_has_gone_is_counted_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.alive()
    notifier.alive()
    notifier.close()
    assert (notifier.sent, notifier.lost) == (0, 2)
    assert [record.getMessage() for record in caplog.records] == ["systemd can't be told: No such file or directory"]


def test_a_manager_that_does_not_read_never_holds_us_up(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(path)
        notifier = Notifier({"NOTIFY_SOCKET": path})
        for _ in range(100_000):
            notifier.alive()
            if notifier.lost:
                break
        notifier.close()
    assert notifier.lost == 1


@pytest.mark.parametrize("text", ["run/notify", "vsock:2:1234"])
def test_an_address_of_another_kind_is_left_alone_with_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert socket_address({"NOTIFY_SOCKET": text}) is None
    assert "NOTIFY_SOCKET" in caplog.text


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "1_000"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_the_watchdogs_period_is_read(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ, pid=7) == seconds


@given(st.text())
def test_a_status_is_one_line_of_bounded_good_utf8(text: str) -> None:
    line = status_line(text * 40)
    assert line.isprintable()
    assert len(line.encode()) <= MAX_STATUS


def test_a_long_status_shows_that_it_was_cut() -> None:
    assert status_line("ж" * MAX_STATUS).endswith("ж…")
