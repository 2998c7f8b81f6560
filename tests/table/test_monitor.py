"""The live table's shell: fake subscriptions on a mock clock, and the whole of it on a pseudo-terminal."""

import errno
import io
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from feedbus.schema.events import (
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Gap,
    Instrument,
    MarketData,
    Status,
    Trade,
)
from feedbus.table import monitor
from feedbus.table.market_table import READERS, MarketTable
from feedbus.table.monitor import SILENT_FOR, TOPICS, run_monitor
from tests.on_terminal import ENTER_SCREEN, LEAVE_SCREEN, TAKE_TERMINAL, OnTerminal


def trade(symbol: str = "TQBR.SBER") -> Trade:
    now = time.time_ns()
    return Trade("moex", symbol, now, now, 306.1, 1.0, None, None)


class Header:
    """What a message says of itself."""

    def __init__(self, publisher: str = "moex") -> None:
        self.publisher = publisher


class FakeSubscription:
    """Yields batches at their times (seconds), then stays open unless told to end."""

    def __init__(self, *batches: tuple[float, list[MarketData | Gap]], ends: bool = False) -> None:
        self._batches = batches
        self._ends = ends
        self.silent: dict[str, float] = {}

    async def messages(self) -> AsyncIterator[tuple[Header, Sequence[MarketData | Gap]]]:
        start = trio.current_time()
        for at, events in self._batches:
            await trio.sleep_until(start + at)
            yield Header(), events
        if not self._ends:
            await trio.sleep_forever()

    def why_silent(self, topics: Sequence[str] | None = None) -> str:
        return "nobody listens at ipc:///x"

    def why_away(self) -> str:
        return "nobody listens at ipc:///y"

    def silent_for(self, publisher: str) -> float | None:
        return self.silent.get(publisher)


class BrokenSubscription(FakeSubscription):
    async def messages(self) -> AsyncIterator[tuple[Header, Sequence[MarketData | Gap]]]:
        await trio.lowlevel.checkpoint()
        yield Header(), [trade()]
        raise RuntimeError("broken")


