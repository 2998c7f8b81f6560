"""What an HTTP answer that turns us away says: its status, and when we may come again. May read the wall clock.

It reads the clock for one thing only: a date in Retry-After, when the answer doesn't say at which time it was written.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from feedbus.errors import ConnectFailed, RateLimited, VenueError
from feedbus.text import time_span

BANNED = 418
"""With it Binance bans an address that went on after TOO_MANY
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits)."""

TOO_MANY = 429
"""Too Many Requests (RFC 6585, section 4)."""

UNAVAILABLE = 503
"""The service is overloaded or being worked on (RFC 9110, section 15.6.4). When it says until when, that is obeyed."""

LONGEST_WAIT = 3 * 86400.0
"""The longest time in seconds that is obeyed: Binance's bans last up to three days."""

_LONGEST_DATE = 64  # characters of a date


def rate_limited(place: str, status: int, retry_after: str, date: str) -> RateLimited | None:
    """The error for an answer that asks us to come less often or later; None for any other answer.

    `retry_after` and `date` are the headers Retry-After and Date, "" where the answer hasn't got them.
    """
    wait = seconds_of(retry_after, date)
    if status not in (BANNED, TOO_MANY) and (status != UNAVAILABLE or wait is None):
        return None
    asked = "" if wait is None else f", to be asked again in {time_span(wait)}"
    ban = ", a ban" if status == BANNED else ""
    return RateLimited(f"{place}: HTTP {status}{ban}{asked}", wait, banned=status == BANNED)


def seconds_of(retry_after: str, date: str) -> float | None:
    """The seconds that Retry-After (RFC 9110, section 10.2.3) has us wait, from 0 to LONGEST_WAIT; None for nonsense.

    A date is counted from the answer's own `date`, so that it doesn't matter whether our clock agrees with the peer's.
    """
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_WAIT)
    until = _timestamp(retry_after)
    if until is None:
        return None
    since = _timestamp(date)
    return min(max(0.0, until - (time.time_ns() / 1e9 if since is None else since)), LONGEST_WAIT)


def refusal(place: str, head: bytes | bytearray) -> VenueError:
    """The error for the whole head of an HTTP response with another status than the 101 of a WebSocket."""
    shown = head[9:12].decode("ascii", "replace")  # behind "HTTP/1.1 "
    headers = {}
    for line in bytes(head).split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip().decode("ascii", "replace")
    status = int(shown) if shown.isascii() and shown.isdigit() else 0
    limited = rate_limited(place, status, headers.get(b"retry-after", ""), headers.get(b"date", ""))
    return limited or ConnectFailed(f"{place}: HTTP {shown}")


def _timestamp(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110, section 5.6.7), which is always in UTC; None for nonsense."""
    if not 0 < len(date) <= _LONGEST_DATE:
        return None
    try:
        parsed: datetime = parsedate_to_datetime(date)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
