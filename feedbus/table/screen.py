"""What `feedbus monitor` and `feedbus book` share: the tasks around something that is drawn again and again on a
terminal's whole screen, or written as plain lines, while the messages of the bus come in and keys are typed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Protocol, TypeVar

import trio
from rich.console import Console, RenderableType
from rich.live import Live

from feedbus.errors import READER_GONE
from feedbus.schema.events import Gap, MarketData
from feedbus.table.terminal import Foreground, foreground, has_keys, wait_key

Shown = TypeVar("Shown")


class HasPublisher(Protocol):
    """What is needed of a message's header."""

    @property
    def publisher(self) -> str:
        """The name of the publisher that sent the message."""


class Messages(Protocol):
    """What is needed of a bus subscription."""

    def messages(self) -> AsyncIterator[tuple[HasPublisher, Sequence[MarketData | Gap]]]:
        """The messages, each as its header and its events in order; Gaps are among the events."""

    def why_silent(self, topics: Sequence[str] | None = None) -> str:
        """Why nothing has come yet on these topics, or on all that were subscribed, for people."""

    def why_away(self) -> str:
        """Why addresses aren't connected, for people; "" when all of them are."""

    def silent_for(self, publisher: str) -> float | None:
        """For how many seconds nothing at all has come from this publisher; None when nothing ever has. It has to be
        asked at least once a second."""


class Typed(Protocol):
    """What is made of the keys."""

    @property
    def quit(self) -> bool:
        """Whether the key that ends it all was typed."""

    def type(self, text: str) -> None:
        """Take in what was read from the terminal."""


class Wakeup:
    """Wakes a waiting task when something has happened since its last wait, once for any number of times."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


def keyboard() -> int | None:
    """The file descriptor of standard input; None when no keys can be read from it."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if has_keys(fd) else None


async def run_shown(
    read: Callable[[], Awaitable[None]],
    shown: Callable[[Foreground], AbstractContextManager[Shown]],
    redraw: Callable[[Shown], Awaitable[None]],
    *,
    console: Console,
    keys: tuple[int, Typed] | None,
    wakeup: Wakeup,
    seconds: float | None = None,
) -> None:
    """Run `read`, which takes in messages, and `redraw`, which draws on what `shown` makes, until `read` returns, a key
    ends it, `seconds` have passed (None: no limit), or whoever reads the output has gone.

    `keys` is the descriptor of the keyboard and what its keys are told to. `wakeup` is set after each key, and when the
    terminal is ours again.
    """
    back = Wakeup()
    token = trio.lowlevel.current_trio_token()

    def taken() -> None:
        for each in (wakeup, back):
            token.run_sync_soon(each.set)

    fd = None if keys is None else keys[0]
    with (
        foreground(fd, _descriptor(console), taken) as terminal,
        shown(terminal) as display,
        trio.move_on_after(math.inf if seconds is None else seconds),
    ):
        async with trio.open_nursery() as nursery:

            async def draw() -> None:
                try:
                    await redraw(display)
                except OSError as error:
                    if error.errno not in READER_GONE:
                        raise
                    nursery.cancel_scope.cancel()

            async def read_keys(fd: int, typed: Typed) -> None:
                await _until_quit(fd, typed, wakeup, terminal, back)
                if typed.quit:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(draw)
            if keys is not None:
                nursery.start_soon(read_keys, *keys)
            await read()
            nursery.cancel_scope.cancel()


def _descriptor(console: Console) -> int | None:
    """The file descriptor of a terminal that is filled; None for other outputs."""
    try:
        return console.file.fileno() if console.is_terminal else None
    except (OSError, ValueError):
        return None


async def _until_quit(fd: int, typed: Typed, wakeup: Wakeup, terminal: Foreground, back: Wakeup) -> None:
    """Read keys until one of them ends it all, or the terminal is closed."""
    encoding = getattr(sys.stdin, "encoding", "utf-8")
    while not typed.quit:
        await trio.lowlevel.wait_readable(fd)
        if not terminal.here():  # the key was typed for another process, and reading it would stop this one
            await back.wait()
            continue
        text = await wait_key(fd, encoding)
        if not text:
            return
        typed.type(text)
        wakeup.set()


class WholeScreen:
    """The whole screen of a terminal, from the first drawing to `close`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    @property
    def size(self) -> tuple[int, int]:
        """Its cells and its lines, as they are now."""
        return self._console.size

    def show(self, lines: RenderableType) -> None:
        """Fill the screen with these lines."""
        self._live.start()
        self._live.update(lines, refresh=True)

    def close(self) -> None:
        """Leave the screen as it was before the first drawing. It is no error when the terminal is gone."""
        with suppress(OSError):
            self._live.stop()


class PlainOutput:
    """A file or a pipe. It isn't written through Rich, which would exit the program when the pipe's reader has gone."""

    def __init__(self, console: Console) -> None:
        self._file = console.file

    def write(self, lines: Sequence[str]) -> None:
        """Write these lines now."""
        self._file.write("\n".join(lines) + "\n")
        self._file.flush()
