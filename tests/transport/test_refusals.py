"""When an HTTP answer that turns us away says that we may come again."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import ConnectFailed, RateLimited
from feedbus.transport.refusals import LONGEST_WAIT, rate_limited, refusal, seconds_of

NOON = "Sun, 29 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("30", "", 30.0),
        ("0", "", 0.0),
        ("1000000000", "", LONGEST_WAIT),
        ("9" * 5000, "", LONGEST_WAIT),
        ("Sun, 29 Nov 2026 12:01:30 GMT", NOON, 90.0),
        ("Sunday, 29-Nov-26 12:01:30 GMT", NOON, 90.0),
        ("Sun Nov 29 12:01:30 2026", NOON, 90.0),
        ("Sun, 29 Nov 2026 11:00:00 GMT", NOON, 0.0),
        ("Sun, 29 Nov 2099 12:00:00 GMT", NOON, LONGEST_WAIT),
        ("", NOON, None),
        ("soon", NOON, None),
        ("-5", NOON, None),
        ("1.5", NOON, None),
        ("²", NOON, None),
        ("Sun, 29 Nov 99999 12:00:00 GMT", NOON, None),
    ],
)
def test_seconds_and_dates_are_understood_and_bounded(retry_after: str, date: str, seconds: float | None) -> None:
    assert seconds_of(retry_after, date) == seconds


@pytest.mark.parametrize("date", ["", "at noon"])
def test_a_date_in_an_answer_that_does_not_say_when_it_was_written_is_by_our_clock(date: str) -> None:
    wait = seconds_of(formatdate(time.time_ns() / 1e9 + 100, usegmt=True), date)
    assert wait is not None
    assert 90 < wait <= 100


@given(st.text(), st.text())
def test_nonsense_is_no_time_and_raises_nothing(retry_after: str, date: str) -> None:
    wait = seconds_of(retry_after, date)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("status", "retry_after", "text"),
    [
        (429, "", "venue: HTTP 429"),
        (418, "", "venue: HTTP 418, a ban"),
        (418, "600", "venue: HTTP 418, a ban, to be asked again in 10 min"),
        (503, "30", "venue: HTTP 503, to be asked again in 30 s"),
        (503, "", None),
        (500, "30", None),
        (200, "30", None),
    ],
)
def test_which_answers_ask_us_to_come_later(status: int, retry_after: str, text: str | None) -> None:
    limited = rate_limited("venue", status, retry_after, "")
    assert (None if limited is None else str(limited)) == text
    assert limited is None or limited.banned == (status == 418)


def test_the_head_of_a_refused_handshake_is_read() -> None:
    limited = refusal("venue:80", b"HTTP/1.1 429 Slow down\r\nDATE: %b\r\nretry-After:  7 \r\n\r\n" % NOON.encode())
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 7.0
    for status in (b"403", b"4\xff9", b"\xb2\xb2\xb2"):
        assert type(refusal("venue:80", b"HTTP/1.1 " + status + b" No\r\nRetry-After: 7\r\n\r\n")) is ConnectFailed
