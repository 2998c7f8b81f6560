"""The channels and symbols of Binance spot, and how its streams are named after them. Pure.

A channel is written as the venue names its stream: `btcusdt@kline_1m` is the channel kline_1m of BTCUSDT. Symbols are
written as the payloads have them, in upper case, and in lower case in names of streams; some are not ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from feedbus.errors import ConfigError
from feedbus.text import hinted
from feedbus.trust.evidence import Evidence
from feedbus.venues.protocol import Subscription

PERIODS = {
    "kline_1s": 1,
    "kline_1m": 60,
    "kline_3m": 180,
    "kline_5m": 300,
    "kline_15m": 900,
    "kline_30m": 1800,
    "kline_1h": 3600,
    "kline_2h": 7200,
    "kline_4h": 14400,
    "kline_6h": 21600,
    "kline_8h": 28800,
    "kline_12h": 43200,
    "kline_1d": 86400,
    "kline_3d": 259200,
    "kline_1w": 604800,
    "kline_6h@+08:00": 21600,
    "kline_12h@+08:00": 43200,
    "kline_1d@+08:00": 86400,
    "kline_3d@+08:00": 259200,
    "kline_1w@+08:00": 604800,
}
"""Seconds, by channel. The days of `@+08:00` begin at 16:00 UTC; shorter bars than those of six hours would be the same
as without it. The venue's kline_1M has no fixed length, so it is no bar."""

WINDOWS = {"ticker_1h": 3600, "ticker_4h": 14400, "ticker_1d": 86400}
"""Seconds of a rolling window, by channel."""

DEPTHS = tuple(f"depth{levels}{speed}" for levels in (5, 10, 20) for speed in ("", "@100ms"))
CHANGES = ("depth", "depth@100ms")
"""The channels of changed levels, of which whole books are kept."""
CHANNELS = (
    "trade", "aggTrade", "bookTicker", *CHANGES, *DEPTHS, *PERIODS, "miniTicker", "ticker", *WINDOWS, "avgPrice",
)  # fmt: skip
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("trade", "aggTrade"), ("trade",)),
    "bookTicker": ("quote",),
    **dict.fromkeys((*CHANGES, *DEPTHS), ("book",)),
    **dict.fromkeys(PERIODS, ("bar",)),
    **dict.fromkeys(("miniTicker", "ticker", *WINDOWS), ("ticker",)),
    "avgPrice": ("indicator",),
}
"""The topic words of what a channel's payloads become."""
EVIDENCE: dict[str, Evidence] = {
    "trade": Evidence(trade_ids="by_one"),
    "bookTicker": Evidence(numbered=True),
    **dict.fromkeys(DEPTHS, Evidence(numbered=True, full_pictures=True)),
    **dict.fromkeys((*PERIODS, "miniTicker", "ticker", *WINDOWS), Evidence(timed=True)),
}
"""What they show of what is missing. Aggregate trades are told by their spans of trades, which their Account shares
with the readers; of the books that are kept from changes book_sync.py finds what is missing itself."""

USUAL = ("trade", "bookTicker", "miniTicker")
"""The channels of a feed that names none: every trade, the best bid and ask, and the day's figures."""

_EASTERN = ("6h", "12h", "1d", "3d", "1w")
_ALIKE = (
    (("trade", "aggTrade"), "trades"),
    ((*CHANGES, *DEPTHS), "book"),
    (("miniTicker", "ticker"), "ticker"),
)
_MIXED = (
    (("miniTicker", "ticker", *WINDOWS), "two windows as one ticker"),
    *(((f"kline_{length}", f"kline_{length}@+08:00"), "two kinds of bars as one") for length in _EASTERN),
)
_HOSTS = (".binance.com", ".binance.vision")
_FUTURES = ("fstream", "dstream", "nbstream")
_SYMBOL = re.compile(r"[^\W_]{1,50}")
_PAIR = re.compile(r"([^\W_]{1,25})[/_: -]([^\W_]{1,25})")  # as other venues write it: BTC-USDT, BTC/USDT


def chosen(channels: Sequence[str]) -> tuple[str, ...]:
    """Returns the channels to subscribe to: those that the configuration names, or the usual ones. Raises
    ConfigError."""
    for channel in channels:
        if channel == "kline_1M":
            raise ConfigError("channels: kline_1M: a month has no fixed number of seconds, which a bar has")
        if channel not in CHANNELS:
            raise ConfigError(f"channels: unknown channel {channel!r}; there are: {', '.join(CHANNELS)}")
    found = tuple(dict.fromkeys(channels)) or USUAL
    for alike, what in _ALIKE:
        both = [channel for channel in found if channel in alike]
        if len(both) > 1:
            raise ConfigError(f"channels: {' and '.join(both)} would publish the same {what} twice: give one of them")
    for mixed, what in _MIXED:
        both = [channel for channel in found if channel in mixed]
        if len(both) > 1:
            raise ConfigError(f"channels: {' and '.join(both)} would publish {what}: give one of them")
    return found


def symbol_problem(symbol: str) -> str | None:
    """Returns why this symbol can't be subscribed, or None when it can."""
    if pair := _PAIR.fullmatch(symbol):
        return hinted("written without a sign between the two", "".join(pair.groups()).upper())
    if not _SYMBOL.fullmatch(symbol):
        return "not 1 to 50 letters and digits, like BTCUSDT"
    if symbol != symbol.upper():
        return hinted("written in capitals", symbol.upper())
    if symbol.lower().upper() != symbol:
        return "can't be told from its lower case, which names of streams have"
    return None


def url_problem(url: str, channels: Sequence[str]) -> str | None:
    """Returns why these channels can't be had at this URL of a WebSocket, or None when they can.

    At /stream each payload comes with the name of its stream. At /ws it comes alone, and those of depth and bookTicker
    don't say what they are, nor bars in which time zone. Source: web-socket-streams.md of binance-spot-api-docs.
    """
    parts = urlsplit(url)
    path, host = parts.path.rstrip("/"), parts.hostname or ""
    nameless = [each for each in channels if each == "bookTicker" or each in DEPTHS or each.endswith("@+08:00")]
    if nameless and (path == "/ws" or path.startswith("/ws/")):
        return f"at the path /ws {nameless[0]} comes without the name of its stream: use the path /stream"
    if host.startswith(_FUTURES) and host.endswith(_HOSTS):
        return "is the address of futures, and this venue is the spot market: use wss://stream.binance.com:9443/stream"
    if host.endswith(_HOSTS) and path not in ("/ws", "/stream"):
        return "the venue serves streams at the path /stream"
    return None


def stream_name(subscription: Subscription) -> str:
    """`btcusdt@trade`."""
    return f"{subscription.symbol.lower()}@{subscription.channel}"
