"""What a venue may be asked in a time, and the pause that it asked for. May touch the clock, and nothing else.

A Budget is a feed's part in a Turnstile, whose waiters are served in the order in which they came. A Hold is a time in
which nobody of a feed asks anything, because the venue said so. Whoever is cancelled while it waits costs the others
nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

import trio

from feedbus.errors import RateLimited
from feedbus.venues.turns import WORTH_TELLING, RateBucket, TurnCounts

MAX_WAITING = 4096
"""How many may wait for one turnstile. A feed has at most 1000 connections, each of which waits once."""

UNSAID = 10.0
"""Seconds that nobody asks when the venue wants us to come later and doesn't say when."""

UNSAID_BAN = 120.0
"""The same seconds when it has banned us: the shortest bans of Binance last two minutes, and asking meanwhile makes
them longer."""

SPREAD = 1.0
"""Seconds over which the end of a Hold is spread at random, because the venue may have told many the same time."""


class Hold:
    """The time until which the venue isn't to be asked anything. `asked` counts how often it wanted such a pause."""

    def __init__(self) -> None:
        self.asked = 0
        self.until = -inf

    def obey(self, error: RateLimited, now: float, draw: float) -> float:
        """Note that the venue wants us to come later. Returns the seconds from `now` for which nobody may ask.

        `draw` is a random number in [0, 1).
        """
        self.asked += 1
        unsaid = UNSAID_BAN if error.banned else UNSAID
        wait = unsaid if error.retry_after is None else error.retry_after
        self.until = max(self.until, now + wait + SPREAD * draw)
        return self.until - now

    def left(self, now: float) -> float:
        """The seconds for which nobody may ask, 0 when everybody may."""
        return max(0.0, self.until - now)

    async def wait(self) -> None:
        """Wait until the venue may be asked. It may be made longer meanwhile."""
        await trio.lowlevel.checkpoint()
        await _sleep_past(lambda: self.until)


class Turnstile:
    """What all who ask a venue from one address share: at most `count` turns in any `per_s` seconds, as a RateBucket
    gives them, and two of them at least `apart` seconds from one another."""

    def __init__(self, count: int, per_s: float, *, apart: float = 0.0) -> None:
        self.bucket = RateBucket(count, per_s)
        self._apart = apart
        self._last = -inf
        self._queue: OrderedDict[trio.Event, None] = OrderedDict()  # who waits; the first one's event is set

    @property
    def waiting(self) -> int:
        """How many wait for their turn now."""
        return len(self._queue)

    async def take(self, hold: Hold, name: str) -> None:
        """Wait for a turn while the Hold doesn't last, and take it. Raises RateLimited when MAX_WAITING are waiting
        already."""
        if len(self._queue) >= MAX_WAITING:
            raise RateLimited(f"{MAX_WAITING} are waiting for the {name} budget already")
        turn = trio.Event()
        self._queue[turn] = None
        self._call_first()
        try:
            await turn.wait()
            await _sleep_past(lambda: max(self.bucket.free_at, self._last + self._apart, hold.until))
            self._last = trio.current_time()
            self.bucket.take(self._last)
        finally:
            del self._queue[turn]
            self._call_first()

    def _call_first(self) -> None:
        for turn in self._queue:
            turn.set()
            return


class Budget(TurnCounts):
    """A feed's part in a Turnstile, which may be shared. None of its turns is taken while the feed's Hold lasts; feeds
    that share a turnstile have the same pauses."""

    def __init__(self, name: str, turnstile: Turnstile, hold: Hold) -> None:
        super().__init__()
        self.turnstile = turnstile
        self._name = name
        self._hold = hold

    async def take(self) -> None:
        """Wait for a turn, and take it. Raises RateLimited when MAX_WAITING are waiting already."""
        asked_at = trio.current_time()
        self.waiting += 1
        try:
            await self.turnstile.take(self._hold, self._name)
        finally:
            self.waiting -= 1
        self.took(trio.current_time() - asked_at)

    def wait_for(self, now: float) -> float:
        """How many seconds whoever came now would wait for the budget or the Hold, as far as it is known, 0 for less
        than WORTH_TELLING. That turns are some time apart from one another isn't worth telling.
        """
        wait = max(self.turnstile.bucket.wait_behind(self.turnstile.waiting, now), self._hold.left(now))
        return wait if wait >= WORTH_TELLING else 0.0

    def reason(self, now: float) -> str:
        """What whoever came now would wait for, in words; "" when it is not worth telling. The words hold for as long
        as the wait lasts, because they are shown all the while: so they don't say how long that is.
        """
        if not self.wait_for(now):
            return ""
        if self._hold.left(now):
            return "the venue asked for a pause"
        return f"the {self._name} budget ({self.turnstile.bucket}) allows no more at once"


async def _sleep_past(when: Callable[[], float]) -> None:
    """Sleep until this time, which may become later meanwhile. It doesn't become earlier."""
    while True:
        at = when()
        if at <= trio.current_time():
            return
        await trio.sleep_until(at)
