"""The logs of a feed end their minutes together."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.connection_log import MINUTE, MOST_LINES
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.loss_log import LINES


def test_the_minutes_of_all_logs_end_together(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "feedbus.binance")
    log = logging.getLogger("feedbus.binance")
    logs = FeedLogs(log, lambda: "1 of 1 connections are up", lambda text: text.replace("s3cret", "***"))
    for number in range(MOST_LINES + LINES):
        logs.connections.failed(log, "timed_out", "timed_out: late", 1.0, 0.0)
        logs.losses.lost(f"depth S{number}", "hole", 0.0)
        logs.requests.failed(f"S{number}", "timed_out: s3cret is late", 0.0)
    caplog.clear()
    logs.end_minute(MINUTE - 0.1)
    assert caplog.messages == []
    logs.end_minute(MINUTE)
    assert [text.split()[0] for text in caplog.messages] == ["within", f"{MOST_LINES}", f"{MOST_LINES + LINES - 1}"]
    assert "1 of 1 connections are up" in caplog.messages[0]
    assert "S14: timed_out: *** is late" in caplog.messages[2]
