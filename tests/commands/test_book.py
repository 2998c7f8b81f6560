"""`feedbus book` on a real bus, in this process and as one of its own. How it draws is tested in tests/table."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import trio
from rich.console import Console

from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.commands.book import watch_book
from feedbus.errors import BusError
from feedbus.schema.events import BookSnapshot, Trade
from feedbus.table import ladder_screen
from feedbus.table.ladder import Ladder
from feedbus.table.ladder_screen import Asked
from tests.places import ROOT

PATIENCE = 20.0


def publish(publisher: Publisher) -> None:
    now = time.time_ns()
    book = BookSnapshot("binance", "BTCUSDT", now, now, [(100.0, 1.0)], [(100.5, 2.0)], 7)
    other = BookSnapshot("binance", "BTCUSDT2", now, now, [(7.0, 1.0)], [], 7)
    publisher.publish([Trade("binance", "BTCUSDT", now, now, 100.25, 1.0, "buy", 1), other, book])


class WatchedOutput(io.StringIO):
    """Sets an event when the price of the ask is written."""

    def __init__(self) -> None:
        super().__init__()
        self.priced = trio.Event()

    def write(self, text: str) -> int:
        if "100.50" in text:
            self.priced.set()
        return super().write(text)


@pytest.mark.parametrize("once", [False, True])
async def test_it_shows_the_book_until_it_is_stopped_or_once(once: bool) -> None:
    stop, out = trio.Event(), WatchedOutput()
    with closing(PubSocket(f"inproc://commands-book-{once}")) as socket:
        publisher = Publisher("binance", socket)

        async def publish_until_shown() -> None:
            while not out.priced.is_set():
                publish(publisher)
                with trio.move_on_after(0.05):
                    await out.priced.wait()
            if not once:
                stop.set()

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish_until_shown)
                await watch_book(
                    [f"inproc://commands-book-{once}"],
                    Ladder("binance", "BTCUSDT"),
                    Asked(),
                    stop,
                    console=Console(file=out, force_terminal=False, width=80),
                    once=once,
                )
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("binance BTCUSDT  not said to be live  age")
    assert "─ spread 0.50 49.9 bp  mid 100.250" in lines[4]
    assert "7.0" not in "".join(lines[1:])


async def test_a_book_that_nobody_publishes_is_said_to_be_so(ipc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder_screen, "BOOK_WITHIN", 0.01)
    with pytest.raises(ExceptionGroup) as caught:
        await watch_book(
            [ipc],
            Ladder("binance", "BTCUSDT"),
            Asked(),
            trio.Event(),
            console=Console(file=io.StringIO()),
            once=True,
        )
    assert caught.group_contains(BusError, match="nobody listens at ipc://.*: there is no such socket$")


async def test_a_process_prints_one_picture_and_another_ends_by_a_signal(ipc: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "feedbus", "book", "Binance", "BTCUSDT", "--bus", ipc]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "60"}

    def start(*more: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *more], stdout=pipe, stderr=pipe, cwd=tmp_path, env=environ)

    with (
        closing(PubSocket(ipc)) as socket,
        start("--once") as once,
        start() as going,
        trio.fail_after(PATIENCE),
    ):
        publisher = Publisher("binance", socket)
        async with trio.open_nursery() as nursery:

            async def keep_publishing() -> None:
                while True:
                    publish(publisher)
                    await trio.sleep(0.05)

            nursery.start_soon(keep_publishing)
            out, err = await trio.to_thread.run_sync(once.communicate)
            assert going.stdout is not None
            await trio.to_thread.run_sync(going.stdout.readline)
            going.send_signal(signal.SIGINT)
            _, said = await trio.to_thread.run_sync(going.communicate)
            nursery.cancel_scope.cancel()
    lines = out.decode().splitlines()
    assert (once.returncode, err, going.returncode, said) == (0, b"", 0, b"")
    assert lines[3].startswith("100.50     2  ██")
    assert max(map(len, lines)) <= 60
