"""ALOR's bars: which of them are asked for, and what each frame changes in those that are known. Pure.

    {"opcode":"BarsGetAndSubscribe","tf":"60","from":1536557040,"skipHistory":false,…}
    {"data":{"time":1537529040,"close":192.15,"open":192.18,"high":192.2,"low":192.15,"volume":1960},"guid":"…"}

A frame is one bar. First come those that begin at `from` or later, oldest first, then the current one at each change,
at most once in `frequency` milliseconds. Nothing marks where history ends, or says that a bar is over. The current bar
comes again under the same time, and a later time ends it.

What is published, as events.Bar with source "venue":
  of history   every bar once; it is final when its period has been over for SETTLED seconds by our clock
  afterwards   a bar at each change; once a later bar comes, it is final, and published again if it wasn't before

`revision` counts the versions of a bar that were published before. `complete` is False in one case: the bar was forming
when the connection broke, a later one has come since, and it hasn't come again itself. That `frequency` drops versions
takes nothing from a bar: as users of the venue found, it sends the last version of a bar when the next one begins,
however long the interval is.

To know what is new, the two newest bars are kept in KnownBars, which outlives the connections. A later subscription
asks for history from the older of the two on, so that nothing is missing; what is known already isn't published again.
It asks for LONGEST_WAY_BACK bars at most: the venue ends a connection to which it has 5000 messages to send.
"""

from __future__ import annotations

from typing import Any

import msgspec

from feedbus.schema.events import Bar
from feedbus.venues.alor.payloads import VENUE, SimpleBar, SlimBar

PERIODS = {
    "bars_15": 15,
    "bars_60": 60,
    "bars_300": 300,
    "bars_900": 900,
    "bars_1800": 1800,
    "bars_3600": 3600,
    "bars_14400": 14400,
    "bars_D": 86400,
    "bars_W": 604800,
}
"""Seconds, by channel; its name has the venue's `tf` in it. Months (M) and years (Y) have no fixed length."""

BARS_KEPT = 2
LONGEST_WAY_BACK = 1000  # bars
SETTLED = 10  # seconds

_S = 1_000_000_000
_DAY = 86_400 * _S
_Values = tuple[float | None, float | None, float | None, float | None, float | None]


class BarVersion(msgspec.Struct, frozen=True, gc=False):
    """One bar as it was published last: open, high, low, close and volume. `seen` says whether the present subscription
    has brought it."""

    values: _Values
    final: bool
    complete: bool
    revision: int
    seen: bool


class KnownBars:
    """The newest bars of one channel and symbol, by their start (ns). They outlive the subscriptions.

    `history` is how many bars back the first subscription asks.
    """

    def __init__(self, channel: str, history: int) -> None:
        self.versions: dict[int, BarVersion] = {}
        self._period_s = PERIODS[channel]
        self._history = history

    def asked(self, now_ns: int) -> dict[str, Any]:
        """What a request says of history. Of the bars that are known, none has been seen on its subscription yet."""
        for start, version in self.versions.items():
            self.versions[start] = msgspec.structs.replace(version, seen=False)
        now_s = max(0, now_ns) // _S
        current = now_s - now_s % self._period_s
        back = LONGEST_WAY_BACK if self.versions else self._history
        first = max(0, current - back * self._period_s)
        if self.versions:
            first = max(first, min(self.versions) // _S)
        return {"from": first, "skipHistory": not back}

    def events(self, body: SimpleBar[float, float] | SlimBar[float, float], symbol: str, ts_recv: int) -> list[Bar]:
        """The bars that a frame adds or changes, oldest first; none when it repeats one, or is older than all that are
        kept."""
        start = body.time * _S
        newest = max(self.versions, default=-1)
        if start <= ts_recv < newest - _DAY:  # a frame of a time to come must not keep out all others
            self.versions.clear()
            newest = -1
        before = self.versions.get(start)
        if before is None and start < newest:
            return []
        changed = [newest] if before is None and newest >= 0 and self._has_ended(newest) else []
        final = start < newest or ts_recv >= start + (self._period_s + SETTLED) * _S
        values = (body.open, body.high, body.low, body.close, body.volume)
        if before is None:
            version = BarVersion(values, final, True, 0, True)
        else:
            differs = (values, before.final or final, True) != (before.values, before.final, before.complete)
            version = BarVersion(values, before.final or final, True, before.revision + differs, True)
        if before is None or version.revision > before.revision:
            changed.append(start)
        self.versions[start] = version
        bars = [self._bar(at, self.versions[at], symbol, ts_recv) for at in changed]
        if len(self.versions) > BARS_KEPT:
            del self.versions[min(self.versions)]
        return bars

    def _has_ended(self, start: int) -> bool:
        """A later bar came. Returns whether this one hadn't been final, and now is."""
        version = self.versions[start]
        if version.final:
            return False
        self.versions[start] = BarVersion(version.values, True, version.seen, version.revision + 1, version.seen)
        return True

    def _bar(self, start: int, version: BarVersion, symbol: str, ts_recv: int) -> Bar:
        opened, high, low, close, volume = version.values
        return Bar(
            VENUE,
            symbol,
            0,
            ts_recv,
            "venue",
            self._period_s,
            start,
            opened,
            high,
            low,
            close,
            volume,
            turnover=None,
            trades=None,
            buy_volume=None,
            sell_volume=None,
            vwap=None,
            final=version.final,
            revision=version.revision,
            complete=version.complete,
        )
