"""The aggregator: bars, indicators and book metrics, made of what is on the bus and published there again.

The shell: it owns the clock and the tasks. One reads the bus, one waits until a bar is over or something that was held
back is due; both publish what there is then. docs/analytics.md says every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import ClassVar

import msgspec
import trio

from feedbus.actors.protocol import ActorContext
from feedbus.analytics.aggregates import TOPICS, Aggregates
from feedbus.analytics.options import Options

TICK = 0.01  # seconds from one wake-up to the next, at least: instruments fall due one by one
OVERDUE_AFTER = 5.0  # seconds by which what is due may be late


class Actor:
    """See feedbus.actors.protocol."""

    Options: ClassVar[type[msgspec.Struct]] = Options
    publishes: ClassVar[bool] = True

    def __init__(self, options: msgspec.Struct, given: ActorContext) -> None:
        """Raises ConfigError for options that contradict one another."""
        if not isinstance(options, Options):
            raise TypeError(f"the aggregator's options, not {type(options).__name__}")
        options.check()
        self._given = given
        self._model = Aggregates(options)
        self._timer = trio.CancelScope()  # its deadline is when the timer's task is woken
        self._rests_until = -inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        async with self._given.subscribe(TOPICS) as subscription, trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            task_status.started()
            async for header, events in subscription.messages():
                now = trio.current_time()
                self._model.add(header.publisher, events, now)
                self._publish(now)
                due = self._wake_at()
                if due < self._timer.deadline:
                    self._timer.deadline = due

    def overdue(self, now: float) -> str | None:
        """See feedbus.actors.protocol."""
        late = now - self._model.next_due()
        return f"aggregator: what was due {late:.0f} s ago isn't published" if late > OVERDUE_AFTER else None

    def counters(self) -> Mapping[str, int]:
        """See feedbus.actors.protocol."""
        return self._model.counts()

    async def _keep_time(self) -> None:
        while True:
            with self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._publish(now)
            self._rests_until = now + TICK
            self._timer = trio.CancelScope(deadline=self._wake_at())

    def _wake_at(self) -> float:
        """Under load something is due at any moment, and each message finds what is: then nobody has to be woken."""
        return max(self._model.next_due(), self._rests_until)

    def _publish(self, now: float) -> None:
        events = self._model.take(now)
        if events:
            self._given.publish(events)
