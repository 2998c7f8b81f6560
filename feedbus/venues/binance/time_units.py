"""How Binance is asked for times in microseconds: by a parameter in the URL of the connection. Pure.

    wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND

Without it they are milliseconds. Source: web-socket-streams.md of https://github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from feedbus.text import quoted

_KEY, _MICROSECONDS = "timeUnit", "MICROSECOND"


def with_microseconds(url: str) -> str:
    """The URL that asks for microseconds; the rest of its query stays as it is."""
    if _units(url):
        return url
    parts = urlsplit(url)
    query = f"{parts.query}&{_KEY}={_MICROSECONDS}".lstrip("&")
    return parts._replace(path=parts.path or "/", query=query).geturl()


def unit_problem(url: str) -> str | None:
    """Why microseconds can't be asked for at this URL, or None when they can."""
    other = next((unit for unit in _units(url) if unit.upper() != _MICROSECONDS), None)
    return None if other is None else f"names the time unit {quoted(other)}, and the option time_unit is us"


def _units(url: str) -> list[str]:
    """The units that a URL names."""
    return [value for key, value in parse_qsl(urlsplit(url).query, keep_blank_values=True) if key == _KEY]
