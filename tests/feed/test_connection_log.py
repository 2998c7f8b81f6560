"""The log of a feed's connections: single lines, and one that sums up a storm. Time is given."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.connection_log import LINES, MINUTE, MOST_LINES, ConnectionLog

FEED = logging.getLogger("feedbus.moex")


@pytest.fixture
def made(caplog: pytest.LogCaptureFixture) -> ConnectionLog:
    caplog.set_level(logging.INFO, "feedbus.moex")
    return ConnectionLog(FEED, lambda: "3 of 200 connections are up")


def connection(number: int) -> logging.Logger:
    return FEED.getChild(f"moex/{number}")


def fail(made: ConnectionLog, count: int, now: float, cause: str = "connect_failed") -> None:
    for number in range(count):
        made.failed(connection(number), cause, f"{cause}: no route", 1.5, now)


def test_a_storm_is_a_few_lines_and_one_with_its_numbers(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    fail(made, 1400, 10.0)
    fail(made, 87, 40.0, "timed_out")
    for number in range(120):
        made.logged_in(connection(number), 60.0)
    made.end_minute(10.0 + MINUTE - 0.1)
    failed = "connect_failed: no route; next attempt in 1.5 s"
    other = "timed_out: no route; next attempt in 1.5 s"  # the first of another kind has a line of its own
    assert caplog.messages == [failed] * LINES + [other] + ["online"] * LINES
    made.end_minute(10.0 + MINUTE)
    text = caplog.messages[-1]
    assert text == (
        "within a minute 1,487 attempts failed or connections were lost (connect_failed 1,400, timed_out 87), the last "
        "one because of timed_out: no route; 120 connections logged in; 3 of 200 connections are up"
    )
    assert (caplog.records[-1].name, caplog.records[-1].levelname) == ("feedbus.moex", "WARNING")


def test_each_minute_begins_with_lines_of_its_own(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    for minute in range(3):
        fail(made, 100, minute * MINUTE)
    made.end_minute()
    made.end_minute()
    assert sum("within a minute 100 attempts" in text for text in caplog.messages) == 3
    assert len(caplog.messages) == 3 * (LINES + 1)


def test_what_has_lines_of_its_own_is_not_summed_up(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    fail(made, LINES, 0.0)
    for number in range(LINES):
        made.logged_in(connection(number), 30.0)
    made.end_minute(MINUTE)
    assert caplog.messages[LINES:] == ["online"] * LINES


def test_many_logins_hide_no_failure(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(200):
        made.logged_in(connection(number), 0.0)
    fail(made, 1, 10.0)
    assert caplog.messages[LINES:] == ["connect_failed: no route; next attempt in 1.5 s"]


def test_ever_new_texts_have_an_end(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(200):
        made.failed(connection(number), "connect_failed", f"reason {number}", 1.5, 0.0)
    assert len(caplog.messages) == MOST_LINES


def test_a_start_of_many_connections_is_no_warning(made: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(200):
        made.logged_in(connection(number), 0.0)
    made.end_minute(MINUTE)
    assert caplog.messages[-1].startswith("within a minute 200 connections logged in; 3 of")
    assert {record.levelname for record in caplog.records} == {"INFO"}
