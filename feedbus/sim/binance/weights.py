"""The request weight that clients of the simulated Binance use over REST, and what becomes of those who use too much.
Pure.

The venue counts by IP address; here all clients are counted together, as all are on this machine. The weight is counted
in each calendar minute of feedbus.sim.clock. A request beyond the limit is refused with HTTP 429 until the minute ends.
Who goes on asking meanwhile is banned: every request is answered by HTTP 418, no WebSocket is accepted, and those that
are open are closed. The venue doesn't say how often one may ask before that; here it is REFUSED_BEFORE_BAN times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MINUTE_NS, SECOND_NS, MILLISECOND_NS = 60_000_000_000, 1_000_000_000, 1_000_000
REFUSED_BEFORE_BAN = 5
"""How many requests of one minute are refused with 429. The next one is a ban."""


class OverWeight(NamedTuple):
    """Why a request is refused: an HTTP status, the venue's text, and the seconds after which one may ask again."""

    status: int
    text: str
    retry_after_s: int


class UsedWeight:
    """The weight of this minute. `foreign` is the weight that somebody else uses in each minute at the same address."""

    def __init__(self, limit: int, ban_s: float, on_ban: Callable[[], None]) -> None:
        self.limit = limit
        self.used = 0
        self.heaviest = 0
        """The greatest weight of any minute. Beyond the limit, requests were refused."""
        self.bans = 0
        self._ban_s = ban_s
        self._on_ban = on_ban
        self._minute = 0
        self._refused = 0
        self._foreign = 0
        self._banned_until = 0

    def spend(self, weight: int, now_ns: int) -> OverWeight | None:
        """Add a request to its minute. Returns why it is refused, or None when it isn't."""
        if (banned := self.banned(now_ns)) is not None:
            return banned
        self._add(weight, now_ns)
        if self.used <= self.limit:
            return None
        self._refused += 1
        if self._refused > REFUSED_BEFORE_BAN:
            self.ban(self._ban_s, now_ns)
            return self.banned(now_ns)
        text = (
            f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return OverWeight(429, text, 60 - now_ns % MINUTE_NS // SECOND_NS)

    def use_elsewhere(self, weight: int, now_ns: int) -> None:
        """From now on somebody else uses this weight in each minute; in this one it has been used already."""
        self.roll(now_ns)
        self._foreign, before = weight, self._foreign
        self._add(weight - before, now_ns)

    @property
    def foreign(self) -> int:
        return self._foreign

    def banned(self, now_ns: int) -> OverWeight | None:
        """The refusal of every request during a ban; None while there is none."""
        left_ns = self._banned_until - now_ns
        if left_ns <= 0:
            return None
        text = (
            f"Way too much request weight used; IP banned until {-(-self._banned_until // MILLISECOND_NS)}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return OverWeight(418, text, -(-left_ns // SECOND_NS))

    def ban(self, seconds: float, now_ns: int) -> None:
        """Ban the address."""
        self.bans += 1
        self._banned_until = now_ns + round(seconds * SECOND_NS)
        self._on_ban()

    def roll(self, now_ns: int) -> None:
        """Begin a new minute, if one has begun."""
        if now_ns // MINUTE_NS != self._minute:
            self._minute, self.used, self._refused = now_ns // MINUTE_NS, self._foreign, 0

    def _add(self, weight: int, now_ns: int) -> None:
        self.roll(now_ns)
        self.used = max(0, self.used + weight)
        self.heaviest = max(self.heaviest, self.used)
