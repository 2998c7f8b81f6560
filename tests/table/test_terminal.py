"""Keys, on a real pseudo-terminal."""

import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import trio
import trio.testing

from feedbus.table.terminal import NORMAL_SCREEN, as_it_is, foreground, has_keys, wait_key

Pty = tuple[int, int]
LFLAG = 3


@pytest.fixture
def pty() -> Iterator[Pty]:
    """(the user's side, the program's side)"""
    user, program = os.openpty()
    yield user, program
    for fd in (user, program):
        try:
            os.close(fd)
        except OSError:
            continue


def single_keys(fd: int) -> AbstractContextManager[object]:
    return foreground(fd, None, lambda: None)


def local_mode(fd: int) -> int:
    mode: list[Any] = termios.tcgetattr(fd)
    return int(mode[LFLAG])


async def test_a_key_comes_without_enter(pty: Pty) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.write(user, b"x")
        assert await wait_key(program) == "x"


async def test_keys_are_not_echoed(pty: Pty) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.write(user, b"x")
        await wait_key(program)
        os.write(program, b"after")
        assert os.read(user, 100) == b"after"


@pytest.mark.parametrize(("sent", "key"), [("\x1b[A", "\x1b[A"), ("й", "й"), ("\x13", "\x13")])
async def test_special_keys_come_whole(pty: Pty, sent: str, key: str) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.write(user, sent.encode())
        assert await wait_key(program) == key


async def test_bytes_that_are_no_text_are_no_error(pty: Pty) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.write(user, b"\xff")
        assert await wait_key(program) == "\ufffd"


async def test_characters_are_those_of_the_terminals_encoding(pty: Pty) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.write(user, "й".encode("koi8-r"))
        assert await wait_key(program, "koi8-r") == "й"


async def test_a_terminal_that_is_gone_gives_an_empty_key(pty: Pty) -> None:
    user, program = pty
    with single_keys(program), trio.fail_after(5):
        os.close(user)
        assert await wait_key(program) == ""


async def test_waiting_for_a_key_can_be_cancelled(pty: Pty) -> None:
    before = termios.tcgetattr(pty[1])
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with single_keys(pty[1]):
                await wait_key(pty[1])

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not local_mode(pty[1]) & termios.ICANON
        nursery.cancel_scope.cancel()
    assert termios.tcgetattr(pty[1]) == before


def test_the_mode_is_put_back_after_an_error(pty: Pty) -> None:
    before = termios.tcgetattr(pty[1])
    with pytest.raises(RuntimeError), single_keys(pty[1]):
        raise RuntimeError
    assert termios.tcgetattr(pty[1]) == before


def test_the_handlers_of_signals_are_put_back_and_an_ignored_stop_stays_ignored(pty: Pty) -> None:
    numbers = (signal.SIGTSTP, signal.SIGCONT)
    before = [signal.getsignal(number) for number in numbers]
    with single_keys(pty[1]):
        assert all(callable(signal.getsignal(number)) for number in numbers)
    assert [signal.getsignal(number) for number in numbers] == before
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    with single_keys(pty[1]):
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN
    signal.signal(signal.SIGTSTP, before[0])


def test_ctrl_c_stays_a_signal(pty: Pty) -> None:
    with single_keys(pty[1]):
        assert local_mode(pty[1]) & termios.ISIG


def test_a_pipe_a_closed_file_and_another_sessions_terminal_have_no_keys(pty: Pty) -> None:
    readable, writable = os.pipe()
    os.close(writable)
    assert not has_keys(readable)
    os.close(readable)
    assert not has_keys(readable)
    assert not has_keys(pty[1])


def test_what_was_noted_is_restored_although_the_keys_are_still_read(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    user, program = pty
    with open(program, "r+b", buffering=0, closefd=False) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stdout", terminal)
        restore, before = as_it_is(), local_mode(program)
        with single_keys(program):
            restore()
            assert local_mode(program) == before
    assert os.read(user, 100) == NORMAL_SCREEN


def test_where_there_is_no_terminal_nothing_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("sys.stdout", None)
    as_it_is()()
    assert sys.stdout is None
