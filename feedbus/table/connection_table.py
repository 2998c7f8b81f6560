"""The newest status of every connection, and how to name many connections in one line. Pure: time is an argument.

A feed publishes a FeedStatus of each connection every 5 s. A connection whose last status is more than 15 s old is
shown as silent, whatever that status said; so is one whose publisher says nothing at all.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

import msgspec

from feedbus.schema.events import FeedStatus

SECOND = 1_000_000_000
SILENT_AFTER = 15 * SECOND
MAX_CONNECTIONS = 2_000
MAX_DIGITS = 9
"""Only numbers of at most this many digits are folded into ranges; a longer one is left as part of the name."""


class ConnectionView(msgspec.Struct, frozen=True):
    """A connection at one moment. `silent_s` is the age of its last status in seconds when it is silent, else None."""

    venue: str
    name: str
    state: str
    reason: str
    silent_s: int | None


class FeedView(msgspec.Struct, frozen=True):
    """All connections at one moment.

    `up` and `wanted` are numbers of connections; `up` is None when every known feed is silent. `delays` has the longest
    delay in seconds of each venue that reports delayed data, None when it doesn't say how long. `on_time` are the
    venues with a connection that knows how late its data is, and says it isn't delayed. `not_shown` counts the statuses
    that were dropped because MAX_CONNECTIONS were known already.
    """

    up: int | None
    wanted: int
    instruments_wanted: int
    instruments_refused: int
    delays: dict[str, float | None]
    connections: list[ConnectionView]
    not_shown: int
    on_time: frozenset[str] = frozenset()


class ConnectionTable:
    """Takes in FeedStatus events, and gives a FeedView."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], FeedStatus] = {}
        self._feeds: dict[tuple[str, str], FeedStatus] = {}
        self._publishers: dict[tuple[str, str], str] = {}
        """That of the newest status of each feed."""
        self._knowing: set[tuple[str, str]] = set()
        """The connections that have ever said how late their data is."""
        self._not_shown = 0

    def add(self, status: FeedStatus, publisher: str = "") -> None:
        """Keep the newest status of each connection, and of each feed: a venue may have several feeds. `publisher` is
        who sent it."""
        key = (status.venue, status.symbol)
        known = self._newest.get(key)
        if known is None and len(self._newest) >= MAX_CONNECTIONS:
            self._not_shown += 1
            return
        if status.delay_s is not None:
            self._knowing.add(key)
        if known is None or status.ts_recv >= known.ts_recv:
            self._newest[key] = status
        feed = self._feeds.get(_feed(status))
        if feed is None or status.ts_recv >= feed.ts_recv:
            self._feeds[_feed(status)] = status
            self._publishers[_feed(status)] = publisher

    def view(self, now_ns: int, silent: Container[str] = ()) -> FeedView:
        """What is known of all connections at this time, at which these publishers say nothing at all."""
        self._forget_replaced(now_ns)
        dead = {feed for feed, publisher in self._publishers.items() if publisher in silent}
        speaking = [
            status for feed, status in self._feeds.items() if feed not in dead and not _is_silent(status, now_ns)
        ]
        counts = [status.instruments for status in self._newest.values()]
        return FeedView(
            up=sum(feed.connections_up for feed in speaking) if speaking else None,
            wanted=sum(feed.connections_wanted for feed in self._feeds.values()),
            instruments_wanted=sum(sum(count.values()) for count in counts),
            instruments_refused=sum(count.get("refused", 0) for count in counts),
            delays=self._delays(now_ns),
            connections=[_view(status, now_ns, dead=_feed(status) in dead) for status in self._newest.values()],
            not_shown=self._not_shown,
            on_time=self._on_time(now_ns),
        )

    def _forget_replaced(self, now_ns: int) -> None:
        """Forget the silent connections of a feed that has as many speaking ones as it wants.

        The feed was restarted with fewer connections then, and the silent ones are gone for good.
        """
        speaking: dict[tuple[str, str], int] = {}
        for status in self._newest.values():
            if status.state != "stopped" and not _is_silent(status, now_ns):
                speaking[_feed(status)] = speaking.get(_feed(status), 0) + 1
        full = {feed for feed, count in speaking.items() if count >= self._feeds[feed].connections_wanted}
        for key, status in list(self._newest.items()):
            if _feed(status) in full and _is_silent(status, now_ns):
                del self._newest[key]
                self._knowing.discard(key)

    def _delays(self, now_ns: int) -> dict[str, float | None]:
        """The longest delay in seconds of each venue with a delayed connection; None when no connection says how
        long.
        """
        delays: dict[str, float | None] = {}
        for status in self._newest.values():
            if status.state == "delayed" and not _is_silent(status, now_ns):
                longest = max(delays.get(status.venue) or 0.0, status.delay_s or 0.0)
                delays[status.venue] = longest or None
        return delays

    def _on_time(self, now_ns: int) -> frozenset[str]:
        return frozenset(
            venue
            for (venue, name), status in self._newest.items()
            if status.state == "online" and (venue, name) in self._knowing and not _is_silent(status, now_ns)
        )


def _feed(status: FeedStatus) -> tuple[str, str]:
    """The venue and the feed of a connection, whose name is `<feed>/<number>`."""
    return status.venue, status.symbol.rpartition("/")[0]


def _is_silent(status: FeedStatus, now_ns: int) -> bool:
    return now_ns - status.ts_recv > SILENT_AFTER


def _view(status: FeedStatus, now_ns: int, *, dead: bool) -> ConnectionView:
    """A connection that has announced its stop isn't shown as silent, because no further status is expected of it.
    `dead` is whether its publisher says nothing."""
    silent = status.state != "stopped" and (dead or _is_silent(status, now_ns))
    silent_s = max(0, now_ns - status.ts_recv) // SECOND if silent else None
    return ConnectionView(status.venue, status.symbol, status.state, status.reason, silent_s)


def fold(names: Iterable[str]) -> list[str]:
    """Names with consecutive numbers are written as ranges: moex/0 moex/1 moex/2 moex/5 becomes moex/0-2 moex/5."""
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
    """Ascending numbers as ranges of consecutive ones: 0, 1, 2, 5 becomes 0-2, 5."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in spans]
