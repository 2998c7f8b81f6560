"""For how long each publisher has said nothing, and who has just fallen silent. Pure: time is an argument.

A publisher sends a heartbeat every second, whatever else it sends, so one that says nothing for much longer has ended,
stands still, or can't be reached. Nobody is accused of our own delays:

- What has come and isn't read yet counts as said: silence is only known up to the last look that found nothing unread.
- While this program stands still (SIGSTOP, a suspended machine) it can't hear anything. So only that time counts in
  which it looked again and again.
"""

from __future__ import annotations

from collections.abc import Iterable

SILENT_AFTER = 2.5
"""Seconds without a word after which a publisher counts as silent: two heartbeats and a half."""
LONGEST_STEP = 1.25
"""Seconds that count from one look to the next, at most. A screen looks once a second; and after a pause a publisher
that had just been due to speak has a heartbeat's time left."""
LOOK_EVERY = 1.0
"""Seconds from one look to the next, at most, of somebody who wants to be told of each silence. It is below
LONGEST_STEP by what a busy machine may be late."""
LEAST_STEP = 0.01
"""Seconds to the next look, at least: what is all but silent would be looked at without end."""


class Hearing:
    """Remembers when each publisher was last heard, on a clock that runs while somebody looks."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._looked_at: float | None = None
        self._empty_at = 0.0
        self._heard_at: dict[str, float] = {}
        self._silent: set[str] = set()  # those whose silence has been told of

    def read(self, publishers: Iterable[str], now: float) -> None:
        """Note that messages of these publishers, or of none, were read at `now` (monotonic seconds)."""
        self._look(now)
        for publisher in publishers:
            self._heard_at[publisher] = self._clock
        self._silent.difference_update(publishers)

    def nothing_unread(self, now: float) -> None:
        """Note that at `now` there is nothing that isn't read."""
        self._look(now)
        self._empty_at = self._clock

    def silent_for(self, publisher: str) -> float | None:
        """Return for how many seconds this publisher has said nothing; None when it has never said anything."""
        heard_at = self._heard_at.get(publisher)
        return None if heard_at is None else max(0.0, self._empty_at - heard_at)

    def fallen_silent(self) -> list[str]:
        """Return the publishers that have been silent for SILENT_AFTER by now, each once for a silence."""
        fallen = [
            name
            for name, heard_at in self._heard_at.items()
            if self._empty_at - heard_at >= SILENT_AFTER and name not in self._silent
        ]
        self._silent.update(fallen)
        return fallen

    def next_look(self) -> float:
        """Return in how many seconds, at most, it has to be looked again in order to notice a silence at once."""
        spans = [
            SILENT_AFTER - self._clock + heard_at
            for name, heard_at in self._heard_at.items()
            if name not in self._silent
        ]
        return max(LEAST_STEP, min([LOOK_EVERY, *spans]))

    def _look(self, now: float) -> None:
        if self._looked_at is not None:
            self._clock += min(max(0.0, now - self._looked_at), LONGEST_STEP)
        self._looked_at = now
