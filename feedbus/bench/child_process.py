"""Child processes that talk in lines, and what they cost: CPU time and memory. Linux only.

The kernel keeps a CPU clock for each process, which counts all its threads in nanoseconds and can be read from other
processes. The difference of two readings is the cost of what happened in between, without imports and start-up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedbus.bench.figures import Memory
from feedbus.errors import FeedbusError

STOP_WITHIN = 5.0  # seconds after SIGTERM until a child is killed
LOG_TAIL = 300  # characters of a failed child's log that are quoted in the error
CPU_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers: the whole process


def cpu_ns(pid: int) -> int:
    """The CPU time of a process so far, user and system time of all its threads, in nanoseconds."""
    return time.clock_gettime_ns((~pid << 3) | CPU_CLOCK)


def memory(pid: int) -> Memory:
    """The resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: text for name, _, text in (line.partition(":") for line in lines)}
    return Memory(*(int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")))


class ChildProcess:
    """A process that reads lines and answers in JSON lines. Its standard error goes to a log file in `folder`."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own programs)
                command, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self.pid = self._process.pid
        self._buffer = b""

    def tell(self, line: str) -> None:
        """Write one line to its standard input. Raises FeedbusError when it has ended."""
        assert self._process.stdin is not None  # noqa: S101 (it was asked for above)
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except OSError:
            raise self._failed("has gone") from None

    def hear(self, timeout: float) -> dict[str, Any] | None:
        """Its next line, or None when none came within `timeout` seconds. Raises FeedbusError when it has ended."""
        assert self._process.stdout is not None  # noqa: S101
        fd = self._process.stdout.fileno()
        until = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            data = os.read(fd, 65536)
            if not data:
                raise self._failed("ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def expect(self, word: str, timeout: float) -> dict[str, Any]:
        """Its next line. Raises FeedbusError when none comes in `timeout` seconds, or one without the key `word`."""
        heard = self.hear(timeout)
        if heard is None:
            raise self._failed(f"said no {word!r} within {timeout:.0f} s")
        if word not in heard:
            raise self._failed(f"said {heard} where {word!r} was expected")
        return heard

    def signal(self, number: int) -> None:
        """Send it a signal. A process that has ended already is left alone."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def check(self) -> None:
        """Raise FeedbusError when it has ended."""
        if self._process.poll() is not None:
            raise self._failed("ended")

    def stop(self) -> None:
        """End it, with SIGKILL if SIGTERM is not enough."""
        self.signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _failed(self, what: str) -> FeedbusError:
        log = " ".join(self._log.read_text(errors="replace").split())
        return FeedbusError(f"bench: {self.name} {what}{': …' if log else ''}{log[-LOG_TAIL:]}")
