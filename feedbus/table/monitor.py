"""The live table of `feedbus monitor`: the shell that reads the clock, draws on the screen and waits for keys.

Three tasks share one nursery: one puts the events of the bus into the table, one redraws it every second and after a
key, and one waits for keys. When the output isn't a terminal, plain lines are written every few seconds instead; of
the keys only q has an effect then.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import trio
from rich.console import Console
from rich.live import Live

from feedbus.errors import READER_GONE
from feedbus.schema.events import Event
from feedbus.table.keys import Keys, View
from feedbus.table.market_table import MarketTable, Snapshot
from feedbus.table.market_view import plain_lines, render, room_for_rows
from feedbus.table.terminal import Foreground, foreground, has_keys, wait_key

TOPICS = ["book", "quote", "trade", "ticker", "feed", "bar", "alert"]
PLAIN_EVERY = 5
"""How many redraw intervals there are from one plain summary to the next."""
SILENT_FOR = 2
"""Seconds from the start without anything, after which a screen says why."""
PLAIN_ROWS = 5
"""How many instruments a plain summary shows."""


class Display(Protocol):
    """Where the table is shown."""

    def draw(self) -> None:
        """An interval is over: show what is new. Raises OSError when the output can't be written to."""

    def look(self) -> None:
        """A key was typed: show the same data in the view that the keys ask for now."""


class HasPublisher(Protocol):
    """What the table needs of a message's header."""

    @property
    def publisher(self) -> str:
        """The name of the publisher that sent the message."""


class Messages(Protocol):
    """What the table needs of a bus subscription."""

    def messages(self) -> AsyncIterator[tuple[HasPublisher, Sequence[Event]]]:
        """The messages, each as its header and its events in order; Gaps are among the events."""

    def why_silent(self) -> str:
        """Why nothing has come yet, for people."""


async def run_monitor(
    subscription: Messages,
    *,
    console: Console,
    keys: bool,
    title: str,
    seconds: float | None = None,
    last_log: Callable[[], str] | None = None,
    interval: float = 1.0,
    table: MarketTable | None = None,
) -> MarketTable:
    """Draw the table until q is typed, `seconds` have passed (None: no limit), the subscription ends, or it is
    cancelled; returns the table.

    A `table` can be given so that the caller has it also after a cancellation. `keys` is whether keys are read from
    standard input. `interval` is the time between two redraws in seconds. The last line shows `title`, which says what
    is watched, and what `last_log` returns.
    """
    table = table or MarketTable(time.monotonic_ns())
    fd = _keyboard() if keys else None
    typed = None if fd is None else Keys()
    key, back = Wakeup(), Wakeup()
    token = trio.lowlevel.current_trio_token()

    def taken() -> None:
        for each in (key, back):
            token.run_sync_soon(each.set)

    with (
        foreground(fd, _descriptor(console), taken) as terminal,
        _display(table, console, typed, _foot(title, last_log), subscription.why_silent, terminal) as display,
        trio.move_on_after(math.inf if seconds is None else seconds),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_redraw, display, interval, key, nursery.cancel_scope)
            if fd is not None and typed is not None:
                nursery.start_soon(_read_keys, fd, typed, key, nursery.cancel_scope, terminal, back)
            await _read(subscription, table)
            nursery.cancel_scope.cancel()
    return table


class Wakeup:
    """Wakes a waiting task when something has happened since its last wait, once for any number of times."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


def _keyboard() -> int | None:
    """The file descriptor of standard input; None when no keys can be read from it."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if has_keys(fd) else None


def _descriptor(console: Console) -> int | None:
    """The file descriptor of a terminal that the table fills; None for other outputs."""
    try:
        return console.file.fileno() if console.is_terminal else None
    except (OSError, ValueError):
        return None


async def _read(subscription: Messages, table: MarketTable) -> None:
    async for header, events in subscription.messages():
        publisher, now = header.publisher, time.monotonic_ns()
        for event in events:
            table.add(event, publisher, now)


async def _redraw(display: Display, interval: float, key: Wakeup, scope: trio.CancelScope) -> None:
    """Draw at once, then after every interval, and after a key. When a redraw is late, the next one is a whole interval
    after it: redraws that were missed aren't made up for.
    """
    due = trio.current_time()
    try:
        while True:
            display.draw()
            due += interval
            if due < trio.current_time():
                due = trio.current_time() + interval
            with trio.move_on_at(due):
                while True:
                    await key.wait()
                    display.look()
    except OSError as error:
        if error.errno not in READER_GONE:
            raise
        scope.cancel()


