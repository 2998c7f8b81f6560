"""The live table, `feedbus monitor`: a subscriber that draws. The shell: it owns the clock, the screen and the keys.

Three tasks in one nursery: one reads the bus into the model, one redraws each second and after a key, one waits for
keys. Without a terminal there is nothing to redraw: then plain lines are written every few seconds, and of the keys
only q does something.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol

import trio
from rich.console import Console
from rich.live import Live

from feedbus.schema.events import Event
from feedbus.table.keys import Keys, View
from feedbus.table.market_table import MarketTable
from feedbus.table.market_view import plain_lines, render
from feedbus.table.terminal import has_keys, single_keys, wait_key

TOPICS = ["book", "quote", "trade", "ticker", "feed", "bar", "alert"]
PLAIN_EVERY = 5
"""Redraws from one plain summary to the next."""
PLAIN_ROWS = 5


class Display(Protocol):
    """Where the table is shown."""

    def draw(self) -> None:
        """An interval is over: show what is new. Raises BrokenPipeError when the reader has gone."""

    def look(self) -> None:
        """A key was typed: show the same, looked at in another way."""


class About(Protocol):
    """What is needed of a message's header."""

    @property
    def publisher(self) -> str:
        """Whose message it is."""


class Messages(Protocol):
    """What is needed of a bus subscription."""

    def messages(self) -> AsyncIterator[tuple[About, Sequence[Event]]]:
        """Message by message: a header, and the events in order, Gaps among them."""


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
    """Draw until q is typed, `seconds` have passed, the subscription ends, or it is cancelled.

    `table` is the one to be drawn, for who needs it however this ends. `title` says in the last line what is watched
    (the bus address), `last_log` what else should be read there.
    """
    table = table or MarketTable(time.time_ns())
    fd = _keyboard() if keys else None
    typed = None if fd is None else Keys()
    with _keys_of(fd), _display(table, console, typed, _foot(title, last_log)) as display:
        with trio.move_on_after(math.inf if seconds is None else seconds):
            async with trio.open_nursery() as nursery:
                key = Wakeup()
                nursery.start_soon(_redraw, display, interval, key, nursery.cancel_scope)
                if fd is not None and typed is not None:
                    nursery.start_soon(_read_keys, fd, typed, key, nursery.cancel_scope)
                await _read(subscription, table)
                nursery.cancel_scope.cancel()
    return table


class Wakeup:
    """Says that something has happened since it was last waited for, however often."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


def _keyboard() -> int | None:
    """Standard input, if keys can be read from it."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if has_keys(fd) else None


def _keys_of(fd: int | None) -> AbstractContextManager[None]:
    """Keys come one by one from before the table is first seen."""
    return nullcontext() if fd is None else single_keys(fd)


async def _read(subscription: Messages, table: MarketTable) -> None:
    async for header, events in subscription.messages():
        publisher = header.publisher
        for event in events:
            table.add(event, publisher)


async def _redraw(display: Display, interval: float, key: Wakeup, scope: trio.CancelScope) -> None:
    """Draw at once, then at each whole interval, and after a key; a redraw that comes late isn't made up for."""
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
    except BrokenPipeError:
        scope.cancel()


async def _read_keys(fd: int, typed: Keys, key: Wakeup, scope: trio.CancelScope) -> None:
    while text := await wait_key(fd):
        typed.type(text)
        if typed.quit:
            scope.cancel()
            return
        key.set()


def _foot(title: str, last_log: Callable[[], str] | None) -> Callable[[], str]:
    return lambda: "  ".join(text for text in (title, last_log() if last_log else "") if text)


@contextmanager
def _display(table: MarketTable, console: Console, typed: Keys | None, foot: Callable[[], str]) -> Iterator[Display]:
    """The whole screen of a terminal, or plain lines, the last of them at the end."""
    if not console.is_terminal:
        plain = PlainLog(table, console)
        yield plain
        with suppress(BrokenPipeError):
            plain.write()
        return
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield Screen(table, console, live, typed, foot)


class Screen:
    """The table on a terminal. `typed` is None where there are no keys."""

    def __init__(
        self, table: MarketTable, console: Console, live: Live, typed: Keys | None, foot: Callable[[], str]
    ) -> None:
        self._table = table
        self._console = console
        self._live = live
        self._typed = typed
        self._foot = foot

    def draw(self) -> None:
        """End an interval, and show it."""
        self._table.tick(time.time_ns())
        self.look()

    def look(self) -> None:
        """Show the table as the keys ask for it; rates and delays stay those of whole intervals."""
        view = None if self._typed is None else self._typed.view
        width, height = self._console.size
        snapshot = self._table.snapshot(time.time_ns(), height, (view or View()).order)
        self._live.update(render(snapshot, width, height, self._foot(), view), refresh=True)


class PlainLog:
    """Lines for a file or a pipe: as soon as there is a price, then every few redraws."""

    def __init__(self, table: MarketTable, console: Console) -> None:
        self._table = table
        self._console = console
        self._calls = 0
        self._priced = False

    def draw(self) -> None:
        """One redraw's turn; most pass without a line."""
        now = time.time_ns()
        self._table.tick(now)
        self._calls += 1
        first_price = not self._priced and self._table.snapshot(now, 0).with_price > 0
        if first_price or self._calls % PLAIN_EVERY == 0:
            self._priced = self._priced or first_price
            self.write()

    def look(self) -> None:
        """Lines are written in one way only."""

    def write(self) -> None:
        """Write now. Not through Rich, which would leave the program when the reader of a pipe has gone."""
        lines = plain_lines(self._table.snapshot(time.time_ns(), PLAIN_ROWS), PLAIN_ROWS)
        self._console.file.write("\n".join(lines) + "\n")
        self._console.file.flush()
