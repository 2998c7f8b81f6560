"""feedbus and other programs under the same loads, by turns: `python -m tests.bench.peers [LOAD …]`.

`make bench-peers` makes the environments that they need and runs all of it. docs/benchmarks.md says what is measured.
Progress goes to standard error, the table (Markdown) to standard output, all figures to the file of --json.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from feedbus.bench import figures
from feedbus.bench.command import machine, take_turns
from feedbus.bench.rig import Rig
from feedbus.bench.scenarios import Contender, Scenario
from tests.bench.peers.contenders import LOADS, OTHERS, OURS
from tests.bench.peers.peer_rig import PeerRig
from tests.bench.peers.peer_table import markdown


def rigs(load: Scenario, ours: Sequence[Contender], only: Sequence[str]) -> list[Rig]:
    """All contenders, or those whose labels begin with one of `only`."""
    made = [*(Rig(load, one, None) for one in ours), *(PeerRig(load, one) for one in OTHERS)]
    return [rig for rig in made if not only or rig.label.startswith(tuple(only))]


def bus_keys(text: str) -> Contender:
    """feedbus with other keys of the bus than the usual ones, as in `pace=economy,linger=0.1`."""
    return Contender(f"feedbus {text.replace('=', ' ')}", bus=dict(part.split("=", 1) for part in text.split(",")))


def note(line: str) -> None:
    """Progress."""
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """The command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the programs that were started are stopped
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__.split("\n")[0])
    parser.add_argument("loads", nargs="*", choices=[[], *LOADS], metavar="LOAD", help=f"of: {' '.join(LOADS)}")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], metavar="LABEL", help="contenders that begin so")
    parser.add_argument("--bus", action="append", type=bus_keys, metavar="KEY=VALUE,…", help="more of feedbus")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for load in (LOADS[name] for name in options.loads or LOADS):
        contenders = rigs(load, [*OURS, *(options.bus or [])], options.only)
        results.append(figures.result(load, take_turns(load, contenders, options.turns, note)))
        if options.json is not None:
            options.json.write_bytes(msgspec.json.encode({**machine(), "results": results}))
    sys.stdout.write(markdown(results) + "\n")


if __name__ == "__main__":
    main()
