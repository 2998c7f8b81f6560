"""Programs on a pseudo-terminal of their own: what is typed, and what is seen."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Any

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
"""What a Python program does first to be in the terminal's foreground."""


class OnTerminal:
    """A program that has the terminal for its standard input, output and error. `before` is the terminal's mode before
    the program was started, and `seen` is what the program has written, decoded with `encoding`. `environ` is
    what its environment has besides ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        size: tuple[int, int] = (10, 90),
        encoding: str = "utf-8",
    ) -> None:
        self._user, self._program = pty.openpty()
        termios.tcsetwinsize(self._program, size)
        self._open = [self._user, self._program]
        # These two would count for more than `size`.
        inherited = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
        self.before = self.mode()
        self.seen = ""
        self._encoding = encoding
        self.process = subprocess.Popen(
            command,
            stdin=self._program,
            stdout=self._program,
            stderr=self._program,
            start_new_session=True,
            env={**inherited, "TERM": "xterm", **(environ or {})},
        )

    def mode(self) -> list[Any]:
        """The mode of the terminal now."""
        return list(termios.tcgetattr(self._program))

    def resize(self, lines: int, cells: int) -> None:
        """Give the terminal's window another size."""
        termios.tcsetwinsize(self._program, (lines, cells))

    def type(self, text: str) -> None:
        """Type this text."""
        os.write(self._user, text.encode(self._encoding))

    def read_until(self, text: str, seconds: float = 20.0) -> None:
        """Read until this text has been written since `seen` was last emptied."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self._user], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} didn't come; seen: {self.seen!r}"
            self.seen += os.read(self._user, 65536).decode(self._encoding, errors="replace")

    def then(self, typed: str, shown: str) -> None:
        """Type a text, and read until the program has written another one after it."""
        self.seen = ""
        self.type(typed)
        self.read_until(shown)

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        while self._open:
            os.close(self._open.pop())

    def close(self) -> None:
        """End the program and the terminal."""
        self.process.kill()
        self.process.wait()
        self.hang_up()
