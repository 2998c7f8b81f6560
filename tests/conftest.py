"""Hypothesis for all tests, what a test that ran out of time was waiting for, and the commands run in this process.

Hypothesis takes the same examples in every run, and gives no verdict on how long one takes. `make fuzz` takes the other
profile: fresh examples, FUZZ_EXAMPLES for each property that has 60 otherwise, and how to repeat a failure.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest
import trio
from hypothesis import HealthCheck, settings

from tests.free_port import free_port
from tests.in_process import Command, untouched

settings.register_profile("feedbus", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=False,
    database=None,
    print_blob=True,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("feedbus")


CLEAN_UP_WITHIN = 5.0  # seconds


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """A test that runs out of time while trio waits for the system has none of its tasks on the stack, and an exception
    there breaks trio for every later test. Say where each task of ours waits, and fail inside trio instead."""
    made = yield
    fail = signal.getsignal(signal.SIGALRM)
    if not callable(fail):
        return made

    def out_of_time(number: int, frame: FrameType | None) -> None:
        if trio.lowlevel.in_trio_task() or not trio.lowlevel.in_trio_run() or told.is_set():
            fail(number, frame)
        told.set()
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_WITHIN)
        root = trio.lowlevel.current_root_task()
        assert root is not None
        item.add_report_section("call", "trio", f"The test ran out of time. Its tasks wait here:\n{_waiting(root)}")
        trio.lowlevel.current_trio_token().run_sync_soon(_fail_within, root)

    told = threading.Event()
    signal.signal(signal.SIGALRM, out_of_time)
    return made


def _fail_within(root: trio.lowlevel.Task) -> None:
    """Have the main task fail where it waits, as Ctrl-C would: all others are cancelled, and clean up."""

    def give_up() -> NoReturn:
        pytest.fail("The test ran out of time.")

    (main,) = root.child_nurseries[-1].child_tasks
    main._attempt_abort(give_up)


def _waiting(root: trio.lowlevel.Task) -> str:
    """The stacks of all tasks but those that are the libraries' alone."""
    text, left = "", [root]
    while left:
        task = left.pop()
        left += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        stack = traceback.StackSummary.extract(task.iter_await_frames())
        if any("/lib/python" not in frame.filename for frame in stack):
            text += f"{task.name}\n{''.join(stack.format())}\n"
    return text


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command of feedbus in `tmp_path`, with nothing of this machine's environment that could matter to it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MOEX_", "XDG_", "NOTIFY_", "WATCHDOG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with untouched():
        yield Command(capsys)


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    """An address for a bus of which the test has the file."""
    return f"ipc://{tmp_path}/bus.ipc"


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path, ipc: str) -> str:
    """An address of each kind for a bus."""
    return {"inproc": f"inproc://{tmp_path}", "ipc": ipc}.get(request.param, f"tcp://127.0.0.1:{free_port()}")
