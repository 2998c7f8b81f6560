"""`feedbus bench`: runs the scenarios, lets their contenders take turns, and reports what an event costs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

import feedbus
from feedbus.bench import figures, rivals, tables
from feedbus.bench.child_process import ChildProcess
from feedbus.bench.figures import Outcome, Turn
from feedbus.bench.rig import ROOT, Rig
from feedbus.bench.scenarios import TABLE, Overrides, Scenario, chosen
from feedbus.errors import FeedbusError

DRAWN_WITHIN = 120.0  # seconds for the process that draws the live table

Say = Callable[[str], None]


class BenchOptions(msgspec.Struct, frozen=True):
    """The options that concern the whole run. `json` is the file that the JSON is written to, None: standard output."""

    names: list[str] = []
    turns: int = 5
    compare: bool = False
    json: str | None = None
    markdown: bool = False


def main(arguments: Mapping[str, Any], *, out: Say, note: Say) -> None:
    """Run what the command line asks for. `out` gets the results, `note` the progress and a table for people.

    Raises FeedbusError when events were lost in any turn, but only after everything has been reported.
    """
    options, overrides = msgspec.convert(arguments, BenchOptions), msgspec.convert(arguments, Overrides)
    scenarios = chosen(options.names, overrides, options.compare)
    checkout = rivals.required() if options.compare else rivals.find()
    results: list[dict[str, Any]] = []
    lost: list[str] = []
    for scenario in scenarios:
        outcomes = measure(scenario, options.turns, checkout, note)
        results.append(figures.result(scenario, outcomes))
        lost += figures.losses(scenario, outcomes)
    if TABLE in options.names or not options.names:
        results.append(draw())
    note(tables.plain(results))
    _put_out(results, options, out)
    if lost:
        raise FeedbusError(f"bench: lost: {'; '.join(lost)}")


def _put_out(results: list[dict[str, Any]], options: BenchOptions, out: Say) -> None:
    text = msgspec.json.format(msgspec.json.encode({**machine(), "results": results})).decode()
    if options.json is not None:
        Path(options.json).write_text(f"{text}\n")
    if options.markdown:
        out(tables.markdown(results))
    elif options.json is None:
        out(text)


def machine() -> dict[str, Any]:
    """The versions and the machine, without which the figures can't be compared with others."""
    return {
        "feedbus": feedbus.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
    }


def measure(scenario: Scenario, turns: int, checkout: rivals.Rivals | None, note: Say) -> list[Outcome]:
    """Measure all contenders of one scenario."""
    return take_turns(scenario, [Rig(scenario, contender, checkout) for contender in scenario.contenders], turns, note)


def take_turns(scenario: Scenario, contenders: Sequence[Rig], turns: int, note: Say) -> list[Outcome]:
    """Start these contenders, and measure them by turns (A B A B …), so that all meet the same disturbances."""
    with ExitStack() as stack:
        rigs = [stack.enter_context(rig) for rig in contenders]
        before = [rig.memory() for rig in rigs]
        results: list[list[Turn]] = [[] for _ in rigs]
        for number in range(1, turns + 1):
            for rig, result in zip(rigs, results, strict=True):
                result.append(rig.turn())
                note(f"{scenario.name} {number}/{turns}  {rig.label:<20}  {tables.turn_line(result[-1])}")
        return [
            Outcome(rig.label, result, memory, rig.memory())
            for rig, result, memory in zip(rigs, results, before, strict=True)
        ]


def draw() -> dict[str, Any]:
    """Measure what drawing the live table costs: `redraw_ms` is CPU milliseconds, `share` the part of one core that one
    redraw a second takes, `add_us` CPU microseconds to add one event to the model."""
    with TemporaryDirectory(prefix="feedbus-bench-") as folder, ExitStack() as stack:
        command = [sys.executable, "-m", "feedbus.bench.drawing"]
        child = ChildProcess("drawing", command, Path(folder), {"PYTHONPATH": str(ROOT)})
        stack.callback(child.stop)
        heard = child.expect("redraws_ns", DRAWN_WITHIN)
    redraws = [ns / 1e6 for ns in heard.pop("redraws_ns")]
    spread = figures.spread(redraws)
    mean = sum(redraws) / len(redraws)
    drawing = {**heard, "redraw_ms": spread, "share": mean / 1000, "add_us": heard.pop("add_ns") / 1000}
    return {"scenario": {"name": TABLE}, "drawing": drawing}
