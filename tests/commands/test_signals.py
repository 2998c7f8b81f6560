"""Stopping by signals, which these tests send to their own process, or which a process sends to itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio

from feedbus.commands import signals
from feedbus.commands.signals import (
    HANDLED,
    STOP_SIGNALS,
    interrupted_by_signal,
    run_until_stopped,
    stop_signal,
)

LONG_RUNNING = [
    ["run", "none.yaml"],
    ["sim"],
    ["demo"],
    ["monitor", "--bus", "ipc:///n"],
    ["tail", "--bus", "ipc:///n"],
]

WHILE_IMPORTING = """
import os, sys
class Signalling:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Signalling())
sys.argv[0] = "feedbus"
from feedbus.__main__ import main
sys.exit(main())
"""

HANGING = """
import os, trio
from feedbus.commands import signals
signals.SAME_WISH = -1.0  # each signal is a wish of its own
async def hang():
    with signals.stop_signal() as stop, trio.CancelScope(shield=True):
        os.kill(os.getpid(), {first})
        await stop.wait()
        print("stopping", flush=True)
        with signals.before_sudden_end(lambda: print("cleaned", flush=True)), signals.before_sudden_end(lambda: 1 / 0):
            os.kill(os.getpid(), {second})
            await trio.sleep_forever()
signals.begin()
signals.run_until_stopped(hang)
"""


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python's own handlers at first, and no second wish, which would end the process of the tests."""
    monkeypatch.setattr(signals, "SAME_WISH", 1e9)
    before = {number: signal.getsignal(number) for number in HANDLED}
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_signal_sets_the_event_and_one_right_after_it_is_the_same_wish(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with stop_signal() as stop, trio.fail_after(5):
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
        await stop.wait()
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_a_signal_before_the_command_listens_stops_it_and_one_after_it_is_ignored() -> None:
    async def command(text: str) -> str:
        if text == "early":
            signal.raise_signal(signal.SIGTERM)
        with stop_signal() as stop:
            if text == "early":
                await stop.wait()
        return text

    assert run_until_stopped(command, "early") == "early"
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another process, as it were
    assert run_until_stopped(command, "late") == "late"
    for number in STOP_SIGNALS:
        signal.raise_signal(number)


def test_a_command_without_trio_is_interrupted() -> None:
    for number in STOP_SIGNALS:
        with pytest.raises(KeyboardInterrupt), interrupted_by_signal():
            signal.raise_signal(number)


def test_an_ignored_hangup_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.begin()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("module", ["feedbus.cli", "argparse", "trio"])
@pytest.mark.parametrize("arguments", LONG_RUNNING, ids=lambda arguments: arguments[0])
def test_a_signal_while_the_process_still_imports_ends_it_cleanly(arguments: list[str], module: str) -> None:
    ended = run(WHILE_IMPORTING.format(module=module, number=int(signal.SIGTERM)), *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


QUITTING = """
import os, resource, signal
from feedbus.commands import signals
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signals.begin()
with signals.before_sudden_end(lambda: print("cleaned", flush=True)):
    os.kill(os.getpid(), signal.SIGQUIT)
"""


def test_quit_ends_it_at_once_after_the_cleanups() -> None:
    ended = run(QUITTING)
    assert (ended.returncode, ended.stdout) == (-signal.SIGQUIT, "cleaned\n")


@pytest.mark.parametrize("second", STOP_SIGNALS)
def test_the_second_signal_ends_what_hangs_at_once_after_the_cleanups(second: signal.Signals) -> None:
    ended = run(HANGING.format(first=int(signal.SIGINT), second=int(second)))
    assert (ended.returncode, ended.stdout, ended.stderr) == (-second, "stopping\ncleaned\n", "")
