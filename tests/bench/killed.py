"""What a kill -9 of one process is to the others: `python -m tests.bench.killed` prints a table for people.

Three simulated venues and all actors, each part in a process of its own. By turns: all of them alive, and one of them
killed. Measured are the other feeds' events a second as a subscriber gets them, the CPU that their processes take, and
how long a part that is started again takes until it works: until its first event of a new epoch is on the bus, for
`metrics` until it serves the figures of a feed.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

import feedbus
from feedbus.bench.child_process import cpu_ns
from feedbus.bus.receiver import Header
from feedbus.bus.subscriber import SyncSubscription
from feedbus.schema.events import FeedStatus, Gap
from tests.apart import Apart, apart

FEEDS = ("moex", "alor", "binance")
PARTS = (*FEEDS, "aggregator", "alerting", "metrics")
GIVE_UP = 30.0  # seconds

Figures = tuple[float, float]
"""Events a second of some feeds, and the share of a core that their processes took."""


def measured(made: Apart, subscription: SyncSubscription, feeds: tuple[str, ...], seconds: float) -> Figures:
    """What these feeds bring within so many seconds, and what it costs them."""
    processes = [made.processes[name].pid for name in feeds]
    before, begun, events = sum(map(cpu_ns, processes)), time.monotonic(), 0
    for header, batch in subscription.messages():
        if header.publisher in feeds:
            events += sum(not isinstance(event, Gap | FeedStatus) for event in batch)
        if time.monotonic() - begun >= seconds:
            break
    took = time.monotonic() - begun
    return events / took, (sum(map(cpu_ns, processes)) - before) / 1e9 / took


def until(subscription: SyncSubscription, found: Callable[[Header], bool]) -> float:
    """Seconds until a message that is looked for comes. Raises TimeoutError."""
    begun = time.monotonic()
    for header, batch in subscription.messages():
        if any(not isinstance(event, Gap | FeedStatus) for event in batch) and found(header):
            return time.monotonic() - begun
        if time.monotonic() - begun > GIVE_UP:
            break
    raise TimeoutError("it doesn't work again")


def served(url: str) -> float:
    """Seconds until the figures of a feed are served there. Raises TimeoutError."""
    begun = time.monotonic()
    while time.monotonic() - begun < GIVE_UP:
        try:
            if 'feed="moex"' in httpx.get(url, timeout=5, trust_env=False).text:
                return time.monotonic() - begun
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError("nothing is served")


def turn(made: Apart, part: str, seconds: float) -> tuple[Figures, Figures, float]:
    """The other feeds with the part alive and killed, and how long it took to work again."""
    feeds = tuple(name for name in FEEDS if name != part)
    epochs: dict[str, int] = {}
    with feedbus.subscribe_sync(made.addresses()) as subscription:

        def everybody(header: Header) -> bool:
            epochs[header.publisher] = max(header.epoch, epochs.get(header.publisher, 0))
            return all(name in epochs for name in PARTS if name != "metrics")

        until(subscription, everybody)
        alive = measured(made, subscription, feeds, seconds)
        made.kill(part)
        dead = measured(made, subscription, feeds, seconds)
        begun = time.monotonic()
        made.run(part)
        if part == "metrics":
            served(made.metrics)
        else:
            until(subscription, lambda header: header.publisher == part and header.epoch > epochs[part])
        return alive, dead, time.monotonic() - begun


def row(part: str, turns: list[tuple[Figures, Figures, float]]) -> str:
    """Medians over the turns, and the ratio of killed to alive turn by turn."""
    cells = [part]
    for which in (0, 1):
        alive = [each[0][which] for each in turns]
        dead = [each[1][which] for each in turns]
        ratios = [after / before for before, after in zip(alive, dead, strict=True)]
        unit = 1.0 if which == 0 else 100.0
        cells += [f"{statistics.median(alive) * unit:.1f}", f"{statistics.median(dead) * unit:.1f}"]
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    again = [each[2] for each in turns]
    cells.append(f"{statistics.median(again):.2f} ({min(again):.2f}-{max(again):.2f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    given = arguments.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    head = ["killed", "events/s alive", "killed", "ratio", "% of a core alive", "killed", "ratio", "works again, s"]
    sys.stdout.write("| " + " | ".join(head) + " |\n|" + " --- |" * len(head) + "\n")
    with tempfile.TemporaryDirectory(prefix="feedbus-") as folder, apart(Path(folder), port) as made:
        for part in PARTS:
            turns = [turn(made, part, given.seconds) for _ in range(given.turns)]
            sys.stdout.write(row(part, turns) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
