"""When a connection may send its venue the next message, as far as the venue counts messages. Pure.

A venue counts what a client sends on one connection, our pings and pongs included, or what it asks on all connections
together. The first is a RateBucket of the connection's own, the second a TurnLine that all connections at an address
share. The subscription machine asks `Turns` before it writes a request down, and is told when to ask again. So nothing
waits in front of the socket, reading goes on meanwhile, the deadline of an answer runs from when the request went out,
and what is given up while it waits is never asked for.

What can't wait, a ping, a pong or a login, goes out at once and is counted like the rest, so that the next request
waits longer instead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

WORTH_TELLING = 1.0
"""Seconds. Shorter waits are neither counted nor shown."""

LEAST_MESSAGES = 3
"""How many messages a connection must be allowed at least: a ping of ours and a pong may come beside each request."""

MAX_WAITING = 4096
"""How many connections may wait in a TurnLine. One that comes then asks again LOOK_AGAIN later."""

PATIENCE = 0.5
"""Seconds for which a TurnLine waits for the connection whose turn it is. One that is stuck in a write loses its
place."""

LOOK_AGAIN = 5.0
"""Seconds after which who waits in a TurnLine asks again although nobody has called it."""


class RateBucket:
    """At most `count` in any `per_s` seconds: half of them at once, and the other half comes back evenly over this
    time. So the next one is never far, even after a burst. Times are seconds of one monotonic clock.
    """

    __slots__ = ("_early", "_full_at", "count", "per_s", "refill")

    def __init__(self, count: int, per_s: float) -> None:
        self._full_at = -inf
        self._set(count, per_s)

    def restrict(self, count: int, per_s: float) -> None:
        """One of those who share this wants no more: the smallest rate counts."""
        if count / per_s < self.count / self.per_s:
            self._set(count, per_s)

    def _set(self, count: int, per_s: float) -> None:
        self.count, self.per_s = count, per_s
        at_once = max(1, count // 2)
        self.refill = per_s / max(1, count - at_once)  # seconds in which one comes back
        self._early = (at_once - 1) * self.refill  # how long before the bucket is full again one may be taken

    @property
    def free_at(self) -> float:
        """From when on one may be taken."""
        return self._full_at - self._early

    def take(self, now: float) -> None:
        """One is taken. It may be taken too early by who can't wait; then the next one comes later."""
        self._full_at = max(self._full_at, now) + self.refill

    def wait_behind(self, waiting: int, now: float) -> float:
        """How many seconds who comes now waits behind so many others."""
        return max(0.0, max(self._full_at, now) + waiting * self.refill - self._early - now)

    def __str__(self) -> str:
        return f"{self.count} in {self.per_s:g} s"


def message_bucket(count: int, per_s: float) -> RateBucket:
    """The bucket of a connection that may send at most `count` messages, LEAST_MESSAGES or more, in any `per_s`
    seconds. Its requests leave room for a ping of ours and a pong to the venue's in the same time: one turn isn't given
    away, and of the others a bucket gives one less in any time that is shorter than `per_s`.
    """
    return RateBucket(count - 1, per_s)


class TurnCounts:
    """Totals of one budget of a feed: `taken` turns, `waits` of at least WORTH_TELLING for one, the `waited` seconds of
    all waits; `waiting` is how many wait now."""

    def __init__(self) -> None:
        self.taken = 0
        self.waits = 0
        self.waited = 0.0
        self.waiting = 0

    def took(self, waited: float) -> None:
        """A turn was taken after so many seconds."""
        self.taken += 1
        self.gave_up(waited)

    def gave_up(self, waited: float) -> None:
        """Somebody waited for so many seconds, and may go for others now, or doesn't want to any more."""
        self.waited += waited
        self.waits += waited >= WORTH_TELLING


