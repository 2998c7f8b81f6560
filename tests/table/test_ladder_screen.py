"""The ladder's shell: fake subscriptions on a mock clock. tests/edges/test_terminals.py has it on a real terminal."""

from __future__ import annotations

import errno
import io
import math
import time
from collections.abc import Sequence

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from feedbus.errors import BusError
from feedbus.schema.events import BookDelta, BookSnapshot, Gap, MarketData, Status, Trade
from feedbus.table.ladder import Ladder
from feedbus.table.ladder_screen import LEAST_PAUSE, PLAIN_LEVELS, Asked, run_ladder, show_once
from tests.on_terminal import ENTER_SCREEN, LEAVE_SCREEN
from tests.table.ladders import Header

V, S = "binance", "BTCUSDT"
Message = tuple[float, list[MarketData | Gap]]
SILENT = Gap("", Header.publisher, 1, None, None, "silent")


class FakeMessages:
    """Yields messages at their times (seconds), then stays open."""

    def __init__(self, *messages: Message) -> None:
        self._messages = iter(messages)
        self._start = 0.0
        self.silent_from = self.speaks_from = math.inf
        self.asked: list[Sequence[str] | None] = []

    def messages(self) -> FakeMessages:
        self._start = trio.current_time()
        return self

    def __aiter__(self) -> FakeMessages:
        return self

    async def __anext__(self) -> tuple[Header, Sequence[MarketData | Gap]]:
        at, events = next(self._messages, (math.inf, []))
        await trio.sleep_until(self._start + at)
        return Header(), events

    def why_silent(self, topics: Sequence[str] | None = None) -> str:
        self.asked.append(topics)
        return "nobody listens at ipc:///x"

    def why_away(self) -> str:
        return "nobody listens at ipc:///y"

    def silent_for(self, publisher: str) -> float | None:
        """It says nothing while `silent_from` lies behind and `speaks_from` ahead."""
        now = trio.current_time() - self._start
        if publisher != Header.publisher:
            return None
        return max(0.0, now - self.silent_from) if now < self.speaks_from else 0.0


def book(levels: int = 1, best: float = 100.0) -> BookSnapshot:
    now = time.time_ns()
    bids = [(best - at, 1.0) for at in range(levels)]
    asks = [(best + 1 + at, 1.0) for at in range(levels)]
    return BookSnapshot(V, S, now, now, bids, asks, None)


def trade() -> Trade:
    return Trade(V, S, 0, time.time_ns(), 100.5, 1.0, None, None)


