"""What a simulated venue takes from one address, counted by the venue itself. Pure: time is an argument.

All clients are counted together, as all are on this machine: attempts to connect, requests to subscribe and to
unsubscribe, and what each connection sends, where pings and pongs count like messages. Each is counted exactly, in the
time that ends now, so that a test can read the most that there ever was in any such time, also where nothing is
limited.

A connection that sends too much, or subscribes too often, is closed with 1008, and the third one within BAN_WITHIN_NS
is a ban. An attempt to connect too many is refused with 429; who goes on trying is banned, too. During a ban no
connection is accepted, and those that are open are closed. How Binance bans is written there (web-socket-streams.md);
ALOR only says that there are temporary restrictions (alor.dev), and MOEX says nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from feedbus.sim.seam import MAX_COUNTED, Ending, ServerCounters, SimOptions

SECOND_NS = 1_000_000_000
BAN_WITHIN_NS = 300 * SECOND_NS
CLOSED_BEFORE_BAN = 2
REFUSED_BEFORE_BAN = 5


class SlidingCount:
    """How often something happened within the time that ends now. `most` is the most of all times."""

    __slots__ = ("_limit", "_per_ns", "_times", "most")

    def __init__(self, limit: int | None, per_s: float) -> None:
        self.most = 0
        self._limit = limit
        self._per_ns = round(per_s * SECOND_NS)
        self._times: deque[int] = deque(maxlen=MAX_COUNTED)

    def add(self, now_ns: int) -> bool:
        """It happens now. Returns whether it is one too many."""
        times = self._times
        while times and times[0] <= now_ns - self._per_ns:
            times.popleft()
        times.append(now_ns)
        self.most = max(self.most, len(times))
        return self._limit is not None and len(times) > self._limit


class ClientLimits:
    """The limits of one venue, for all its connections."""

    def __init__(self, options: SimOptions, counters: ServerCounters, ban: Callable[[int], None] | None = None) -> None:
        """`ban` is what the venue does to an address at this time, where it has a ban of its own."""
        self.cuts = 0
        """How often all connections were closed because of a ban."""
        self._options = options
        self._counters = counters
        self._ban_elsewhere = ban
        self._connects = SlidingCount(options.max_connects, options.connects_s)
        self._subscribes = SlidingCount(options.max_subscribes, options.subscribes_s)
        self._refused = SlidingCount(REFUSED_BEFORE_BAN, options.connects_s)
        self._closed = SlidingCount(CLOSED_BEFORE_BAN, BAN_WITHIN_NS / SECOND_NS)
        self._banned_until = 0

    def connect(self, now_ns: int) -> int | None:
        """A client wants to connect. Returns the HTTP status with which it is refused, or None."""
        over = self._connects.add(now_ns)
        self._counters.most_connects = self._connects.most
        if over and self._refused.add(now_ns):
            self._ban(now_ns)
        if not over and now_ns >= self._banned_until:
            return None
        self._counters.handshakes_refused += 1
        return 429

    def subscribe(self, now_ns: int) -> bool:
        """A client asks to subscribe or to unsubscribe. Returns whether that is one too many."""
        over = self._subscribes.add(now_ns)
        self._counters.most_subscribes = self._subscribes.most
        if over:
            self.close(now_ns)
        return over

    def close(self, now_ns: int) -> None:
        """A connection is closed, because a limit was exceeded on it."""
        self._counters.clients_over_limit += 1
        if self._closed.add(now_ns):
            self._ban(now_ns)

    def messages(self) -> SlidingCount:
        """The count of a new connection's messages."""
        return SlidingCount(self._options.max_messages, self._options.messages_s)

    def told(self, messages: SlidingCount) -> None:
        """A connection's count has changed."""
        self._counters.most_messages = max(self._counters.most_messages, messages.most)

    def _ban(self, now_ns: int) -> None:
        if self._ban_elsewhere is not None:
            self._ban_elsewhere(now_ns)
            return
        self.cuts += 1
        self._counters.clients_banned += 1
        self._banned_until = now_ns + round(self._options.ban_s * SECOND_NS)


class LimitedConversation:
    """The part of a Conversation that keeps to the limits."""

    def __init__(self, limits: ClientLimits, ending: Ending = "") -> None:
        self.ending: Ending = ending
        self._limits = limits
        self._messages = limits.messages()
        self._bans = limits.cuts

    def control(self, now_ns: int) -> None:
        """The client sent a ping or a pong."""
        self._is_over(now_ns)

    def _is_over(self, now_ns: int) -> bool:
        """The client sent something. Returns whether the connection has ended, perhaps because that was too much."""
        if self._is_banned() or self.ending:
            return True
        over = self._messages.add(now_ns)
        self._limits.told(self._messages)
        if over:
            self._limits.close(now_ns)
            self.ending = "refuse"
        return over

    def _is_banned(self) -> bool:
        """Whether the address was banned since this connection began."""
        if self._bans != self._limits.cuts:
            self.ending = self.ending or "refuse"
        return bool(self.ending)

    def _may_subscribe(self, now_ns: int) -> bool:
        """The client asks to subscribe or to unsubscribe. Returns False when that was too much, and it is over."""
        if self._limits.subscribe(now_ns):
            self.ending = "refuse"
        return not self.ending
