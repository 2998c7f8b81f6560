"""What is said of a trial's data and delay. tests/doctor/test_feed_checks.py goes through whole trials."""

from __future__ import annotations

import pytest

from feedbus.doctor.trial_checks import of_delay, of_first
from feedbus.doctor.trial_watch import TrialWatch
from feedbus.schema.events import Trade

NOW = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
PICTURES = "no update came after the first pictures, of which the youngest is"


def watch(*delays: float, youngest: float | None = None, events: int = 9) -> TrialWatch:
    made = TrialWatch("X")
    made.delays, made.youngest, made.events = list(delays), youngest, events
    return made


@pytest.mark.parametrize(
    ("of", "guest", "verdict", "said"),
    [
        (watch(0.001, 0.5), False, "good", "events come 0.001 s to 0.500 s after their time at the venue (9 events)"),
        (watch(59.0, 70.0), False, "good", "events come 59.000 s to 70.000 s after"),
        (watch(900.0, 960.0), False, "failed", "late by 15 min: events come 15 min to 16 min after"),
        (watch(900.0, 960.0), True, "warning", "late by 15 min: "),
        (watch(-0.9, 0.0), False, "good", "events come -0.900 s to 0.000 s after"),
        (watch(-1.5, 0.0), False, "failed", "events are 1.500 s ahead of this machine's clock: "),
        (watch(youngest=None), False, "good", "not known: the venue's events have no time"),
        (watch(youngest=3.0), False, "good", "no update came after the first pictures, of which the youngest is 3.000"),
        (
            watch(youngest=40000.0),
            False,
            "warning",
            "no update came after the first pictures, of which the youngest is",
        ),
    ],
)
def test_how_late_events_come(of: TrialWatch, guest: bool, verdict: str, said: str) -> None:
    found = of_delay(of, is_guest=guest)
    assert found.verdict == verdict
    assert found.said.startswith(said)
    assert bool(found.remedy) == (verdict != "good")


def test_the_first_data_and_its_age() -> None:
    found = of_first("trade X", Trade("v", "X", NOW - 3 * SECOND, NOW, 1.0, 1.0, "buy", 1), 0.25)
    assert (found.said, found.seconds, found.facts) == (
        "Trade of 2026-09-21T14:13:17Z, 3.000 s old",
        0.25,
        {"age_s": 3.0},
    )
    timeless = of_first("trade X", Trade("v", "X", 0, NOW, 1.0, 1.0, "buy", 1), 0.25)
    assert (timeless.said, timeless.facts) == ("Trade, without a time of the venue", {})