def screen(height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=height, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def output(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def shown(subscription: FakeMessages, console: Console, seconds: float, asked: Asked | None = None) -> list[str]:
    """What was drawn in this time, each drawing a text."""
    await run_ladder(subscription, Ladder(V, S), asked or Asked(), console=console, keys=False, seconds=seconds)
    return output(console).split("binance BTCUSDT  ")[1:]


async def test_the_screen_is_drawn_once_a_second_while_nothing_changes(autojump_clock: MockClock) -> None:
    console = screen()
    assert len(await shown(FakeMessages(), console, 3.5, Asked(title="ipc:///x"))) == 4
    assert output(console).startswith(ENTER_SCREEN)
    assert "Ctrl-C quits  ipc:///x" in output(console)
    assert output(console).index(LEAVE_SCREEN) > output(console).rindex("Ctrl-C quits")


async def test_a_change_is_drawn_soon_but_many_changes_not_more_than_ten_times_a_second(
    autojump_clock: MockClock,
) -> None:
    one = await shown(FakeMessages((0.5, [book()])), screen(), 0.55)
    assert len(one) == 2
    assert "101" in one[1]
    messages: list[Message] = [(at / 1000, [book()]) for at in range(1, 1000)]
    many = await shown(FakeMessages(*messages), screen(), 1.05)
    assert 9 <= len(many) <= 1 / LEAST_PAUSE + 2


async def test_the_screen_shows_as_many_levels_as_it_has_room_for_or_as_were_asked_for(
    autojump_clock: MockClock,
) -> None:
    for asked, more in ((Asked(), 41), (Asked(levels=3), 47), (Asked(levels=40), 41), (Asked(percent=2.0), 48)):
        last = (await shown(FakeMessages((0.2, [book(50)])), screen(), 0.5, asked))[-1]
        assert f"{more} more" in last, asked


async def test_a_screen_on_which_nothing_of_the_book_comes_says_why(autojump_clock: MockClock) -> None:
    subscription = FakeMessages((0.5, [trade()]), (3.0, [book()]))
    drawings = await shown(subscription, screen(), 3.2)
    assert ["nobody listens" in drawing for drawing in drawings] == [False, False, False, True, False]
    assert subscription.asked == [["book.binance.BTCUSDT"]]


@pytest.mark.parametrize("console", [pipe(), screen()], ids=["pipe", "terminal"])
async def test_a_book_whose_publisher_is_silent_is_not_live_until_it_speaks_again(
    autojump_clock: MockClock, console: Console
) -> None:
    live = Status(V, S, 0, 1, "live", "", 0, 1, "book")
    subscription = FakeMessages((0.5, [book(), live]), (3.5, [SILENT]), (7.0, [live]))
    subscription.silent_from, subscription.speaks_from = 1.0, 7.0
    drawings = await shown(subscription, console, 7.9)
    wrong = ["NOT LIVE" in drawing for drawing in drawings]
    first, last = wrong.index(True), len(wrong) - wrong[::-1].index(True)
    assert all(wrong[first:last])
    assert last - first in (3, 4, 5), "once a second from 3.5 s to 7 s"
    assert last < len(wrong)
    for at, drawing in enumerate(drawings):
        for words in ("nothing has come from the publisher binance", "nobody listens at ipc:///y"):
            assert (words in drawing) == wrong[at]
    assert "binance for 5 s" in drawings[last - 1]


async def test_what_a_silent_publisher_said_last_is_not_the_reason(autojump_clock: MockClock) -> None:
    status = Status(V, S, 0, 1, "resyncing", "connecting", 0, 1, "book")
    subscription = FakeMessages((0.5, [book(), status]), (3.5, [SILENT]))
    subscription.silent_from = 1.0
    drawings = await shown(subscription, screen(), 5.5)
    assert "getting the book anew" in drawings[2]
    assert "getting the book anew" not in drawings[-1]
    assert "nothing has come from the publisher binance" in drawings[-1]
    subscription = FakeMessages((0.5, [status]), (3.5, [SILENT]))
    subscription.silent_from = 1.0
    with pytest.raises(BusError, match="within 10 s: nothing has come from the publisher binance for 9 s: nobody li"):
        await show_once(subscription, Ladder(V, S), Asked(), console=pipe())


async def test_without_a_terminal_a_picture_comes_each_second_once_there_is_a_book(autojump_clock: MockClock) -> None:
    console = pipe()
    drawings = await shown(FakeMessages((0.5, [book(50)]), (2.5, [Gap("", "binance", 1, 1, 1, "lost")])), console, 3.5)
    assert len(drawings) == 3
    assert f"{50 - PLAIN_LEVELS} more" in drawings[0]
    assert drawings[0].endswith("\n\n")
    assert drawings[2].splitlines() == [
        "NOT LIVE  age  0.0 s  bus gaps 1",
        "messages were lost on the bus; the next full picture or word is waited for",
        "",
    ]
    assert "\x1b" not in output(console)


class ClosedPipe(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


async def test_it_ends_quietly_when_the_reader_of_its_pictures_has_gone(autojump_clock: MockClock) -> None:
    console = Console(file=ClosedPipe(), force_terminal=False)
    with trio.fail_after(60):
        await run_ladder(FakeMessages((0.0, [book()])), Ladder(V, S), Asked(), console=console, keys=False)


@pytest.mark.parametrize("console", [pipe(), screen(14)], ids=["pipe", "terminal"])
async def test_a_single_picture_is_printed_as_soon_as_there_is_a_book(
    autojump_clock: MockClock, console: Console
) -> None:
    began = trio.current_time()
    await show_once(FakeMessages((0.5, [trade()]), (4.0, [book()])), Ladder(V, S), Asked(), console=console)
    assert trio.current_time() - began == 4.0
    lines = output(console).splitlines()
    assert lines[0].startswith("binance BTCUSDT  not said to be live  age")
    assert lines[-1].startswith("no more is known; 1 bids down to 100")
    assert len(lines) == 7
    assert ENTER_SCREEN not in output(console)


async def test_a_single_picture_has_the_levels_that_were_asked_for(autojump_clock: MockClock) -> None:
    console = screen(10)
    await show_once(FakeMessages((0.0, [book(50)])), Ladder(V, S), Asked(levels=30), console=console)
    assert len(output(console).splitlines()) == 2 + 1 + 30 + 1 + 30 + 1


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "nobody listens at ipc:///x"),
        ([trade()], "nobody listens at ipc:///x"),
        ([BookDelta(V, S, 1, 1, [], [], 3, 4)], "no full picture of the book has come yet"),
        (
            [Status(V, S, 0, 1, "resyncing", "connecting", 0, 1, "book")],
            "the publisher has said that it is getting the book anew: its connection is away",
        ),
    ],
)
async def test_without_a_book_a_single_picture_is_an_error_that_says_why(
    autojump_clock: MockClock, events: list[MarketData | Gap], why: str
) -> None:
    console = pipe()
    with pytest.raises(BusError) as error:
        await show_once(FakeMessages((1.0, events)), Ladder(V, S), Asked(), console=console)
    assert str(error.value) == f"no book of binance BTCUSDT within 10 s: {why}"
    assert output(console) == ""
