"""A test that waits for a deaf socket fails by itself, shows where it waits, and harms no later test, whatever goes on
in the moment in which its time is over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.edge

DEAF = """\
import socket, pytest, trio

@pytest.fixture
def deaf():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()

@pytest.mark.timeout(0.5)
def test_plain(deaf):
    with socket.create_connection(deaf) as line:
        line.recv(1)  # plain waits here

async def client(deaf):
    async with await trio.open_tcp_stream(*deaf) as line:
        await line.receive_some(1)  # trio waits here

@pytest.mark.timeout(0.5)
async def test_trio(deaf):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, deaf)

@pytest.mark.timeout(0.5)
async def test_blocked_trio(deaf):
    with socket.create_connection(deaf) as line:
        line.recv(1)  # trio is blocked here

async def test_later():
    await trio.lowlevel.checkpoint()
"""


MOMENTS = """\
import signal, time, trio

class Alarm(trio.abc.Instrument):
    rounds = 0

    def before_io_wait(self, timeout):
        self.rounds += 1
        if self.rounds == 20:
            signal.raise_signal(signal.SIGALRM)

def test_trio_at_work_while_it_is_the_main_tasks_turn():
    async def main():
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    trio.run(main, instruments=[Alarm()])

def test_report():
    pass

def test_later():
    pass
"""
WHILE_IT_IS_REPORTED = """
def pytest_runtest_logreport(report):
    if report.when == "call" and "test_report" in report.nodeid and callable(signal.getsignal(signal.SIGALRM)):
        signal.raise_signal(signal.SIGALRM)
"""


def run(folder: Path, tests: str, workers: str, hooks: str = "") -> str:
    (folder / "test_it.py").write_text(tests)
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text() + hooks)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    command += ["-p", "no:cacheprovider", "-n", workers, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    return done.stdout


@pytest.mark.parametrize("workers", ["0", "1"])
def test_each_way_to_wait_for_ever_is_shown_and_the_next_test_runs(tmp_path: Path, workers: str) -> None:
    said = run(tmp_path, DEAF, workers)
    assert "3 failed, 1 passed" in said
    for shown in ("plain waits here", "trio waits here", "trio is blocked here"):
        assert shown in said


@pytest.mark.parametrize("workers", ["0", "1"])
def test_neither_trio_nor_the_run_breaks_whatever_goes_on_when_the_time_is_over(tmp_path: Path, workers: str) -> None:
    said = run(tmp_path, MOMENTS, workers, WHILE_IT_IS_REPORTED)
    assert "1 failed, 2 passed" in said
    assert "The test ran out of time." in said
    assert "INTERNAL" not in said.upper().replace("INTERNALS", "")