class ClosedPipe(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def screen() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def output(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_topics_are_those_that_the_table_reads() -> None:
    kinds: list[type[Event]] = [*READERS, BookSnapshot, BookDelta, Status, FeedStatus, Bar, Alert, Instrument]
    assert {kind.WORD for kind in kinds} == set(TOPICS)


async def test_the_screen_is_redrawn_once_a_second(autojump_clock: MockClock) -> None:
    console = screen()
    await run_monitor(FakeSubscription(), console=console, keys=False, title="", seconds=3.5)
    assert output(console).count("no market data yet") == 4
    assert output(console).startswith(ENTER_SCREEN)
    assert LEAVE_SCREEN in output(console), "it is left as it was when the time is up"


async def test_what_came_is_on_the_screen_and_in_the_returned_table(autojump_clock: MockClock) -> None:
    console = screen()
    subscription = FakeSubscription((0.5, [trade(), trade("TQBR.GAZP")]), (0.7, [trade()]))
    table = await run_monitor(subscription, console=console, keys=False, title="ipc:///x", seconds=1.5)
    assert table.updates == 3
    last = output(console).rpartition("feedbus  ")[2]
    assert "306.1" in last
    assert last.index("TQBR.SBER") < last.index("TQBR.GAZP")
    assert "Ctrl-C quits  ipc:///x" in last


async def test_alerts_are_those_of_the_publisher_that_the_message_names(autojump_clock: MockClock) -> None:
    alert = Alert("moex", "TQBR.SBER", 0, time.time_ns(), "spread", "critical", "firing", None, "")
    restarts: list[MarketData | Gap] = [Gap("", name, 1, None, None, "restart") for name in ("alerting", "moex")]
    console = screen()
    subscription = FakeSubscription((0.5, [trade(), alert]), (1.5, restarts[:1]), (2.5, restarts[1:]))
    await run_monitor(subscription, console=console, keys=False, title="", seconds=3.5)
    heads = output(console).split("feedbus  ")[1:]
    assert ["alerts 1: spread TQBR.SBER" in head for head in heads] == [False, True, True, False]


async def test_the_last_log_line_is_in_the_foot(autojump_clock: MockClock) -> None:
    console = screen()
    await run_monitor(
        FakeSubscription(), console=console, keys=False, title="ipc:///x", seconds=0.5, last_log=lambda: "moex/3 lost"
    )
    assert "ipc:///x  moex/3 lost" in output(console)


async def test_a_screen_on_which_nothing_comes_says_why_until_something_does(autojump_clock: MockClock) -> None:
    console = screen()
    began = MarketTable(time.monotonic_ns() - SILENT_FOR * 10**9)
    subscription = FakeSubscription((1.5, [trade()]))
    await run_monitor(subscription, console=console, keys=False, title="", seconds=3.5, table=began)
    heads = output(console).split("feedbus  ")[1:]
    assert ["nobody listens at ipc:///x" in head for head in heads] == [True, True, False, False]
    fresh = screen()
    await run_monitor(FakeSubscription(), console=fresh, keys=False, title="", seconds=0.5)
    assert "nobody listens" not in output(fresh), "there was no time to connect yet"


async def test_a_redraw_that_comes_late_is_not_made_up_for(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = pipe()
    drawn: list[float] = []
    monkeypatch.setattr(monitor.PlainLog, "draw", lambda self: drawn.append(trio.current_time()))
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_plain, FakeSubscription(), console)
        for step in (0.0, 10.5, 0.5, 0.5):
            mock_clock.jump(step)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [round(at - start, 3) for at in drawn] == [0, 10.5, 11.5]


async def run_plain(subscription: FakeSubscription, console: Console) -> None:
    await run_monitor(subscription, console=console, keys=False, title="")


async def test_the_end_of_the_subscription_ends_it(autojump_clock: MockClock) -> None:
    table = await run_monitor(
        FakeSubscription((2.0, [trade()]), ends=True), console=screen(), keys=False, title="", seconds=100
    )
    assert table.updates == 1
    assert trio.current_time() < 90


async def test_the_screen_is_left_as_it_was_when_cancelled(autojump_clock: MockClock) -> None:
    console = screen()
    with trio.move_on_after(2.5) as scope:
        await run_monitor(FakeSubscription(), console=console, keys=False, title="")
    assert scope.cancelled_caught
    assert LEAVE_SCREEN in output(console)


async def test_the_screen_is_left_as_it_was_after_an_error() -> None:
    console = screen()
    with pytest.raises(ExceptionGroup) as caught:
        await run_monitor(BrokenSubscription(), console=console, keys=False, title="")
    assert caught.group_contains(RuntimeError, match="broken")
    assert LEAVE_SCREEN in output(console)


async def test_without_a_terminal_lines_come_with_the_first_price_every_5_s_and_at_the_end(
    autojump_clock: MockClock,
) -> None:
    console = pipe()
    subscription = FakeSubscription((0.5, [trade()]), (6.5, [trade()]))
    await run_monitor(subscription, console=console, keys=True, title="", seconds=10.5)
    heads = [line for line in output(console).splitlines() if line.startswith("feedbus")]
    assert [line.split("  ")[2] for line in heads] == ["updates 1", "updates 1", "updates 2", "updates 2"]
    assert "\x1b" not in output(console)


async def test_without_a_terminal_only_the_5_most_active_are_written(autojump_clock: MockClock) -> None:
    console = pipe()
    subscription = FakeSubscription((0.0, [trade(f"S{i}") for i in range(9)]))
    await run_monitor(subscription, console=console, keys=False, title="", seconds=1.5)
    assert sum(line.startswith("  moex S") for line in output(console).splitlines()) == 10


async def test_it_ends_quietly_when_the_reader_of_its_lines_has_gone(autojump_clock: MockClock) -> None:
    console = Console(file=ClosedPipe(), force_terminal=False)
    with trio.fail_after(60):
        await run_monitor(FakeSubscription((0.0, [trade()])), console=console, keys=False, title="")


@pytest.mark.parametrize("stdin", [None, io.StringIO("q")])
async def test_without_a_keyboard_there_are_no_keys(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    console = screen()
    await run_monitor(FakeSubscription(), console=console, keys=True, title="", seconds=0.5)
    assert "Ctrl-C quits" in output(console)


PROGRAM = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
import trio
from rich.console import Console
from test_monitor import FakeSubscription, trade
from feedbus.table.market_table import READERS
from feedbus.table.monitor import run_monitor

async def main():
    table = await run_monitor(
        FakeSubscription((0, [trade(), *(trade(f"S{{number:02}}") for number in range(int(sys.argv[2])))])),
        console=Console(), keys=True, title="bus", interval=float(sys.argv[1])
    )
    print("left with", table.updates)

trio.run(main)
"""


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[OnTerminal]:
    interval, others = getattr(request, "param", (0.02, 0))
    made = OnTerminal([sys.executable, "-c", TAKE_TERMINAL + PROGRAM, str(interval), str(others)])
    yield made
    made.close()


@pytest.mark.parametrize("key", ["q", "Q"])
def test_q_ends_it_and_the_terminal_is_as_before(terminal: OnTerminal, key: str) -> None:
    terminal.read_until("TQBR.SBER")
    assert "q quits" in terminal.seen
    assert terminal.mode() != terminal.before
    terminal.type("x\x1bOq")
    terminal.type(key)
    terminal.read_until("left with 1")
    assert terminal.process.wait(10) == 0
    assert terminal.mode() == terminal.before
    assert LEAVE_SCREEN in terminal.seen


@pytest.mark.parametrize("terminal", [(1000.0, 0)], indirect=True)
def test_keys_sort_filter_and_show_the_clock_at_once(terminal: OnTerminal) -> None:
    terminal.read_until("q quits  ? keys")
    for typed, shown in [
        ("i", "Instrument▼"),
        ("I", "Instrument▲"),
        ("/", "filter: _ (1)"),
        ("zq", "filter: zq_ (0)"),
        ("\x7f\x7fsbeX\x7fr", "filter: sber_ (1)"),
        ("\r", "filter: sber (1)"),
        ("?", "s next sort"),
        ("\x1b[A\x1b", "? keys"),
        ("t", "Updated"),
    ]:
        terminal.then(typed, shown)
    terminal.type("q")
    terminal.read_until("left with 1")
    assert terminal.process.wait(10) == 0


@pytest.mark.parametrize("terminal", [(1000.0, 29)], indirect=True)
def test_the_rows_are_scrolled_at_once_and_not_beyond_their_end(terminal: OnTerminal) -> None:
    terminal.read_until("q quits  ? keys")
    for typed, shown in [
        ("t", "4 most active of 30"),
        ("\x1b[B", "2-5 most active of 30"),
        ("\x1b[6~", "6-9 most active of 30"),
        ("\x1b[F", "27-30 most active of 30"),
        ("\x1b[6~\x1b[B\x1b[A", "26-29 most active of 30"),
        ("/s2\r", "4 most active of 9"),
        ("\x1b[F", "6-9 most active of 9"),
        ("\x1b", "4 most active of 30"),
    ]:
        terminal.then(typed, shown)
    terminal.type("q")
    assert terminal.process.wait(10) == 0


def test_ctrl_c_ends_it_and_the_terminal_is_as_before(terminal: OnTerminal) -> None:
    terminal.read_until("TQBR.SBER")
    terminal.type("\x03")
    terminal.read_until("KeyboardInterrupt")
    assert terminal.process.wait(10) != 0
    assert terminal.mode() == terminal.before
    assert LEAVE_SCREEN in terminal.seen


@pytest.mark.parametrize("console", [screen(), pipe()], ids=["terminal", "pipe"])
async def test_a_publisher_that_has_fallen_silent_is_told_of(autojump_clock: MockClock, console: Console) -> None:
    live = Status("moex", "TQBR.SBER", 0, 1, "live", "", 1, 1, "trade")
    subscription = FakeSubscription((0.5, [trade(), live]))
    subscription.silent = {"moex": 2.5, "never shown": 9.0}
    await run_monitor(subscription, console=console, keys=False, title="", seconds=5.5)
    assert "NOT LIVE" not in output(console)
    subscription.silent["moex"] = 2.6
    await run_monitor(subscription, console=console, keys=False, title="", seconds=5.5)
    last = output(console).rpartition("feedbus  ")[2]
    assert last.startswith("NOT LIVE")
    assert "nothing has come from the publisher moex for 2 s: nobody listens at ipc:///y" in last
