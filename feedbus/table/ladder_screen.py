"""The ladder of `feedbus book`: the shell that reads the clocks and draws.

The screen is redrawn when something has changed, at most ten times a second, and every second in any case, because ages
grow (screen.py has the tasks). When the output isn't a terminal, a plain picture is written every second instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import msgspec
import trio
from rich.console import Console

from feedbus.errors import BusError
from feedbus.table.keys import QuitKey
from feedbus.table.ladder import Ladder, LadderPicture
from feedbus.table.ladder_view import FRAME, LadderLines, LadderWidths, picture_lines, render, room_for_levels
from feedbus.table.ladder_words import trouble_text
from feedbus.table.screen import Messages, PlainOutput, Wakeup, WholeScreen, keyboard, run_shown
from feedbus.table.terminal import Foreground

LEAST_PAUSE = 0.1
"""Seconds from one drawing to the next, at least."""
MOST_PAUSE = 1.0
"""Seconds from one drawing to the next, at most; and between two plain pictures."""
SILENT_FOR = 2
"""Seconds from the start without a word of the instrument, after which the reason is said."""
PLAIN_LEVELS = 10
"""Levels a side where there is no screen whose lines would say how many."""
BOOK_WITHIN = 10.0
"""Seconds that a single picture waits for a book. Publishers repeat the pictures of books every 5 s."""


class Asked(msgspec.Struct, frozen=True):
    """What was asked for: the number of levels a side (None: as many as there is room for), the range around the mid in
    percent (None: all), and what the last line says of where the data is from."""

    levels: int | None = None
    percent: float | None = None
    title: str = ""


class LadderDisplay(Protocol):
    """Where the ladder is shown."""

    @property
    def pause(self) -> float:
        """Seconds from one drawing to the next, at least."""

    def draw(self) -> None:
        """Show the ladder as it is now. Raises OSError when the output can't be written to."""


async def run_ladder(
    subscription: Messages,
    ladder: Ladder,
    asked: Asked,
    *,
    console: Console,
    keys: bool,
    seconds: float | None = None,
) -> None:
    """Draw the ladder until q is typed, `seconds` have passed (None: no limit), the subscription ends, or it is
    cancelled. `keys` is whether keys are read from standard input."""
    fd = keyboard() if keys else None
    changed = Wakeup()
    source = _LadderSource(subscription, ladder)
    await run_shown(
        partial(_take_in, subscription, ladder, changed),
        partial(_shown_on, source, asked, console, "Ctrl-C quits" if fd is None else "q quits"),
        partial(_redraw, changed),
        console=console,
        keys=None if fd is None else (fd, QuitKey()),
        wakeup=changed,
        seconds=seconds,
    )


async def show_once(subscription: Messages, ladder: Ladder, asked: Asked, *, console: Console) -> None:
    """Print one picture of the ladder as soon as there is a book. Raises BusError, which says why, when there is none
    within BOOK_WITHIN seconds."""
    source = _LadderSource(subscription, ladder)
    with trio.move_on_after(BOOK_WITHIN):
        async for header, events in subscription.messages():
            ladder.apply(header, events, time.monotonic_ns(), time.time_ns())
            if not ladder.trouble:
                break
    shown = _picture(source, asked, console)
    if shown.trouble:
        said = ": ".join(text for text in (trouble_text(shown), source.why(shown) or shown.why) if text)
        why = source.never() or said
        raise BusError(f"no book of {ladder.venue} {ladder.symbol} within {BOOK_WITHIN:.0f} s: {why}")
    lines = picture_lines(shown, console.width, LadderWidths())
    if console.is_terminal:
        console.print(LadderLines(lines))
    else:
        PlainOutput(console).write([line.plain.rstrip() for line in lines])


def _picture(source: _LadderSource, asked: Asked, console: Console) -> LadderPicture:
    """A single picture, with as many levels a side as were asked for, or usual ones."""
    levels = asked.levels
    if levels is None:
        levels = max(1, room_for_levels(console.height)) if console.is_terminal else PLAIN_LEVELS
    return source.picture(levels, asked.percent, 2 * levels + FRAME)


