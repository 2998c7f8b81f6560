"""The actor `aggregator`: publishes bars, indicators and book metrics of what is on the bus.

This is the shell around the pure model in feedbus/analytics: it owns the subscription, the clock and two tasks. One
task reads the bus; the other sleeps until something is due because time has passed, such as the end of a bar. Both
publish whatever is due then. docs/analytics.md explains every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import ClassVar

import msgspec
import trio

from feedbus import venues
from feedbus.actors.protocol import ActorContext
from feedbus.analytics.aggregates import TOPICS, Aggregates
from feedbus.analytics.options import Options

TICK = 0.01
"""The shortest time in seconds between two wake-ups by the timer. Instruments fall due one by one, and a wake-up for
each of them would cost more than the wait."""
OVERDUE_AFTER = 5.0
"""Seconds by which something may be published late before the actor counts as stuck."""


class Actor:
    """The aggregator, as feedbus.actors.protocol describes an actor."""

    Options: ClassVar[type[msgspec.Struct]] = Options
    publishes: ClassVar[bool] = True

    def __init__(self, options: msgspec.Struct, context: ActorContext) -> None:
        """Raises ConfigError for options that contradict one another."""
        if not isinstance(options, Options):
            raise TypeError(f"the aggregator's options, not {type(options).__name__}")
        options.check()
        self._context = context
        self._model = Aggregates(options, venues.trading_day, venues.units)
        self._timer = trio.CancelScope()  # what the timer's task sleeps in: moving its deadline moves the wake-up
        self._rests_until = -inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Works until it is cancelled."""
        async with self._context.subscribe(TOPICS) as subscription, trio.open_nursery() as nursery:
            nursery.start_soon(self._publish_when_due)
            task_status.started()
            async for header, events in subscription.messages():
                now = trio.current_time()
                self._model.add(header.publisher, events, now)
                self._publish(now)
                due = self._wake_at()
                if due < self._timer.deadline:
                    self._timer.deadline = due

    def overdue(self, now: float) -> str | None:
        """Returns a line when something should have been published more than OVERDUE_AFTER seconds ago."""
        late = now - self._model.next_due()
        return f"aggregator: what was due {late:.0f} s ago isn't published" if late > OVERDUE_AFTER else None

    def counters(self) -> Mapping[str, int]:
        """Returns the totals of AggregateCounters by name."""
        return self._model.counts()

    async def _publish_when_due(self) -> None:
        while True:
            with self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._publish(now)
            self._rests_until = now + TICK
            self._timer = trio.CancelScope(deadline=self._wake_at())

    def _wake_at(self) -> float:
        """When the timer's task has to wake. Under load something is due at any moment, but each message publishes what
        is due, so the timer may rest."""
        return max(self._model.next_due(), self._rests_until)

    def _publish(self, now: float) -> None:
        events = self._model.take(now)
        if events:
            self._context.publish(events)
