"""Measures what drawing the live table costs, without the bus and its decoding, in a process of its own.

`python -m feedbus.bench.drawing` prints one line of JSON. What is counted is what `feedbus monitor` does in a redraw:
it ends an interval, takes a snapshot of the model, lays it out and writes it as a terminal would get it (here to
/dev/null). Every instrument changes between two redraws; the CPU time of those changes is counted apart.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live

from feedbus.bench.slotted_frames import symbol
from feedbus.bench.turn import say
from feedbus.schema.events import BookSnapshot, FeedStatus, MarketData, Ticker
from feedbus.table.market_table import MarketTable
from feedbus.table.market_view import render

INSTRUMENTS = 1500
CONNECTIONS = 30
WIDTH, HEIGHT = 200, 50  # cells of the terminal
REDRAWS = 20
PAUSE = 0.05  # seconds between two redraws, so that a redraw does not find everything in the processor's caches


class Drawing(msgspec.Struct, frozen=True):
    """The size of the table, and CPU nanoseconds: of each redraw, and of adding one event to the model on average."""

    instruments: int
    width: int
    height: int
    redraws_ns: list[int]
    add_ns: float


def news(number: int, now_ns: int) -> list[MarketData]:
    """A book and a ticker of every instrument, then the status of every connection. `number` varies the prices."""
    events: list[MarketData] = []
    for at in range(INSTRUMENTS):
        price = (1000 + at * 7 + number) / 100
        bids, asks = [(price, 10.0)], [(price + 0.01, 12.0)]
        events.append(BookSnapshot("moex", symbol(at), now_ns, now_ns, bids, asks, number))
        events.append(Ticker("moex", symbol(at), now_ns, now_ns, last=price, volume=1000.0 * at + number, status="T"))
    instruments = {"live": INSTRUMENTS // CONNECTIONS}
    for at in range(CONNECTIONS):
        up = (CONNECTIONS, CONNECTIONS, instruments, 200.0, 0.1, 1)
        events.append(FeedStatus("moex", f"moex/{at}", 0, now_ns, "online", "", *up))
    return events


def measure(redraws: int = REDRAWS, pause: float = PAUSE) -> Drawing:
    """Redraw the table so many times, with a pause of so many seconds before each."""
    table = MarketTable(time.time_ns())
    drawn: list[int] = []
    added = events = 0
    with Path(os.devnull).open("w") as nowhere:
        console = Console(file=nowhere, force_terminal=True, width=WIDTH, height=HEIGHT, color_system="256")
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for number in range(redraws):
                new = news(number, time.time_ns())
                added -= time.process_time_ns()
                for event in new:
                    table.add(event)
                added += time.process_time_ns()
                events += len(new)
                time.sleep(pause)
                drawn.append(_draw(table, live))
    return Drawing(INSTRUMENTS, WIDTH, HEIGHT, drawn, added / events)


def _draw(table: MarketTable, live: Live) -> int:
    """Redraw once, and return the CPU nanoseconds that it took."""
    began = time.process_time_ns()
    now = time.time_ns()
    table.tick(now)
    live.update(render(table.snapshot(now, HEIGHT), WIDTH, HEIGHT, "ipc:///run/feedbus/events.ipc"), refresh=True)
    return time.process_time_ns() - began


if __name__ == "__main__":
    say(**msgspec.structs.asdict(measure()))
