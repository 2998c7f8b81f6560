"""Real processes of feedbus. The fixture `start` of this folder's conftest starts and ends them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


class Manager:
    """systemd's end of NOTIFY_SOCKET: keeps every assignment that comes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(TIMEOUT)

    def receive(self) -> None:
        """Wait for one more datagram."""
        self.told += self._socket.recv(4096).decode().split("\n")

    def until(self, true: Callable[[str], bool]) -> str:
        """The first assignment of which this is true, waiting for it if need be."""
        while not (found := [line for line in self.told if true(line)]):
            self.receive()
        return found[0]

    def close(self) -> None:
        self._socket.close()
