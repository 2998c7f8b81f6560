"""What the live table and the ladder share. The tests of their shells go through it too."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from feedbus.table.screen import PlainOutput, Wakeup, run_shown
from feedbus.table.terminal import Foreground


async def test_a_wakeup_wakes_once_for_any_number_of_times(autojump_clock: MockClock) -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    with trio.fail_after(1):
        await wakeup.wait()
    with trio.move_on_after(1) as scope:
        await wakeup.wait()
    assert scope.cancelled_caught


def test_lines_are_written_at_once() -> None:
    file = io.StringIO()
    PlainOutput(Console(file=file)).write(["one", "[red]two"])
    assert file.getvalue() == "one\n[red]two\n"


@pytest.mark.parametrize(("number", "ends"), [(errno.EPIPE, True), (errno.EIO, True), (errno.ENOSPC, False)])
async def test_it_ends_when_the_reader_has_gone_but_fails_for_any_other_reason(number: int, ends: bool) -> None:
    left = []

    @contextmanager
    def shown(_terminal: Foreground) -> Iterator[str]:
        try:
            yield "display"
        finally:
            left.append("display")

    async def redraw(display: str) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(number, display)

    async def run() -> None:
        console = Console(file=io.StringIO())
        await run_shown(trio.sleep_forever, shown, redraw, console=console, keys=None, wakeup=Wakeup())

    with trio.fail_after(10):
        if ends:
            await run()
        else:
            with pytest.raises(ExceptionGroup):
                await run()
    assert left == ["display"]
