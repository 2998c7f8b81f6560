"""The commands on terminals of all kinds, and with standard streams of all kinds: they show what can be shown, end
quietly where nobody reads, and leave the terminal as it was. A real shell stops and continues them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from feedbus.bus.nng import PubSocket
from feedbus.schema import codec
from feedbus.schema.events import BookSnapshot, Trade
from tests.on_terminal import ENTER_SCREEN, LEAVE_SCREEN, TAKE_TERMINAL, OnTerminal
from tests.places import ROOT

pytestmark = pytest.mark.edge

FEEDBUS = f"{sys.executable} -m feedbus"
PROGRAM = TAKE_TERMINAL + "import sys; from feedbus.__main__ import main; sys.exit(main())"
HINT = "? keys"
TIMEOUT = 20.0

Show = Callable[..., OnTerminal]


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    """Starts a command on a terminal, or a shell when none is given."""
    with ExitStack() as stack:

        def begin(*arguments: str, encoding: str = "utf-8", **variables: str) -> OnTerminal:
            command = [sys.executable, "-c", PROGRAM, *arguments]
            if not arguments:
                command = ["bash", "--norc", "--noprofile", "-i"]
            own = {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path), "PS1": "shell> ", "HISTFILE": ""}
            made = OnTerminal(command, own | variables, encoding=encoding)
            stack.callback(made.close)
            return made

        yield begin


# Encodings and kinds of terminals


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r", "ascii"])
def test_signs_that_an_encoding_lacks_are_plain_ones(show: Show, encoding: str) -> None:
    terminal = show("monitor", encoding=encoding, PYTHONIOENCODING=f"{encoding}:strict")
    terminal.read_until("Updatesv")
    terminal.then("r", "Updates^")
    terminal.type("q")
    assert terminal.process.wait(TIMEOUT) == 0
    terminal.read_until(LEAVE_SCREEN)
    assert terminal.mode() == terminal.before


@pytest.mark.parametrize("kind", ["dumb", "unknown", ""])
def test_a_terminal_without_control_sequences_gets_plain_lines_and_q_ends_them(show: Show, kind: str) -> None:
    terminal = show("monitor", TERM=kind)
    terminal.read_until("nobody listens at ipc://")
    terminal.read_until("no connection has spoken yet")
    terminal.type("q")
    assert terminal.process.wait(TIMEOUT) == 0
    assert "\x1b" not in terminal.seen
    assert terminal.mode() == terminal.before


def test_a_pipe_gets_plain_lines_also_where_the_environment_asks_for_colours(tmp_path: Path) -> None:
    done = sh(f"{FEEDBUS} demo --seconds 1.5 | cat", tmp_path, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert (done.returncode, "\x1b" in done.stdout) == (0, False)
    assert "connections " in done.stdout


@pytest.mark.usefixtures("published")
def test_the_ladder_fits_every_size_that_its_window_is_given(show: Show) -> None:
    terminal = show("book", "moex", "TQBR.SBER")
    terminal.read_until("306.4\x1b")
    terminal.read_until("q quits")
    terminal.resize(7, 30)
    terminal.seen = ""
    terminal.read_until("q quits  ipc:///tmp/pytest-of…")
    terminal.type("\x1bOqq")
    assert terminal.process.wait(TIMEOUT) == 0
    terminal.read_until(LEAVE_SCREEN)
    assert terminal.mode() == terminal.before


# Ctrl-Z


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_with_its_keys(show: Show) -> None:
    shell = show()
    shell.then(f"{FEEDBUS} monitor\n", HINT)
    for _ in range(2):
        shell.then("\x1a", "Stopped")
        assert LEAVE_SCREEN in shell.seen
        shell.then("echo as $((1 + 1))\n", "as 2")
        shell.then("fg\n", ENTER_SCREEN)
        shell.read_until(HINT)
        shell.then("?", "s next sort")
        shell.then("?", HINT)
    shell.then("q", LEAVE_SCREEN)
    shell.then("echo status $?\n", "status 0")


def test_a_stop_without_warning_and_a_time_in_the_background_leave_the_keys_alive(show: Show) -> None:
    shell = show()
    shell.then(f"{FEEDBUS} monitor & echo pid=$!.\n", "pid=")
    shell.read_until("shell> ")
    shell.then("fg\n", HINT)
    shell.then("?", "s next sort")
    shell.then("\x1a", "Stopped")
    shell.then("bg\n", "&")
    shell.then("echo as $((1 + 1))\n", "as 2")
    shell.then("fg\n", "s next sort")
    shell.then("?", HINT)
    shell.then("\x1a", "Stopped")
    shell.then("kill -STOP %1; fg\n", HINT)
    shell.then("?", "s next sort")
    shell.then("q", LEAVE_SCREEN)


# Streams that are closed, or that nobody reads


def sh(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder), **variables}
    environ.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=folder, env=environ, timeout=TIMEOUT
    )


COMMANDS = {
    "check": f"check {ROOT}/configs/demo.yaml",
    "demo": "demo --seconds 1.5",
    "monitor": "monitor",
    "book": "book moex TQBR.SBER",
    "book once": "book moex TQBR.SBER --once",
    "tail": "tail",
    "help": "--help",
}


@pytest.fixture
def published(tmp_path: Path) -> Iterator[None]:
    """Something for `tail`, `monitor` and `book` to show, until the end of the test."""
    ended = threading.Event()
    trade = Trade("moex", "TQBR.SBER", 1, 2, 306.5, 1.0, "buy", 1)
    book = BookSnapshot("moex", "TQBR.SBER", 1, 2, [(306.4, 10.0)], [(306.5, 10.0)], None)
    messages = [
        codec.encode(codec.MessageHeader(event.WORD, "moex", "moex", 7, 5), [("TQBR.SBER", 1, [event] * 100)])
        for event in (trade, book)
    ]

    def publish() -> None:
        while not ended.wait(0.05):
            for message in messages:
                sink.send(message)

    with closing(PubSocket(f"ipc://{tmp_path}/feedbus/events.ipc")) as sink:
        publishing = threading.Thread(target=publish)
        publishing.start()
        yield
        ended.set()
        publishing.join()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("streams", [">&-", ">&- 2>&- <&-", "| true"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_output_nobody_reads_ends_quietly(tmp_path: Path, name: str, streams: str) -> None:
    done = sh(f"{FEEDBUS} {COMMANDS[name]} {streams}; exit ${{PIPESTATUS[0]}}", tmp_path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, done.stdout, said) == (0, "", [])


@pytest.mark.parametrize("name", ["check", "demo"])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    done = sh(f"{FEEDBUS} {COMMANDS[name]} > /dev/full", tmp_path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, said) == (1, ["feedbus: No space left on device"])


@pytest.mark.parametrize("closed", ["2>&-", "2> /dev/full", "2> >(true)"])
def test_an_error_that_nobody_reads_has_its_exit_status_and_a_service_goes_on(tmp_path: Path, closed: str) -> None:
    assert sh(f"{FEEDBUS} check none.yaml {closed}", tmp_path).returncode == 2
    done = sh(f"{FEEDBUS} demo --seconds 1.5 {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "connections " in done.stdout


def test_simulated_venues_serve_also_where_nobody_reads_their_addresses(tmp_path: Path) -> None:
    script = f"{FEEDBUS} sim moex --listen 127.0.0.1:0 >&- 2>&- & sleep 1.5; kill -0 $! && kill -TERM $!; wait $!"
    assert sh(script, tmp_path).returncode == 0


def test_a_terminal_that_is_closed_ends_the_table(show: Show) -> None:
    terminal = show("monitor")
    terminal.read_until(HINT)
    terminal.hang_up()
    assert terminal.process.wait(TIMEOUT) in (0, -signal.SIGHUP)
