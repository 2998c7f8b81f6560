"""Runs the simulation of the truth with fresh seeds until the time is over, and says how many ran.

    python -m tests.fuzz.truth --seconds 300           fresh seeds, on all processors
    python -m tests.fuzz.truth --seed 4711             one seed again, with its report
    python -m tests.fuzz.truth --seed 4711 --large     the same, of 30 connections and 1,500 tickers

Of each fifty seeds one is large. It ends with status 1 when a run has failed; each failure is told with the command
that repeats it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from feedbus.testing.truth.faults import Schedule, random_schedule
from feedbus.testing.truth.outcome import RunOutcome
from feedbus.testing.truth.world import run

ONE_LARGE_OF = 50
MOST_REPORTS = 20
"""How many failed runs are told in full."""


def schedule_of_seed(seed: int, *, large: bool) -> Schedule:
    """The schedule of a seed."""
    return random_schedule(seed, connections=30, tickers=1500) if large else random_schedule(seed)


def is_large(seed: int) -> bool:
    """Whether the run of this seed is one of the large ones."""
    return seed % ONE_LARGE_OF == 0


def play(seed: int) -> RunOutcome:
    """Run the schedule of a seed."""
    return run(schedule_of_seed(seed, large=is_large(seed)))


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def seeds(first: int) -> Iterator[int]:
    """Seeds without an end."""
    while True:
        yield first
        first += 1


class Summary:
    """What all runs together were."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.failed: list[int] = []
        self.untrue = self.instants = self.large = 0

    def add(self, outcome: RunOutcome) -> None:
        """Count a run, and tell it when it failed."""
        schedule = outcome.schedule
        self.runs[schedule.venue] += 1
        self.faults.update(schedule.kinds())
        self.large += schedule.tickers > 1000
        self.untrue += outcome.untrue
        self.instants += outcome.instants
        if outcome.failures:
            self.failed.append(schedule.seed)
            if len(self.failed) <= MOST_REPORTS:
                large = " --large" if schedule.tickers > 1000 else ""
                say(f"{outcome.report()}\n  again: python -m tests.fuzz.truth --seed {schedule.seed}{large}\n")

    def told(self) -> str:
        """In one paragraph."""
        venues = ", ".join(f"{count} {venue}" for venue, count in sorted(self.runs.items()))
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        bad = f"; {len(self.failed)} failed: {self.failed[:MOST_REPORTS]}" if self.failed else "; none failed"
        return (
            f"{self.runs.total()} runs ({venues}; {self.large} of them large), {self.instants:,} values that were "
            f"called live, {self.untrue:,} of them untrue{bad}\nfaults: {kinds}"
        )


def fuzz(seconds: float, first: int, workers: int) -> Summary:
    """Run fresh seeds until the time is over."""
    summary, end, fresh = Summary(), time.monotonic() + seconds, seeds(first)
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[RunOutcome]] = set()
        while running or time.monotonic() < end:
            while len(running) < 2 * workers and time.monotonic() < end:
                running.add(pool.submit(play, next(fresh)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                summary.add(each.result())
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--first", type=int, default=time.time_ns() // 10**8, help="the first fresh seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seed is not None:
        outcome = run(schedule_of_seed(given.seed, large=given.large or is_large(given.seed)))
        say(outcome.report())
        return bool(outcome.failures)
    summary = fuzz(given.seconds, given.first, given.workers)
    say(summary.told())
    return bool(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
