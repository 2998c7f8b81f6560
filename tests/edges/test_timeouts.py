"""A test that waits for a deaf socket fails by itself, shows where it waits, and harms no later test."""

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


@pytest.mark.parametrize("workers", ["0", "1"])
def test_each_way_to_wait_for_ever_is_shown_and_the_next_test_runs(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_deaf.py").write_text(DEAF)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", "-n", workers, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert "3 failed, 1 passed" in done.stdout
    for shown in ("plain waits here", "trio waits here", "trio is blocked here"):
        assert shown in done.stdout
