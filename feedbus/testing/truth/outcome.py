"""What came of a simulation, and how it is told to people. Pure."""

from __future__ import annotations

from collections import Counter

import msgspec

from feedbus.testing.truth.faults import Fault, Schedule
from feedbus.testing.truth.oracle import Lie

SHOWN_LIES = 12


class RunOutcome(msgspec.Struct):
    """What came of a run. `failures` says in one line each what must not be; it is empty when all is well.

    untrue       instants times instruments and words that were called live, and were not true
    instants     those that were called live and looked at
    usable       the part of all instants, instruments and words that could be used
    digest       of everything that was on the bus, and of every lie: the same seed gives the same one
    messages     on the bus
    connects     logins that the venue accepted
    """

    schedule: Schedule
    failures: list[str]
    lies: list[Lie]
    untrue: int
    instants: int
    by_state: Counter[tuple[str, str]]
    usable: float
    digest: str
    messages: int
    connects: int

    def report(self) -> str:
        """What went wrong, the first lies, and how to run it again."""
        it = self.schedule
        head = (
            f"seed {it.seed}, {it.venue}, {it.connections} connections, {it.tickers} tickers, {it.seconds:g} s: "
            f"{self.untrue} untrue of {self.instants} instants, usable {self.usable:.1%}, {self.messages} messages, "
            f"{self.connects} connects"
        )
        faults = [f"  fault at {each.at:8.3f}: {_fault(each)}" for each in it.faults]
        failed = [f"  FAILED: {each}" for each in self.failures]
        return "\n".join([head, *faults, *failed, *map(_lie, self.lies[:SHOWN_LIES])])


def _fault(fault: Fault) -> str:
    return f"{fault.kind} place={fault.place} lasts={fault.lasts:g} count={fault.count} amount={fault.amount:g}"


def _lie(lie: Lie) -> str:
    return (
        f"  untrue at {lie.at:8.3f}, after {lie.fault}: {lie.symbol} {lie.word} was called {lie.state}: "
        f"shown {lie.shown}, true {lie.true}, behind {lie.behind:.3f} s"
    )
