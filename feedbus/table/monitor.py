"""The live table of `feedbus monitor`: the shell that reads the clock and draws on the screen.

The table is redrawn every second and after a key (screen.py has the tasks). When the output isn't a terminal, plain
lines are written every few seconds instead; of the keys only q has an effect then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Protocol

import trio
from rich.console import Console

from feedbus.bus.hearing import SILENT_AFTER
from feedbus.table.keys import Keys, View
from feedbus.table.market_table import MarketTable, Snapshot
from feedbus.table.market_view import plain_lines, render, room_for_rows
from feedbus.table.screen import Messages, PlainOutput, Wakeup, WholeScreen, keyboard, run_shown
from feedbus.table.terminal import Foreground

TOPICS = ["book", "quote", "trade", "ticker", "status", "feed", "bar", "alert", "instrument"]
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
    fd = keyboard() if keys else None
    typed = None if fd is None else Keys()
    key = Wakeup()
    source = _TableSource(subscription)
    await run_shown(
        partial(_read, source, table),
        partial(_display, table, console, typed, _foot(title, last_log), source),
        lambda display: _redraw(display, interval, key),
        console=console,
        keys=None if fd is None or typed is None else (fd, typed),
        wakeup=key,
        seconds=seconds,
    )
    return table


class _TableSource:
    """A subscription, and the names of the `publishers` from which something came that the table may show."""

    def __init__(self, subscription: Messages) -> None:
        self.subscription = subscription
        self.publishers: set[str] = set()

    def silent(self) -> dict[str, float]:
        """Those of the publishers that say nothing any more, each with the seconds for which it has."""
        spans = {name: self.subscription.silent_for(name) for name in self.publishers}
        return {name: span for name, span in spans.items() if span is not None and span > SILENT_AFTER}


async def _read(source: _TableSource, table: MarketTable) -> None:
    async for header, events in source.subscription.messages():
        publisher, now = header.publisher, time.monotonic_ns()
        source.publishers.add(publisher)
        for event in events:
            table.add(event, publisher, now)


async def _redraw(display: Display, interval: float, key: Wakeup) -> None:
    """Draw at once, then after every interval, and after a key. When a redraw is late, the next one is a whole interval
    after it: redraws that were missed aren't made up for.
    """
    due = trio.current_time()
    while True:
        display.draw()
        due += interval
        if due < trio.current_time():
            due = trio.current_time() + interval
        with trio.move_on_at(due):
            while True:
                await key.wait()
                display.look()


def _foot(title: str, last_log: Callable[[], str] | None) -> Callable[[], str]:
    return lambda: "  ".join(text for text in (title, last_log() if last_log else "") if text)


@contextmanager
def _display(
    table: MarketTable,
    console: Console,
    typed: Keys | None,
    foot: Callable[[], str],
    source: _TableSource,
    terminal: Foreground,
) -> Iterator[Display]:
    """The whole screen of a terminal; for other outputs plain lines, with a last summary on leaving."""
    if not console.is_terminal:
        plain = PlainLog(table, console, source, terminal)
        yield plain
        with suppress(OSError):
            plain.write()
        return
    screen = Screen(table, console, typed, foot, source, terminal)
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
        source: _TableSource,
        terminal: Foreground,
    ) -> None:
        self._table = table
        self._whole = WholeScreen(console)
        self._typed = typed
        self._foot = foot
        self._source = source
        self._terminal = terminal

    def close(self) -> None:
        """Leave the screen as it was before the first drawing. It is no error when the terminal is gone."""
        self._whole.close()

    def draw(self) -> None:
        """End an interval, and show the table after it."""
        self._table.tick(time.monotonic_ns(), self._source.silent())
        self.look()

    def look(self) -> None:
        """Show the table in the view that the keys ask for, unless another process has the terminal. Rates and delays
        are still those of the last whole interval.
        """
        if not self._terminal.here():
            return
        width, height = self._whole.size
        snapshot, view = self._snapshot(width, height)
        silent = not snapshot.anything and snapshot.uptime_s >= SILENT_FOR
        why = self._source.subscription.why_silent() if silent else ""
        away = self._source.subscription.why_away() if snapshot.silent else ""
        self._whole.show(render(snapshot, width, height, self._foot(), view, why, away))

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

    def __init__(self, table: MarketTable, console: Console, source: _TableSource, terminal: Foreground) -> None:
        self._table = table
        self._source = source
        self._output = PlainOutput(console)
        self._terminal = terminal
        self._calls = 0
        self._priced = False

    def draw(self) -> None:
        """End an interval, and write a summary when it is time for one."""
        self._terminal.here()  # the keys are ours again after `bg` and `fg`
        now = time.monotonic_ns()
        self._table.tick(now, self._source.silent())
        self._calls += 1
        first_price = not self._priced and self._table.snapshot(now, 0).with_price > 0
        if first_price or self._calls % PLAIN_EVERY == 0:
            self._priced = self._priced or first_price
            self.write()

    def look(self) -> None:
        """Do nothing: keys don't change how plain lines look."""

    def write(self) -> None:
        """Write a summary."""
        snapshot = self._table.snapshot(time.monotonic_ns(), PLAIN_ROWS)
        away = self._source.subscription.why_away() if snapshot.silent else ""
        self._output.write(plain_lines(snapshot, PLAIN_ROWS, away))
