"""What it costs to make events of Binance's frames: Session.frame, by turns with cryptofeed's handler.

    python -m venv /tmp/rival && /tmp/rival/bin/pip install --requirement tests/bench/requirements-parse.txt
    python -m tests.bench.parse_binance CAPTURE.gz --rival /tmp/rival/bin/python

The frames are those of a capture (a line: when it came, a blank, the raw frame), from memory; the figure is CPU time a
frame. Of trades and of best bids and asks both keep nothing. cryptofeed takes aggregated trades, so for it the trades
are renamed. Of changes of the book (depth@100ms) both keep the full book, from the captured snapshot on
(replayed_depth.py), and in the end both must have the same best bid and ask. Each turn of either is a process of its
own, one after the other. `--rival` may be given several times, for several versions of cryptofeed.
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
from typing import Any, NamedTuple

from feedbus.venues.binance.account import Account
from tests.bench.replayed_depth import CHANNEL, SNAPSHOT, Capture, best_at_end, replay

KINDS = ("trade", "bookTicker")
OURS = "feedbus"
IN_PICTURES = 10  # so few changes may come before the book begins, or while it is compared with a snapshot
ANSWER = b'{"result":null,"id":1}'
RIVAL = Path(__file__).with_name("rival_parse_binance.py")


class Turn(NamedTuple):
    """What one process said: who it is, CPU microseconds a frame, and the best bid and ask of its book at the end."""

    name: str
    cpu_us: float
    best: tuple[float, float] | None


def lines_of(capture: Path) -> list[bytes]:
    """The lines of a capture."""
    return gzip.decompress(capture.read_bytes()).splitlines()


def frames_of(lines: Sequence[bytes], kind: str) -> list[bytes]:
    """The raw frames of one channel of BTCUSDT."""
    return [line.partition(b" ")[2] for line in lines_with(lines, _begin(kind))]


def lines_with(lines: Sequence[bytes], *begins: bytes) -> list[bytes]:
    """The lines whose frames begin in one of these ways."""
    return [line for line in lines if line.partition(b" ")[2].startswith(begins)]


def _begin(kind: str) -> bytes:
    return f'{{"stream":"btcusdt@{kind}",'.encode()


def renamed(frame: bytes) -> bytes:
    """A trade as an aggregated one; anything else as it is."""
    return frame.replace(b'{"e":"trade"', b'{"e":"aggTrade"').replace(b'"BTCUSDT","t":', b'"BTCUSDT","a":')


def measure(frames: Sequence[bytes]) -> dict[str, Any]:
    """Our side of a turn about trades, or best bids and asks."""
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
    return {"name": OURS, "frames": len(frames), "events": events, "cpu_ns": process_time_ns() - begin}


def measure_depth(lines: Sequence[bytes]) -> dict[str, Any]:
    """Our side of a turn about the book. What is played for the best prices at the end warms up, too."""
    capture = Capture("BTCUSDT", lines)
    best = best_at_end(capture)
    played = replay(capture)
    frames = len(capture.messages)
    return {"name": OURS, "frames": frames, "events": played.changes, "cpu_ns": played.cpu_ns, "best": best}


def turn(command: Sequence[str], lines: Sequence[bytes], *, may_lack: int = 0) -> Turn:
    """One process that is given these lines. So few events may be lacking."""
    run = subprocess.run(command, input=b"\n".join(lines), stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(run.stdout)
    frames, events = said["frames"], said["events"]
    if not frames - may_lack <= events <= frames or not len(lines) - may_lack <= frames <= len(lines):
        raise SystemExit(f"{command[0]} made {events} events of {frames} frames")
    best = said.get("best")
    return Turn(said["name"], said["cpu_ns"] / frames / 1000, None if best is None else (best[0], best[1]))


def compare(capture: Path, rivals: Sequence[str], turns: int) -> list[str]:
    """A line a kind of frame and rival, as the turns go."""
    ours = [sys.executable, "-m", "tests.bench.parse_binance"]
    captured = lines_of(capture)
    found = []
    for kind in KINDS:
        frames = frames_of(captured, kind)
        others = [renamed(frame) for frame in frames]
        jobs = [([*ours, "--frames"], frames), *(([rival, str(RIVAL), "--frames"], others) for rival in rivals)]
        found += _lines(kind, len(frames), [[turn(*job) for job in jobs] for _ in range(turns)])
    lines = lines_with(captured, _begin(CHANNEL), SNAPSHOT)
    commands = [[*ours, "--depth"], *([rival, str(RIVAL), "--depth"] for rival in rivals)]
    rounds = [[turn(command, lines, may_lack=IN_PICTURES) for command in commands] for _ in range(turns)]
    if len({done.best for one in rounds for done in one}) != 1:
        raise SystemExit(f"the books differ: {[(done.name, done.best) for done in rounds[0]]}")
    return found + _lines(CHANNEL, len(lines) - 1, rounds)


def _lines(kind: str, frames: int, rounds: Sequence[Sequence[Turn]]) -> list[str]:
    ours, *rivals = zip(*rounds, strict=True)
    lines = []
    for rival in rivals:
        ratios = sorted(their.cpu_us / our.cpu_us for our, their in zip(ours, rival, strict=True))
        lines.append(
            f"{kind:<11} {frames:>6} frames  {OURS} {_median(ours):5.2f} us  {rival[0].name} {_median(rival):6.2f} us"
            f"  {median(ratios):.1f} times ({ratios[0]:.1f}-{ratios[-1]:.1f})"
        )
    return lines


def _median(turns: Sequence[Turn]) -> float:
    return median(done.cpu_us for done in turns)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.parse_binance", description=__doc__.split("\n")[0])
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument(
        "--rival", metavar="PYTHON", action="append", help="the Python of an environment that has cryptofeed"
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--frames", action="store_true", help="our side of a turn: frames come on standard input")
    parser.add_argument("--depth", action="store_true", help="the same for the book: lines of the capture come")
    options = parser.parse_args()
    if options.depth:
        sys.stdout.write(json.dumps(measure_depth(sys.stdin.buffer.read().splitlines())) + "\n")
        return
    if options.frames:
        sys.stdout.write(json.dumps(measure(sys.stdin.buffer.read().splitlines())) + "\n")
        return
    if options.capture is None or options.rival is None:
        parser.error("needs a capture, and --rival PYTHON")
    for line in compare(options.capture, options.rival, options.turns):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
