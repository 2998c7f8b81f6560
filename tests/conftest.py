"""Hypothesis for all tests, what a test that ran out of time was waiting for, how a worker process died, and the
commands run in this process.

Hypothesis takes the same examples in every run, and gives no verdict on how long one takes. `make fuzz` takes the other
profile: fresh examples, FUZZ_EXAMPLES for each property that has 60 otherwise, and how to repeat a failure.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest
import trio
from hypothesis import HealthCheck, settings

from tests.free_port import free_port
from tests.in_process import Command, untouched
from tests.worker_deaths import pytest_testnodedown

__all__ = ["pytest_testnodedown"]  # pytest finds its hooks here

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
SOON = 0.05  # seconds
MAY_FAIL = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _may_fail(item))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _may_fail(item))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _may_fail(item))


def _may_fail(item: pytest.Item) -> Generator[None, object, object]:
    """While the code of the test and of its fixtures runs, an exception is a failure of the test."""
    item.stash[MAY_FAIL] = True
    try:
        return (yield)
    finally:
        item.stash[MAY_FAIL] = False


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """A test that runs out of time while trio is at work, or waits for the system, has none of its tasks on the stack,
    and an exception there breaks trio. Say where each task of ours waits, and fail inside trio instead.

    The time goes on between the parts of a test, while pytest writes its report. An exception there ends the whole run,
    and cuts off the message that a worker process of pytest-xdist is sending, so it waits for the next part.
    """
    made = yield
    fail = signal.getsignal(signal.SIGALRM)
    if not callable(fail):
        return made

    def out_of_time(number: int, frame: FrameType | None) -> None:
        if not item.stash.get(MAY_FAIL, False):
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        if told.is_set() or not trio.lowlevel.in_trio_run() or _in_code_of_a_task():
            item.stash[MAY_FAIL] = False
            fail(number, frame)
        root = trio.lowlevel.current_root_task()
        if root is None:  # trio just begins
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        told.set()
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_WITHIN)
        item.add_report_section("call", "trio", f"The test ran out of time. Its tasks wait here:\n{_waiting(root)}")
        _fail_soon(root)

    told = threading.Event()
    signal.signal(signal.SIGALRM, out_of_time)
    return made


def _in_code_of_a_task() -> bool:
    """Whether the code of a task was interrupted, and not trio's own, where trio doesn't let Ctrl-C in, either."""
    return trio.lowlevel.in_trio_task() and not trio.lowlevel.currently_ki_protected()


def _fail_soon(root: trio.lowlevel.Task) -> None:
    with suppress(trio.RunFinishedError):
        trio.lowlevel.current_trio_token().run_sync_soon(_fail_within, root)


def _fail_within(root: trio.lowlevel.Task) -> None:
    """Have the main task fail where it waits, as Ctrl-C would: all others are cancelled, and clean up."""

    def give_up() -> NoReturn:
        pytest.fail("The test ran out of time.")

    tasks = root.child_nurseries[-1].child_tasks if root.child_nurseries else ()
    if len(tasks) != 1:
        return  # it has ended
    (main,) = tasks
    if main._abort_func is None:  # its turn comes just now, and it doesn't wait
        _fail_soon(root)
        return
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
