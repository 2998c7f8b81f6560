"""What a change of an order book costs in several structures, and what books weigh: docs/books.md has the figures.

    python -m venv /tmp/others && /tmp/others/bin/pip install --requirement tests/bench/requirements-books.txt
    python -m tests.bench.book_structures CAPTURE.gz --others /tmp/others/bin/python

The changes are those of a capture of Binance's depth@100ms (replayed_depth.py), decoded beforehand. Each turn of each
structure is a process of its own, one after the other (structures.py); all must give the same answers. `--cryptofeed`
is the Python of an environment that has cryptofeed, whose book is measured, too. The columns are CPU microseconds a
message, and how many times as much as feedbus's that is, with three questions: the best bid and ask after each message;
the ten best levels of each side after each; the best bid and ask after each, and a hundred levels after each fiftieth.
Then comes what 500 books weigh. The last line is the resident memory of a process whose Session keeps the books of 500
symbols.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from feedbus.venues.binance.account import Account
from feedbus.venues.binance.depth import decode_update, snapshot_of
from feedbus.venues.protocol import Fetch, FetchResponse
from tests.bench.parse_binance import lines_of, lines_with
from tests.bench.replayed_depth import CHANNEL, SNAPSHOT, Capture
from tests.bench.structures import BOOKS, STRUCTURES, Changes, resident

DEPTH = f'{{"stream":"btcusdt@{CHANNEL}",'.encode()
ELSEWHERE = {"sortedcontainers": "others", "BTrees": "others", "sorteddict": "others", "order_book": "cryptofeed"}
MESSAGES = 200  # so many changes come for each of the books that are weighed


class Turn(NamedTuple):
    """What one process said: see structures.py."""

    megabytes: float
    cpu_us: list[float]
    answers: list[int]


class _Frame(msgspec.Struct):
    data: msgspec.Raw


def changes_of(capture: Capture) -> Changes:
    """The first snapshot, and all changes after it."""
    raw = next(iter(capture.answers.values()))
    first = snapshot_of(FetchResponse(200, raw, 0), "snapshot")
    updates = [decode_update(msgspec.json.decode(message.raw, type=_Frame).data) for message in capture.messages]
    return first.bids, first.asks, [(each.bids, each.asks) for each in updates if each.last > first.update]


def turn(python: str, name: str, pickled: bytes) -> Turn:
    """One process."""
    run = subprocess.run(
        [python, "-m", "tests.bench.structures", name], input=pickled, stdout=subprocess.PIPE, check=True
    )
    said: dict[str, Any] = json.loads(run.stdout)
    return Turn(**said)


def compare(capture: Capture, pythons: dict[str, str], turns: int) -> list[str]:
    """A line a structure."""
    pickled = pickle.dumps(changes_of(capture))
    rounds = [{name: turn(python, name, pickled) for name, python in pythons.items()} for _ in range(turns)]
    different = {name for one in rounds for name, done in one.items() if done.answers != one["feedbus"].answers}
    if different:
        raise SystemExit(f"these give other answers than feedbus: {', '.join(sorted(different))}")
    return [_line(name, [(one["feedbus"], one[name]) for one in rounds]) for name in pythons]


def _line(name: str, pairs: Sequence[tuple[Turn, Turn]]) -> str:
    columns = []
    for at in range(len(pairs[0][0].cpu_us)):
        ratio = median(done.cpu_us[at] / ours.cpu_us[at] for ours, done in pairs)
        columns.append(f"{median(done.cpu_us[at] for _, done in pairs):7.2f} us {ratio:5.2f}")
    return f"{name:<24}{'  '.join(columns)}  {median(done.megabytes for _, done in pairs):4.0f} MB"


def weigh(capture: Capture) -> float:
    """Megabytes of this process, when a Session keeps the books of so many symbols."""
    symbols = [f"S{number}USDT" for number in range(BOOKS)]
    session = Account({}, (CHANNEL,)).session(symbols)
    list(session.opened(0.0))
    (place, snapshot), *_ = capture.answers.items()
    ts_recv = capture.messages[0].ts_recv
    asked: dict[str, Fetch] = {}
    for number in range(1, BOOKS):
        effects = list(session.frame(b'{"result":null,"id":%d}' % number, ts_recv, number * 1.0))
        effects += session.tick(number + 0.5)
        asked.update((effect.about, effect) for effect in effects if isinstance(effect, Fetch))
        if len(asked) == BOOKS:
            break
    for at, (raw, _, now) in enumerate(capture.messages[: MESSAGES + place]):
        for symbol in symbols:
            frame = raw.replace(b"btcusdt", symbol.lower().encode()).replace(b"BTCUSDT", symbol.encode())
            if at == place:
                list(session.fetched(asked[symbol], FetchResponse(200, bytes(snapshot), ts_recv), 1000.0 + now))
            session.frame(frame, ts_recv, 1000.0 + now)
    if session.counters()["books_right"] != BOOKS:
        raise SystemExit(f"not all books are kept: {session.counters()}")
    return resident() / 2**20


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.book_structures", description=__doc__.split("\n")[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("--others", metavar="PYTHON", help="has what is in tests/bench/requirements-books.txt")
    parser.add_argument("--cryptofeed", metavar="PYTHON", help="has cryptofeed")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    there = {"": sys.executable, "others": options.others, "cryptofeed": options.cryptofeed}
    pythons = {name: there[ELSEWHERE.get(name, "")] for name in STRUCTURES}
    capture = Capture("BTCUSDT", lines_with(lines_of(options.capture), DEPTH, SNAPSHOT))
    for line in compare(capture, {name: python for name, python in pythons.items() if python}, options.turns):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"a process that keeps {BOOKS} books of a Session: {weigh(capture):.0f} MB resident\n")


if __name__ == "__main__":
    main()