class _LadderSource:
    """A ladder with the subscription that feeds it, which knows more of why nothing comes."""

    def __init__(self, subscription: Messages, ladder: Ladder) -> None:
        self._subscription = subscription
        self._ladder = ladder
        self._topic = Ladder.topics(ladder.venue, ladder.symbol)[0]

    def picture(self, count: int, percent: float | None, trades: int) -> LadderPicture:
        """What is to be shown now."""
        silent_s = self._subscription.silent_for(self._ladder.publisher)
        return self._ladder.picture(time.monotonic_ns(), count, percent, trades, silent_s)

    def never(self) -> str:
        """Why nothing of the book has ever come; "" when something has."""
        never = self._ladder.silent and self._ladder.trouble == "no picture yet"
        return self._subscription.why_silent([self._topic]) if never else ""

    def why(self, shown: LadderPicture) -> str:
        """Why the publisher of this picture is silent, as far as that is known; "" when it isn't silent."""
        return self._subscription.why_away() if shown.trouble == "publisher silent" else ""


async def _take_in(subscription: Messages, ladder: Ladder, changed: Wakeup) -> None:
    async for header, events in subscription.messages():
        ladder.apply(header, events, time.monotonic_ns(), time.time_ns())
        changed.set()


async def _redraw(changed: Wakeup, display: LadderDisplay) -> None:
    """Draw at once, and then whenever something has changed, but not more often than is good."""
    while True:
        began = trio.current_time()
        display.draw()
        await trio.sleep_until(began + display.pause)
        with trio.move_on_at(began + MOST_PAUSE):
            await changed.wait()


@contextmanager
def _shown_on(
    source: _LadderSource, asked: Asked, console: Console, hint: str, terminal: Foreground
) -> Iterator[LadderDisplay]:
    """The whole screen of a terminal; for other outputs plain pictures."""
    if not console.is_terminal:
        yield PlainLadder(source, asked, console, terminal)
        return
    screen = LadderScreen(source, asked, console, hint, terminal)
    try:
        yield screen
    finally:
        screen.close()


class _Silence:
    """The reason why nothing of the book comes, once there has been time for it to come."""

    def __init__(self, source: _LadderSource) -> None:
        self._source = source
        self._from = trio.current_time() + SILENT_FOR

    def put_in(self, shown: LadderPicture) -> LadderPicture:
        """The picture with the reason, where it has no book and there is one."""
        if shown.trouble == "publisher silent":
            return msgspec.structs.replace(shown, why=self._source.why(shown))
        if shown.trouble != "no picture yet" or trio.current_time() < self._from:
            return shown
        return msgspec.structs.replace(shown, why=self._source.never())


class LadderScreen:
    """The ladder on a terminal."""

    pause = LEAST_PAUSE

    def __init__(self, source: _LadderSource, asked: Asked, console: Console, hint: str, terminal: Foreground) -> None:
        self._source = source
        self._asked = asked
        self._whole = WholeScreen(console)
        self._foot = "  ".join(text for text in (hint, asked.title) if text)
        self._silence = _Silence(source)
        self._terminal = terminal
        self._kept = LadderWidths()

    def close(self) -> None:
        """Leave the screen as it was before the first drawing."""
        self._whole.close()

    def draw(self) -> None:
        """Show the ladder as it is now, unless another process has the terminal."""
        if not self._terminal.here():
            return
        width, height = self._whole.size
        room = room_for_levels(height)
        count = room if self._asked.levels is None else min(room, self._asked.levels)
        shown = self._source.picture(count, self._asked.percent, height)
        self._whole.show(render(self._silence.put_in(shown), width, height, self._kept, self._foot))


class PlainLadder:
    """Plain pictures for a file or a pipe, with an empty line after each. The first one is written as soon as there is
    a book, or a reason why there is none."""

    def __init__(self, source: _LadderSource, asked: Asked, console: Console, terminal: Foreground) -> None:
        self._source = source
        self._asked = asked
        self._console = console
        self._output = PlainOutput(console)
        self._silence = _Silence(source)
        self._terminal = terminal
        self._kept = LadderWidths()
        self.pause = LEAST_PAUSE

    def draw(self) -> None:
        """Write the ladder as it is now."""
        self._terminal.here()  # the keys are ours again after `bg` and `fg`
        shown = self._silence.put_in(_picture(self._source, self._asked, self._console))
        if shown.trouble == "no picture yet" and not shown.why:
            return
        self.pause = MOST_PAUSE
        lines = picture_lines(shown, self._console.width, self._kept)
        self._output.write([*(line.plain.rstrip() for line in lines), ""])
