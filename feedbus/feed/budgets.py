"""What a venue may be asked in a time, and the pause that it asked for. May touch the clock, and nothing else.

A Budget is a token bucket whose waiters are served in the order in which they came. A Hold is a time in which nobody of
a feed asks anything, because the venue said so. Whoever is cancelled while it waits costs the others nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

import trio

from feedbus.errors import RateLimited

MAX_WAITING = 4096
"""How many may wait for one budget. A feed has at most 1000 connections, each of which waits once."""

WORTH_TELLING = 1.0
"""Seconds. Shorter waits are neither counted nor shown."""

UNSAID = 10.0
"""Seconds that nobody asks when the venue wants us to come later and doesn't say when."""

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
        wait = UNSAID if error.retry_after is None else error.retry_after
        self.until = max(self.until, now + wait + SPREAD * draw)
        return self.until - now

    def left(self, now: float) -> float:
        """The seconds for which nobody may ask, 0 when everybody may."""
        return max(0.0, self.until - now)

    async def wait(self) -> None:
        """Wait until the venue may be asked. It may be made longer meanwhile."""
        await trio.lowlevel.checkpoint()
        await _sleep_past(lambda: self.until)


class Budget:
    """At most `count` turns in any `per_s` seconds, and none while the Hold lasts.

    Half of the turns may be taken at once, and the other half come back evenly, over `per_s` seconds. So no time of
    this length has more than `count` turns, wherever it begins, and the next turn is never far, even after a burst. Two
    turns are at least `apart` seconds from one another.

    Its counters are totals: `taken` turns, `waits` of at least WORTH_TELLING, and the `waited` seconds of all waits.
    """

    def __init__(self, name: str, count: int, per_s: float, hold: Hold, *, apart: float = 0.0) -> None:
        self.taken = 0
        self.waits = 0
        self.waited = 0.0
        self._limits = f"{count} in {per_s:g} s"
        self._name = name
        self._hold = hold
        self._apart = apart
        at_once = max(1, count // 2)
        self._refill = per_s / max(1, count - at_once)  # seconds in which one turn comes back
        self._early = (at_once - 1) * self._refill  # how long before the bucket is full again a turn may be taken
        self._full_at = -inf
        self._last = -inf
        self._queue: OrderedDict[trio.Event, None] = OrderedDict()  # who waits; the first one's event is set

    @property
    def waiting(self) -> int:
        """How many wait for their turn now."""
        return len(self._queue)

    async def take(self) -> None:
        """Wait for a turn, and take it. Raises RateLimited when MAX_WAITING are waiting already."""
        if len(self._queue) >= MAX_WAITING:
            raise RateLimited(f"{MAX_WAITING} are waiting for the {self._name} budget already")
        asked_at, turn = trio.current_time(), trio.Event()
        self._queue[turn] = None
        self._call_first()
        try:
            await turn.wait()
            await _sleep_past(self._free_at)
            self._note(asked_at, trio.current_time())
        finally:
            del self._queue[turn]
            self._call_first()

    def wait_for(self, now: float) -> float:
        """How many seconds whoever came now would wait for the budget or the Hold, as far as it is known, 0 for less
        than WORTH_TELLING. That turns are `apart` seconds from one another isn't worth telling.
        """
        bucket = max(self._full_at, now) + len(self._queue) * self._refill - self._early - now
        wait = max(bucket, self._hold.left(now))
        return wait if wait >= WORTH_TELLING else 0.0

    def reason(self, now: float) -> str:
        """What whoever came now would wait for, in words; "" when it is not worth telling. The words hold for as long
        as the wait lasts, because they are shown all the while: so they don't say how long that is.
        """
        if not self.wait_for(now):
            return ""
        if self._hold.left(now):
            return "the venue asked for a pause"
        return f"the {self._name} budget ({self._limits}) allows no more at once"

    def _free_at(self) -> float:
        return max(self._full_at - self._early, self._last + self._apart, self._hold.until)

    def _note(self, asked_at: float, now: float) -> None:
        self.taken += 1
        self._full_at = max(self._full_at, now) + self._refill
        self._last = now
        self.waited += now - asked_at
        self.waits += now - asked_at >= WORTH_TELLING

    def _call_first(self) -> None:
        for turn in self._queue:
            turn.set()
            return


async def _sleep_past(when: Callable[[], float]) -> None:
    """Sleep until this time, which may become later meanwhile. It doesn't become earlier."""
    while True:
        at = when()
        if at <= trio.current_time():
            return
        await trio.sleep_until(at)
