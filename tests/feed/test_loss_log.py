"""The log of what is got anew: single lines, and one that sums up a minute. Time is given."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.loss_log import LINES, MINUTE, MOST_REASONS, OTHER, LossLog
from feedbus.schema.events import TRUST_REASONS


@pytest.fixture
def made(caplog: pytest.LogCaptureFixture) -> LossLog:
    caplog.set_level(logging.INFO, "feedbus.binance")
    return LossLog(logging.getLogger("feedbus.binance"))


def test_many_losses_are_a_few_lines_and_one_that_sums_them_up(made: LossLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(LINES + 1200):
        made.lost(f"depth S{number}", "audit" if number % 3 == 2 else "hole", number * 0.01)
    made.end_minute(MINUTE - 0.1)
    assert caplog.messages == [
        f"depth S{number} isn't right and is got anew: {TRUST_REASONS['audit' if number == 2 else 'hole']}"
        for number in range(LINES)
    ]
    made.end_minute(MINUTE)
    (summed_up,) = caplog.messages[LINES:]
    reasons = f"{TRUST_REASONS['hole']}: 800; {TRUST_REASONS['audit']}: 400"
    assert summed_up == f"1,200 more were got anew within a minute ({reasons})"


def test_only_so_many_reasons_are_told_apart(made: LossLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(LINES + 1000):
        made.lost("depth S", f"reason {number}", 0.0)
    made.end_minute()
    assert caplog.messages[-1].count(";") == MOST_REASONS
    assert f"{OTHER}: {1000 - MOST_REASONS:,}" in caplog.messages[-1]


def test_each_minute_begins_with_lines_of_its_own_and_what_has_one_is_not_summed_up(
    made: LossLog, caplog: pytest.LogCaptureFixture
) -> None:
    for now in (0.0, MINUTE, 5 * MINUTE):
        made.lost("depth S", "hole", now)
    made.end_minute()
    made.end_minute()
    assert caplog.messages == ["depth S isn't right and is got anew: updates are missing"] * 3


def test_what_is_right_again_after_long_is_told_in_the_same_way(
    made: LossLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(LINES + 7):
        made.right(f"depth S{number}", 75.0, 1.0)
    made.end_minute(1.0 + MINUTE)
    assert caplog.messages == [
        *(f"depth S{number} is right again, after 75 s" for number in range(LINES)),
        "7 more are right again, after a long time",
    ]
