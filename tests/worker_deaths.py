"""Says how a worker process of pytest-xdist ended that died. xdist itself only says that it crashed.

The exit status tells the causes apart: a signal from elsewhere, a crash of native code (then Python's faulthandler has
written the stacks), os._exit, or the system, which had no memory left.
"""

from __future__ import annotations

import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

ENDS_WITHIN = 5.0  # seconds


def _killed_for_memory() -> int:
    """How many processes the system has killed since it started, because it had no memory left."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


KILLED_BEFORE = _killed_for_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """xdist's hook: in the process that has the workers, when one of them has ended."""
    if error:
        process = node.gateway._io.popen
        line = f"The worker {node.gateway.id} (process {process.pid}) {how_it_ended(process)}."
        node.config.get_terminal_writer().line(f"\n{line}")


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """What the exit status says, and what else may explain it."""
    try:
        status = process.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        return "has closed its connection, and runs on"
    text = f"ended with the status {status}"
    if status < 0:
        text = f"was ended by the signal {-status} ({signal.strsignal(-status)})"
    if killed := _killed_for_memory() - KILLED_BEFORE:
        text += f", and the system has killed {killed} processes for lack of memory since the tests began"
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return f"{text}; the largest process until now had {largest} MB"
