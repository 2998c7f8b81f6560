"""The log of what budgets hold back: a line a minute for each. Time is given."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.wait_log import MINUTE, WaitLog
from feedbus.venues.turns import TurnCounts


def test_it_writes_a_line_a_minute_for_each_budget_that_had_to_be_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "feedbus.moex")
    budgets = {name: TurnCounts() for name in ("connects", "subscribes", "messages")}
    log = WaitLog(logging.getLogger("feedbus.moex"), budgets)
    for second in range(600):
        log.look(float(second))
    assert caplog.messages == []
    waiting = budgets["subscribes"]
    waiting.waiting = 27
    for second in range(601, 721):
        waiting.gave_up(1.5)
        waiting.gave_up(0.25)
        budgets["connects"].gave_up(9.0)  # the feed tells of these by itself
        log.look(float(second))
    had_to_wait = "the venue may not be asked more often to subscribe: since the last such line"
    assert caplog.messages == [
        f"{had_to_wait} 1 had to wait for a second or longer, for 2 s in all, and 27 wait now",
        f"{had_to_wait} 60 had to wait for a second or longer, for 105 s in all, and 27 wait now",
    ]
    budgets["messages"].gave_up(2.0)
    log.look(721.0)
    assert caplog.messages[2].startswith("a connection may send the venue no more at once: since the last such line 1 ")
    waiting.waiting = 0
    log.look(720.0 + 2 * MINUTE)
    log.look(720.0 + 9 * MINUTE)
    assert len(caplog.messages) == 4, "the waits of the last minute are told, once"
