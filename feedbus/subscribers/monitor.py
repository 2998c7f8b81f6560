"""The live table, `feedbus monitor`: a subscriber that draws. The shell: it owns the clock, the screen and the keys.

Three tasks in one nursery: one reads the bus into the model, one redraws each second, one waits for the key q.
Without a terminal there is nothing to redraw: then plain lines are written every few seconds.
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

from feedbus.events import Event
from feedbus.subscribers.market_table import MarketTable
from feedbus.subscribers.market_view import plain_lines, render
from feedbus.subscribers.terminal import has_keys, single_keys, wait_key

TOPICS = ["book", "quote", "trade", "ticker", "feed"]
PLAIN_EVERY = 5
"""Redraws from one plain summary to the next."""
PLAIN_ROWS = 5

Draw = Callable[[], None]


class Messages(Protocol):
    """What is needed of a bus subscription."""

    def messages(self) -> AsyncIterator[tuple[object, Sequence[Event]]]:
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
) -> MarketTable:
    """Draw until q is typed, `seconds` have passed, the subscription ends, or it is cancelled.

    `title` says in the last line what is watched (the bus address), `last_log` what else should be read there.
    """
    table = MarketTable(time.time_ns())
    fd = _keyboard() if keys else None
    with _drawing(table, console, _foot(fd, title, last_log)) as draw:
        with trio.move_on_after(math.inf if seconds is None else seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_redraw, draw, interval, nursery.cancel_scope)
                if fd is not None:
                    nursery.start_soon(_quit_on_q, fd, nursery.cancel_scope)
                await _read(subscription, table)
                nursery.cancel_scope.cancel()
    return table


def _keyboard() -> int | None:
    """Standard input, if keys can be read from it."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if has_keys(fd) else None


async def _read(subscription: Messages, table: MarketTable) -> None:
    async for _header, events in subscription.messages():
        for event in events:
            table.add(event)


async def _redraw(draw: Draw, interval: float, scope: trio.CancelScope) -> None:
    """Draw at once, then at each whole interval; a redraw that comes late isn't made up for."""
    due = trio.current_time()
    while True:
        try:
            draw()
        except BrokenPipeError:
            scope.cancel()
            return
        due += interval
        if due < trio.current_time():
            due = trio.current_time() + interval
        await trio.sleep_until(due)


async def _quit_on_q(fd: int, scope: trio.CancelScope) -> None:
    """The special keys send sequences that may hold a q: only what isn't one is looked into."""
    with single_keys(fd):
        while typed := await wait_key(fd):
            if not typed.startswith("\x1b") and "q" in typed.lower():
                scope.cancel()
                return


def _foot(fd: int | None, title: str, last_log: Callable[[], str] | None) -> Callable[[], str]:
    quits = "q quits" if fd is not None else "Ctrl-C quits"
    return lambda: "  ".join(text for text in (quits, title, last_log() if last_log else "") if text)


@contextmanager
def _drawing(table: MarketTable, console: Console, foot: Callable[[], str]) -> Iterator[Draw]:
    """How to draw: on the whole screen of a terminal, or in plain lines, the last of them at the end."""
    if not console.is_terminal:
        plain = PlainLog(table, console)
        yield plain.draw
        with suppress(BrokenPipeError):
            plain.write()
        return
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def draw() -> None:
            now = time.time_ns()
            width, height = console.size
            table.tick(now)
            live.update(render(table.snapshot(now, height), width, height, foot()), refresh=True)

        yield draw


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

    def write(self) -> None:
        """Write now. Not through Rich, which would leave the program when the reader of a pipe has gone."""
        lines = plain_lines(self._table.snapshot(time.time_ns(), PLAIN_ROWS), PLAIN_ROWS)
        self._console.file.write("\n".join(lines) + "\n")
        self._console.file.flush()
