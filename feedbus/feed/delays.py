"""How late the data of a feed is, and how far our clock is from its venue's. It may log, and reads the clock.

The rules are those of feedbus/trust/delay.py. This is their shell: it looks whether our clock was set before a verdict
turns, and logs what an operator has to know of the clocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import inf

from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.events import MarketEvent
from feedbus.trust.clock_model import ClockFit
from feedbus.trust.delay import ConnectionDelay, FeedDelay

USUAL_RESOLUTION = 1_000_000
"""Nanoseconds: that of the times of a venue that doesn't say it."""
NOTABLE = 500_000_000
"""Nanoseconds. An offset that is larger is worth a line of the log: no way takes so long."""
SURE_AFTER = 3
"""Minutes of data after which it is believed that our clock is ahead, since it may also be that all events waited."""
QUIET_AFTER = 600.0
"""Seconds without a negative delay, or without a notable offset, after which another has a line of its own again."""


class Delays:
    """The delays of one feed."""

    def __init__(
        self,
        log: logging.Logger,
        resolutions: Mapping[str, int],
        wall_clock: WallClock,
        turned: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`log` is the feed's. `resolutions` are those of the venue's times by topic word, in nanoseconds. `turned` is
        told the name of each connection that is delayed now and wasn't before, or the other way round, before anything
        of the read is published that showed it."""
        self._log = log
        self._resolutions = resolutions
        self._wall_clock = wall_clock
        self._turned = turned
        self._figures = FeedDelay()
        self._stepped = wall_clock.stepped
        self._negative_at = self._notable_at = -inf

    def connection(self, name: str) -> ConnectionDelay:
        """What is known of the connection of this name."""
        return self._figures.connection(name)

    def is_delayed(self, name: str) -> bool:
        """Whether the data of this connection comes more than a minute late."""
        return self._figures.is_delayed(name)

    def note(self, of: ConnectionDelay, event: MarketEvent) -> None:
        """Take in the last event of a read, whose delay is below the connection's `look_below`."""
        delay = event.ts_recv - event.ts_event
        if of.least is not None and delay >= of.least:
            of.negative += 1  # only a negative one isn't the least and below `look_below`; where all are, this is cheap
            return
        figures, now = self._figures, self._wall_clock.now()
        resolution = self._resolutions.get(event.WORD, USUAL_RESOLUTION)
        if figures.turns(of, delay, resolution, now):
            self._check_clock(now)
        if delay < -resolution:
            self._note_negative(of, delay, now)
        was_delayed = of.is_delayed is True
        figures.note(of, delay, resolution, now)
        if (of.is_delayed is True) != was_delayed:
            self._turned(of.name)

    def take(self, of: ConnectionDelay, told: int | None = None) -> float | None:
        """The least delay of the connection since the last call, in seconds; None when nothing came that says it. The
        connection is judged by that, and by what its Session says of the lateness of its data."""
        now = self._wall_clock.now()
        self._check_clock(now)
        self._figures.take(of, now, told)
        if of.delay_ns is None:
            return None
        self._note_offset(now)
        return of.delay_ns / 1e9

    # For metrics

    @property
    def offset_s(self) -> float | None:
        """By how much our clock is ahead of the venue's, in seconds; the fastest way is part of it. None: unknown."""
        fit = self._fit()
        return None if fit is None else fit.offset_ns / 1e9

    @property
    def drift_ppm(self) -> float | None:
        """By how many microseconds a second that grows; None while it isn't known well enough."""
        fit = self._fit()
        return None if fit is None else fit.drift_ppm

    @property
    def negative(self) -> int:
        """How many reads ended with an event that was received before it happened."""
        return self._figures.negative

    @property
    def shifts(self) -> int:
        """How often all delays have jumped together, without a step of our clock."""
        return self._figures.model.shifts

    def _fit(self) -> ClockFit | None:
        return self._figures.fit(self._wall_clock.now())

    # The log

    def _check_clock(self, now: float) -> None:
        stepped = self._wall_clock.check()
        if stepped != self._stepped:
            step, self._stepped = stepped - self._stepped, stepped
            self._figures.step(step, now)

    def _note_negative(self, of: ConnectionDelay, delay: int, now: float) -> None:
        if now - self._negative_at > QUIET_AFTER:
            self._log.warning(
                "%s brings events that bear a time %.3f s after their receipt: this machine's clock is behind, or the "
                "venue's is ahead",
                of.name,
                -delay / 1e9,
            )
        self._negative_at = now

    def _note_offset(self, now: float) -> None:
        fit = self._figures.fit(now)
        if fit is None or abs(fit.offset_ns) <= NOTABLE or (fit.offset_ns > 0 and fit.points < SURE_AFTER):
            return
        if now - self._notable_at > QUIET_AFTER:
            self._log.warning(
                "by the times of events this machine's clock is %.3f s %s the venue's (known to %.3f s)",
                abs(fit.offset_ns) / 1e9,
                "ahead of" if fit.offset_ns > 0 else "behind",
                fit.error_ns / 1e9,
            )
        self._notable_at = now
