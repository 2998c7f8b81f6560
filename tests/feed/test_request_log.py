"""The log of requests that failed: the first one, and one line a minute. Time is given."""

from __future__ import annotations

import logging

import pytest

from feedbus.feed.request_log import MINUTE, RequestLog

FIRST = "a request to the venue failed, and will be made again: "


@pytest.fixture
def made(caplog: pytest.LogCaptureFixture) -> RequestLog:
    caplog.set_level(logging.INFO, "feedbus.binance")
    return RequestLog(logging.getLogger("feedbus.binance"), lambda text: text.replace("s3cret", "***"))


def test_a_storm_is_two_lines_a_minute(made: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        made.failed(f"S{number}", "connect_failed: s3cret: no route", number * 0.05)
    made.end_minute(MINUTE - 0.1)
    assert caplog.messages == [f"{FIRST}S0: connect_failed: ***: no route"]
    made.end_minute(MINUTE)
    assert caplog.messages[1:] == [
        "999 more requests to the venue failed within a minute, the last one: S999: connect_failed: ***: no route"
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_the_next_minute_begins_with_a_line_of_its_own(made: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    for now in (0.0, MINUTE, MINUTE * 3):
        made.failed("", "timed_out", now)
    made.end_minute()
    made.end_minute()
    assert caplog.messages == [f"{FIRST}timed_out"] * 3


def test_it_says_when_requests_are_answered_again(made: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    made.answered()
    made.end_minute(1.0)
    for now in (10.0, 11.0, 12.0):
        made.failed("BTCUSDT", "timed_out", now)
    made.answered()
    made.end_minute(9.0 + MINUTE)
    assert caplog.messages == [f"{FIRST}BTCUSDT: timed_out"]
    made.end_minute(10.0 + MINUTE)
    made.end_minute(11.0 + MINUTE)
    assert caplog.messages[1:] == ["the venue answers requests again; 3 had failed within a minute"]
    assert caplog.records[-1].levelname == "INFO"
