"""Real processes of feedbus. The fixture `start` of this folder's conftest starts and ends them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

FEEDBUS = (sys.executable, "-m", "feedbus")
TIMEOUT = 30.0  # seconds, for a process to end

Start = Callable[..., subprocess.Popen[str]]


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints; "" when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def simulator(start: Start) -> str:
    """The URL of a simulated exchange, which this starts."""
    return line(start("sim", "moex", "--listen", "127.0.0.1:0")).removeprefix("moex: ")