class TurnLine:
    """What all connections at an address may ask in a time together, and who waits for it, in the order of coming.

    A connection that has taken its turn goes to the end, so that each gets one after another.
    """

    def __init__(self, bucket: RateBucket) -> None:
        self.bucket = bucket
        self._waiting: OrderedDict[Turns, None] = OrderedDict()
        self._called_at = -inf  # when the first one became the first

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, who: Turns, now: float) -> float:
        """Take a turn. Returns -infinity when it was taken, and otherwise when to ask again."""
        first = self._first()
        if first not in (None, who) and now >= max(self._called_at, self.bucket.free_at) + PATIENCE:
            self._waiting.move_to_end(first)
            self._call(now)
            first = self._first()
        if first in (None, who) and self.bucket.free_at <= now:
            self.bucket.take(now)
            self.leave(who, now)
            return -inf
        if who not in self._waiting:
            if len(self._waiting) >= MAX_WAITING:
                return now + LOOK_AGAIN
            self._waiting[who] = None
            if first is None:
                self._called_at = now
        return self.bucket.free_at if self._first() is who else now + LOOK_AGAIN

    def leave(self, who: Turns, now: float) -> None:
        """Give a place back. Who isn't there has none."""
        was_first = self._first() is who
        if who in self._waiting:
            del self._waiting[who]
        if was_first:
            self._call(now)

    def _first(self) -> Turns | None:
        return next(iter(self._waiting), None)

    def _call(self, now: float) -> None:
        self._called_at = now
        if (first := self._first()) is not None:
            first.wake()


class Turns:
    """The turns of one connection. Without arguments every message may go out at once.

    `ask_at` is when to ask again after a `take` in vain. It may be sooner: then `wake` is called.
    """

    def __init__(
        self,
        *,
        messages: RateBucket | None = None,
        line: TurnLine | None = None,
        wake: Callable[[], object] = lambda: None,
        message_counts: TurnCounts | None = None,
        line_counts: TurnCounts | None = None,
    ) -> None:
        """`messages` bounds all that is sent on this connection, and `line` what all connections ask together."""
        self.wake = wake
        self.ask_at = -inf
        self._messages = messages
        self._line = line
        self._message_counts = message_counts or TurnCounts()
        self._line_counts = line_counts or TurnCounts()
        self._waits_for: TurnCounts | None = None
        self._since = 0.0
        self._unsent = 0  # turns that were taken for messages that haven't gone out yet

    def take(self, now: float) -> bool:
        """Take the turn for one request, if it may go out now. If not, this connection waits in its place until it may,
        or until `leave`."""
        if self._messages is not None and self._messages.free_at > now:
            if self._line is not None:
                self._line.leave(self, now)
            self._wait(self._message_counts, self._messages.free_at, now)
            return False
        if self._line is not None:
            ask_at = self._line.take(self, now)
            if ask_at > now:
                self._wait(self._line_counts, ask_at, now)
                return False
        waited = self._stop_waiting(now)
        if self._messages is not None:
            self._messages.take(now)
            self._message_counts.took(waited if self._waits_for is self._message_counts else 0.0)
        if self._line is not None:
            self._line_counts.took(waited if self._waits_for is self._line_counts else 0.0)
        self._waits_for = None
        self._unsent += 1
        return True

    def leave(self, now: float) -> None:
        """There is nothing to ask now, or the connection is gone: the next one may go."""
        if self._waits_for is not None:
            if self._line is not None:
                self._line.leave(self, now)
            self._waits_for.gave_up(self._stop_waiting(now))
            self._waits_for = None

    def sending(self, count: int, now: float) -> None:
        """So many messages go out now. Those that took no turn are counted without one."""
        self.sent(max(0, count - self._unsent), now)
        self._unsent = 0

    def sent(self, count: int, now: float) -> None:
        """So many messages that couldn't wait have gone out, such as pongs."""
        if self._messages is not None:
            for _ in range(count):
                self._messages.take(now)
                self._message_counts.took(0.0)

    def _wait(self, counts: TurnCounts, ask_at: float, now: float) -> None:
        self.ask_at = ask_at
        if self._waits_for is not counts:
            if self._waits_for is not None:
                self._waits_for.gave_up(self._stop_waiting(now))
            self._waits_for, self._since = counts, now
            counts.waiting += 1

    def _stop_waiting(self, now: float) -> float:
        """Wait no longer. Returns for how long it was."""
        self.ask_at = -inf
        if self._waits_for is None:
            return 0.0
        self._waits_for.waiting -= 1
        return now - self._since
