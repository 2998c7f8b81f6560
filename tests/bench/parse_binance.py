"""What it costs to make events of Binance's frames: Session.frame, by turns with cryptofeed's handler.

    python -m venv /tmp/rival && /tmp/rival/bin/pip install --requirement tests/bench/requirements-parse.txt
    python -m tests.bench.parse_binance CAPTURE.gz --rival /tmp/rival/bin/python

The frames are the trades and the best bids and asks of a capture (a line: when it came, a blank, the raw frame), from
memory; the figure is CPU time a frame. cryptofeed takes aggregated trades, so for it the trades are renamed. Both keep
nothing of what they make. Each turn of either is a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

from feedbus.venues.binance.account import Account

KINDS = ("trade", "bookTicker")
ANSWER = b'{"result":null,"id":1}'
RIVAL = Path(__file__).with_name("rival_parse_binance.py")


def frames_of(capture: Path, kind: str) -> list[bytes]:
    """The raw frames of one channel of BTCUSDT."""
    begin = f'{{"stream":"btcusdt@{kind}",'.encode()
    lines = gzip.decompress(capture.read_bytes()).splitlines()
    return [raw for raw in (line.partition(b" ")[2] for line in lines) if raw.startswith(begin)]


def renamed(frame: bytes) -> bytes:
    """A trade as an aggregated one; anything else as it is."""
    return frame.replace(b'{"e":"trade"', b'{"e":"aggTrade"').replace(b'"BTCUSDT","t":', b'"BTCUSDT","a":')


def measure(frames: Sequence[bytes]) -> dict[str, int]:
    """Our side of a turn."""
    session = Account({}, KINDS).session(["BTCUSDT"])
    list(session.opened(0.0))
    session.frame(ANSWER, 1, 0.0)
    for frame in frames[:1000]:
        session.frame(frame, 1, 0.0)
    events = 0
    begin = process_time_ns()
    for frame in frames:
        for _ in session.frame(frame, 1, 0.0):
            events += 1
    return {"frames": len(frames), "events": events, "cpu_ns": process_time_ns() - begin}


def turn(command: Sequence[str], frames: Sequence[bytes]) -> float:
    """CPU microseconds a frame, of one process that is given these frames."""
    run = subprocess.run(command, input=b"\n".join(frames), stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(run.stdout)
    if not said["frames"] == said["events"] == len(frames):
        raise SystemExit(f"{command[0]} made {said['events']} events of {len(frames)} frames")
    return float(said["cpu_ns"]) / len(frames) / 1000


def compare(capture: Path, rival: str, turns: int) -> list[str]:
    """A line a kind of frame, as the turns go."""
    ours = [sys.executable, "-m", "tests.bench.parse_binance", "--frames"]
    lines = []
    for kind in KINDS:
        frames = frames_of(capture, kind)
        others = [renamed(frame) for frame in frames]
        pairs = [(turn(ours, frames), turn([rival, str(RIVAL)], others)) for _ in range(turns)]
        ratios = sorted(theirs / our for our, theirs in pairs)
        our, theirs = (median(side) for side in zip(*pairs, strict=True))
        lines.append(
            f"{kind:<10} {len(frames):>6} frames  feedbus {our:5.2f} us  cryptofeed {theirs:6.2f} us"
            f"  {median(ratios):.1f} times ({ratios[0]:.1f}-{ratios[-1]:.1f})"
        )
    return lines


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.parse_binance", description=__doc__.split("\n")[0])
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument("--rival", metavar="PYTHON", help="the Python of an environment that has cryptofeed")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--frames", action="store_true", help="our side of a turn: frames come on standard input")
    options = parser.parse_args()
    if options.frames:
        sys.stdout.write(json.dumps(measure(sys.stdin.buffer.read().splitlines())) + "\n")
        return
    if options.capture is None or options.rival is None:
        parser.error("needs a capture, and --rival PYTHON")
    for line in compare(options.capture, options.rival, options.turns):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
