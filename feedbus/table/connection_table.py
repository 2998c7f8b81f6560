"""The newest word of every connection, and how to name many of them in a line. Pure: time is an argument.

A connection speaks every 5 s; one that has said nothing for 15 s is shown as silent, whatever its last word was.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from feedbus.schema.events import FeedStatus

SECOND = 1_000_000_000
SILENT_AFTER = 15 * SECOND
MAX_CONNECTIONS = 2_000
MAX_DIGITS = 9
"""A longer number at the end of a name is part of the name."""


class ConnectionView(msgspec.Struct, frozen=True):
    """One connection at one moment. `silent_s` is how long it has said nothing, None while it speaks."""

    venue: str
    name: str
    state: str
    reason: str
    silent_s: int | None


class FeedView(msgspec.Struct, frozen=True):
    """All connections at one moment. `up` is None when no feed that is known of speaks."""

    up: int | None
    wanted: int
    instruments_wanted: int
    instruments_refused: int
    delays: dict[str, float | None]
    connections: list[ConnectionView]
    not_shown: int


class ConnectionTable:
    """FeedStatus events in, a FeedView out."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], FeedStatus] = {}
        self._feeds: dict[tuple[str, str], FeedStatus] = {}
        self._not_shown = 0

    def add(self, status: FeedStatus) -> None:
        """Keep what is newest by connection, and by feed: a venue may have several."""
        key = (status.venue, status.symbol)
        known = self._newest.get(key)
        if known is None and len(self._newest) >= MAX_CONNECTIONS:
            self._not_shown += 1
            return
        if known is None or status.ts_recv >= known.ts_recv:
            self._newest[key] = status
        feed = self._feeds.get(_feed(status))
        if feed is None or status.ts_recv >= feed.ts_recv:
            self._feeds[_feed(status)] = status

    def view(self, now_ns: int) -> FeedView:
        """What is known now."""
        self._forget_replaced(now_ns)
        speaking = [feed for feed in self._feeds.values() if not _is_silent(feed, now_ns)]
        counts = [status.instruments for status in self._newest.values()]
        return FeedView(
            up=sum(feed.connections_up for feed in speaking) if speaking else None,
            wanted=sum(feed.connections_wanted for feed in self._feeds.values()),
            instruments_wanted=sum(sum(count.values()) for count in counts),
            instruments_refused=sum(count.get("refused", 0) for count in counts),
            delays=self._delays(now_ns),
            connections=[_view(status, now_ns) for status in self._newest.values()],
            not_shown=self._not_shown,
        )

    def _forget_replaced(self, now_ns: int) -> None:
        """Forget silent connections of a feed that has all it wants without them: it was given fewer, or restarted."""
        speaking: dict[tuple[str, str], int] = {}
        for status in self._newest.values():
            if status.state != "stopped" and not _is_silent(status, now_ns):
                speaking[_feed(status)] = speaking.get(_feed(status), 0) + 1
        full = {feed for feed, count in speaking.items() if count >= self._feeds[feed].connections_wanted}
        for key, status in list(self._newest.items()):
            if _feed(status) in full and _is_silent(status, now_ns):
                del self._newest[key]

    def _delays(self, now_ns: int) -> dict[str, float | None]:
        """The longest delay by venue that says it is delayed; None where it doesn't say by how much."""
        delays: dict[str, float | None] = {}
        for status in self._newest.values():
            if status.state == "delayed" and not _is_silent(status, now_ns):
                longest = max(delays.get(status.venue) or 0.0, status.delay_s or 0.0)
                delays[status.venue] = longest or None
        return delays


def _feed(status: FeedStatus) -> tuple[str, str]:
    """The feed that a connection is of: its name is `<feed>/<number>`."""
    return status.venue, status.symbol.rpartition("/")[0]


def _is_silent(status: FeedStatus, now_ns: int) -> bool:
    return now_ns - status.ts_recv > SILENT_AFTER


def _view(status: FeedStatus, now_ns: int) -> ConnectionView:
    """One that said that it stops isn't silent: it is expected to say no more."""
    silent = status.state != "stopped" and _is_silent(status, now_ns)
    silent_s = (now_ns - status.ts_recv) // SECOND if silent else None
    return ConnectionView(status.venue, status.symbol, status.state, status.reason, silent_s)


def fold(names: Iterable[str]) -> list[str]:
    """Names that differ by their number only, as ranges: moex/0 moex/1 moex/2 moex/5 → moex/0-2 moex/5."""
    numbers: dict[str, list[int]] = {}
    others: list[str] = []
    for name in names:
        stem, slash, tail = name.rpartition("/")
        if slash and tail.isascii() and tail.isdecimal() and len(tail) <= MAX_DIGITS and str(int(tail)) == tail:
            numbers.setdefault(stem, []).append(int(tail))
        else:
            others.append(name)
    folded = [f"{stem}/{span}" for stem in sorted(numbers) for span in _spans(sorted(set(numbers[stem])))]
    return folded + sorted(set(others))


def _spans(numbers: list[int]) -> list[str]:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in spans]