async def _read_keys(
    fd: int, typed: Keys, key: Wakeup, scope: trio.CancelScope, terminal: Foreground, back: Wakeup
) -> None:
    encoding = getattr(sys.stdin, "encoding", "utf-8")
    while True:
        await trio.lowlevel.wait_readable(fd)
        if not terminal.here():  # the key was typed for another process, and reading it would stop this one
            await back.wait()
            continue
        text = await wait_key(fd, encoding)
        if not text:
            return
        typed.type(text)
        if typed.quit:
            scope.cancel()
            return
        key.set()


def _foot(title: str, last_log: Callable[[], str] | None) -> Callable[[], str]:
    return lambda: "  ".join(text for text in (title, last_log() if last_log else "") if text)


@contextmanager
def _display(
    table: MarketTable,
    console: Console,
    typed: Keys | None,
    foot: Callable[[], str],
    why_silent: Callable[[], str],
    terminal: Foreground,
) -> Iterator[Display]:
    """The whole screen of a terminal; for other outputs plain lines, with a last summary on leaving."""
    if not console.is_terminal:
        plain = PlainLog(table, console, terminal)
        yield plain
        with suppress(OSError):
            plain.write()
        return
    screen = Screen(table, console, typed, foot, why_silent, terminal)
    try:
        yield screen
    finally:
        screen.close()


class Screen:
    """The table on a terminal. `typed` is None when no keys can be read."""

    def __init__(
        self,
        table: MarketTable,
        console: Console,
        typed: Keys | None,
        foot: Callable[[], str],
        why_silent: Callable[[], str],
        terminal: Foreground,
    ) -> None:
        self._table = table
        self._console = console
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._typed = typed
        self._foot = foot
        self._why_silent = why_silent
        self._terminal = terminal

    def close(self) -> None:
        """Leave the screen as it was before the first drawing. It is no error when the terminal is gone."""
        with suppress(OSError):
            self._live.stop()

    def draw(self) -> None:
        """End an interval, and show the table after it."""
        self._table.tick(time.monotonic_ns())
        self.look()

    def look(self) -> None:
        """Show the table in the view that the keys ask for, unless another process has the terminal. Rates and delays
        are still those of the last whole interval.
        """
        if not self._terminal.here():
            return
        self._live.start()
        width, height = self._console.size
        snapshot, view = self._snapshot(width, height)
        silent = not snapshot.anything and snapshot.uptime_s >= SILENT_FOR
        why = self._why_silent() if silent else ""
        self._live.update(render(snapshot, width, height, self._foot(), view, why), refresh=True)

    def _snapshot(self, width: int, height: int) -> tuple[Snapshot, View | None]:
        """The rows that the keys ask for, and the view that they are of."""
        now = time.monotonic_ns()
        if self._typed is None:
            return self._table.snapshot(now, height), None
        view = self._typed.view
        snapshot = self._table.snapshot(now, height, view.order, view.above)
        self._typed.fit(snapshot.matching, room_for_rows(snapshot, width, height))
        if self._typed.view.above != view.above:
            view = self._typed.view
            snapshot = self._table.snapshot(now, height, view.order, view.above)
        return snapshot, view


class PlainLog:
    """Plain summaries for a file or a pipe: the first as soon as there is a price, then one every PLAIN_EVERY
    intervals.
    """

    def __init__(self, table: MarketTable, console: Console, terminal: Foreground) -> None:
        self._table = table
        self._console = console
        self._terminal = terminal
        self._calls = 0
        self._priced = False

    def draw(self) -> None:
        """End an interval, and write a summary when it is time for one."""
        self._terminal.here()  # the keys are ours again after `bg` and `fg`
        now = time.monotonic_ns()
        self._table.tick(now)
        self._calls += 1
        first_price = not self._priced and self._table.snapshot(now, 0).with_price > 0
        if first_price or self._calls % PLAIN_EVERY == 0:
            self._priced = self._priced or first_price
            self.write()

    def look(self) -> None:
        """Do nothing: keys don't change how plain lines look."""

    def write(self) -> None:
        """Write a summary. It isn't written through Rich, which would exit the program when the pipe's reader has
        gone.
        """
        lines = plain_lines(self._table.snapshot(time.monotonic_ns(), PLAIN_ROWS), PLAIN_ROWS)
        self._console.file.write("\n".join(lines) + "\n")
        self._console.file.flush()
