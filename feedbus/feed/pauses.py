"""The pauses of a feed's connections after failures. They are cut short when one of them is back. May touch the clock.

A connection that failed waits longer each time, so that a venue that is away isn't flooded. Once another connection has
been let in, the venue is back, and there is nothing left to wait for: everybody tries soon, at a moment of its own.
That doesn't flood a venue that lets connections in and drops them again, because a connection's pause is cut short at
most once in AGAIN_AFTER seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import inf

import trio

SOON = 2.0
"""The longest that a pause still lasts, in seconds, once another connection is back."""

AGAIN_AFTER = 60.0
"""Seconds after which a pause of the same connection may be cut short again."""


class Pauses:
    """Who pauses now. `shortened` counts the pauses that were cut short."""

    def __init__(self, draw: Callable[[], float]) -> None:
        """`draw` gives random numbers in [0, 1)."""
        self.shortened = 0
        self._draw = draw
        self._long: dict[Hashable, trio.CancelScope] = {}  # the pauses that may be cut short
        self._not_before: dict[Hashable, float] = {}  # by who pauses: when its pause may be cut short again

    async def wait(self, who: Hashable, seconds: float) -> None:
        """Pause for so many seconds, or until shortly after somebody is back."""
        with trio.move_on_after(seconds) as scope:
            if trio.current_time() >= self._not_before.get(who, -inf):
                self._long[who] = scope
            try:
                await trio.sleep_forever()
            finally:
                self._long.pop(who, None)

    def one_is_back(self) -> None:
        """A connection was let in: the others try again soon."""
        now = trio.current_time()
        for who, scope in self._long.items():
            soon = now + SOON * self._draw()
            if soon < scope.deadline:
                scope.deadline = soon
                self.shortened += 1
                self._not_before[who] = now + AGAIN_AFTER
        self._long.clear()
