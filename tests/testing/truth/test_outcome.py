from __future__ import annotations

from collections import Counter

from feedbus.testing.truth.faults import Fault, Schedule
from feedbus.testing.truth.oracle import Lie
from feedbus.testing.truth.outcome import SHOWN_LIES, RunOutcome


def test_the_report_says_what_is_needed_to_repeat_it() -> None:
    schedule = Schedule(7, "moex", (Fault("slow", 20.0, place=3, lasts=4.0, amount=2.0),))
    lie = Lie(30.0, "TQBR.SBER", "book", "live", (1,), (2,), "slow", 1.5)
    outcome = RunOutcome(schedule, ["1 of 10 values weren't true"], [lie] * 50, 1, 10, Counter(), 0.5, "digest", 99, 4)
    lines = outcome.report().splitlines()
    assert lines[0].startswith("seed 7, moex, 4 connections, 40 tickers, 300 s: 1 untrue of 10 instants, usable 50.0%")
    assert lines[1] == "  fault at   20.000: slow place=3 lasts=4 count=1 amount=2"
    assert lines[2] == "  FAILED: 1 of 10 values weren't true"
    assert lines[3].startswith(
        "  untrue at   30.000, after slow: TQBR.SBER book was called live: shown (1,), true (2,)"
    )
    assert len(lines) == 3 + SHOWN_LIES
