"""Alerting: judges what is on the bus by rules, publishes what fires and is resolved, logs it, and posts it.

Three tasks in one nursery: one reads the bus into the rules, one wakes when a rule is due, one posts to the webhook.
It knows nothing when it starts: what fired in an earlier life isn't resolved by this one, and fires anew if it still
holds. A connection is judged once it has spoken, an instrument once it has had data.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Annotated, ClassVar

import msgspec
import trio
from msgspec import Meta

from feedbus.actors.alerting.webhook import Webhook, WebhookOptions
from feedbus.actors.protocol import ActorContext
from feedbus.alerts import AlertEngine, Rule, topics
from feedbus.errors import ConfigError
from feedbus.schema.events import Alert, Gap, MarketData

SHORTEST_SLEEP = 0.001  # seconds: what is due together wakes us once
LONGEST_SLEEP = 5.0  # seconds: the wall clock that rules are due by may be set meanwhile
OVERDUE_AFTER = 5.0  # seconds
MINUTE = 60.0

log = logging.getLogger("feedbus.alerting")


class Options(msgspec.Struct, frozen=True):
    """`max_instruments` bounds what is remembered, `log_per_minute` the lines about alerts in the log."""

    rules: tuple[Rule, ...] = (Rule("connection_down", for_=30),)
    webhook: WebhookOptions | None = None
    max_instruments: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    log_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 60


class Actor:
    """The rules of one configuration at work."""

    Options: ClassVar[type[msgspec.Struct]] = Options
    publishes: ClassVar[bool] = True

    def __init__(self, options: msgspec.Struct, given: ActorContext) -> None:
        """Raises ConfigError for rules that contradict themselves or one another, and for an unusable webhook."""
        if not isinstance(options, Options):
            raise TypeError(f"alerting was given {type(options).__name__}")
        if not options.rules:
            raise ConfigError("rules: there are none, so nothing can fire")
        self.anomalies = AlertEngine(options.rules, max_instruments=options.max_instruments)
        self.webhook = Webhook(options.webhook) if options.webhook else None
        self._topics = topics(options.rules)
        self._given = given
        self._lines = Lines(options.log_per_minute)
        self._timer = trio.CancelScope()
        self._next_tick = inf
        self._events = self._gaps = 0
        self._told = {"firing": 0, "resolved": 0}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Judge what comes, until cancelled."""
        async with self._given.subscribe(self._topics) as reader, trio.open_nursery() as nursery:
            if self.webhook is not None:
                nursery.start_soon(self.webhook.run)
            nursery.start_soon(self._ticks)
            task_status.started()
            async for _, events in reader.messages():
                self._judge(events)

    def overdue(self, now: float) -> str | None:
        """Rules that are due are judged in time, or it is stuck."""
        return "alerting: rules that are due aren't judged" if now > self._next_tick + OVERDUE_AFTER else None

    def counters(self) -> Mapping[str, int]:
        """Plain totals since it was made, by name."""
        counts = {
            "events": self._events,
            "gaps": self._gaps,
            "fired": self._told["firing"],
            "resolved": self._told["resolved"],
            "events_passed_over": self.anomalies.passed_over,
            "log_lines_left_out": self._lines.left_out,
        }
        if self.webhook is not None:
            posted = self.webhook.counts()
            counts |= {f"webhook_{name}": count for name, count in posted.items() if name != "waiting"}
        return counts

    def _judge(self, events: Sequence[MarketData | Gap]) -> None:
        """All events of one bus message."""
        now_ns = self._given.wall_ns()
        add = self.anomalies.add
        alerts: list[Alert] = []
        for event in events:
            if isinstance(event, Gap):
                self._gaps += 1
                continue
            self._events += 1
            if found := add(event, now_ns):
                alerts += found
        if alerts:
            self._tell(alerts)
        self._set_timer()

    async def _ticks(self) -> None:
        while True:
            with trio.CancelScope() as self._timer:
                self._next_tick = inf
                self._set_timer()
                await trio.sleep_forever()
            alerts = self.anomalies.tick(self._given.wall_ns())
            if alerts:
                self._tell(alerts)
            self._lines.end_minute(trio.current_time())

    def _set_timer(self) -> None:
        """Have the ticker wake when the next rule is due, if it doesn't by then."""
        due = self.anomalies.next_due()
        wait = LONGEST_SLEEP if due is None else (due - self._given.wall_ns()) / 1e9
        at = trio.current_time() + min(max(wait, SHORTEST_SLEEP), LONGEST_SLEEP)
        if at < self._next_tick:
            self._next_tick = self._timer.deadline = at

    def _tell(self, alerts: Sequence[Alert]) -> None:
        self._given.publish(alerts)
        if self.webhook is not None:
            self.webhook.offer(alerts)
        now = trio.current_time()
        for alert in alerts:
            self._told[alert.state] += 1
            self._lines.write(alert, now)


class Lines:
    """One line an alert in the log, and at most so many a minute of each severity, so that what is critical isn't
    drowned by the rest; then one that says how many were left out."""

    def __init__(self, per_minute: int) -> None:
        self.left_out = 0
        self._per_minute = per_minute
        self._written = Counter[str]()  # by severity
        self._left_out_now = 0
        self._ends = -inf

    def write(self, alert: Alert, now: float) -> None:
        """Log it, if there is room."""
        self.end_minute(now)
        if self._written[alert.severity] >= self._per_minute:
            self.left_out += 1
            self._left_out_now += 1
            return
        self._written[alert.severity] += 1
        level = logging.WARNING if alert.state == "firing" else logging.INFO
        about = f"{alert.venue}:{alert.symbol}"
        log.log(level, "%s %s %s: %s: %s", alert.severity, alert.rule, alert.state, about, alert.text)

    def end_minute(self, now: float) -> None:
        """Begin a new minute, if the last one is over."""
        if now < self._ends:
            return
        if self._left_out_now:
            log.warning("%d more alerts within a minute: not logged, but published", self._left_out_now)
        self._written.clear()
        self._left_out_now = 0
        self._ends = now + MINUTE
