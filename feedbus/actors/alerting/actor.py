"""The actor `alerting`: judges what is on the bus by rules, and publishes, logs and posts the alerts.

This is the shell around the pure engine in feedbus/alerts: it owns the subscription, the clocks and up to three tasks.
One task reads the bus, one wakes when a rule is due because time has passed, and one posts to the webhook, if there is
one.

The actor knows nothing when it starts. What fired in an earlier life isn't resolved by this one, and fires anew if it
still holds. A connection is judged once it has sent a status, an instrument once it has had data.
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

from feedbus import venues
from feedbus.actors.alerting.webhook import Webhook, WebhookOptions
from feedbus.actors.protocol import ActorContext
from feedbus.alerts import AlertEngine, Rule, topics
from feedbus.errors import ConfigError
from feedbus.schema.events import Alert, Gap, MarketData
from feedbus.telemetry.log_limits import OWN_LIMIT

SHORTEST_SLEEP = 0.001
"""Seconds. Rules that are due at almost the same time then cost one wake-up."""
LONGEST_SLEEP = 1.0
"""Seconds. The line that sums up the alerts of a minute then comes soon after the minute."""
OVERDUE_AFTER = 5.0
"""Seconds by which a due rule may be judged late before the actor counts as stuck."""
MINUTE = 60.0
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}
"""The level at which a firing alert is logged, by its severity. A resolved one is always INFO."""

log = logging.getLogger("feedbus.alerting")


class Options(msgspec.Struct, frozen=True):
    """What the key `alerting` of the configuration may hold.

    rules            the rules; without them there is one, which fires when a connection is down for 30 s
    webhook          where alerts are posted, None for nowhere
    max_instruments  how many instruments and how many connections are watched: this bounds the memory
    log_per_minute   how many alerts of one severity are logged within a minute
    """

    rules: tuple[Rule, ...] = (Rule("connection_down", for_=30),)
    webhook: WebhookOptions | None = None
    max_instruments: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    log_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 60


class Actor:
    """The alerting actor, as feedbus.actors.protocol describes an actor."""

    Options: ClassVar[type[msgspec.Struct]] = Options
    publishes: ClassVar[bool] = True

    def __init__(self, options: msgspec.Struct, context: ActorContext) -> None:
        """Raises ConfigError for rules that contradict themselves or one another, and for a webhook that can't be
        used."""
        if not isinstance(options, Options):
            raise TypeError(f"alerting was given {type(options).__name__}")
        if not options.rules:
            raise ConfigError("rules: there are none, so nothing can fire")
        self.engine = AlertEngine(
            options.rules,
            max_instruments=options.max_instruments,
            units=venues.units,
        )
        self.webhook = Webhook(options.webhook, proxies=context.proxies) if options.webhook else None
        self._topics = topics(options.rules)
        self._context = context
        self._alert_log = AlertLog(options.log_per_minute)
        self._timer = trio.CancelScope()
        self._next_tick = inf  # when the timer's task wakes, by trio's clock
        self._events = self._gaps = 0
        self._alert_counts = {"firing": 0, "resolved": 0}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Works until it is cancelled."""
        async with self._context.subscribe(self._topics) as reader, trio.open_nursery() as nursery:
            if self.webhook is not None:
                nursery.start_soon(self.webhook.run)
            nursery.start_soon(self._tick_when_due)
            task_status.started()
            async for header, events in reader.messages():
                self._judge(header.publisher, events)

    def overdue(self, now: float) -> str | None:
        """Returns a line when a rule should have been judged more than OVERDUE_AFTER seconds ago."""
        return "alerting: rules that are due aren't judged" if now > self._next_tick + OVERDUE_AFTER else None

    def counters(self) -> Mapping[str, int]:
        """Returns totals since the actor was made, by name."""
        counts = {
            "events": self._events,
            "gaps": self._gaps,
            "fired": self._alert_counts["firing"],
            "resolved": self._alert_counts["resolved"],
            "events_passed_over": self.engine.passed_over,
            "unusable": self.engine.unusable,
            "unpriced": self.engine.unpriced,
            "log_lines_left_out": self._alert_log.left_out,
        }
        if self.webhook is not None:
            posted = self.webhook.counts()
            counts |= {f"webhook_{name}": count for name, count in posted.items() if name != "waiting"}
        return counts

    def _judge(self, publisher: str, events: Sequence[MarketData | Gap]) -> None:
        """Judges all events of one bus message of this publisher."""
        now = self._now()
        add = self.engine.add
        alerts: list[Alert] = []
        for event in events:
            if isinstance(event, Gap):
                self._gaps += 1
                found = self.engine.add_gap(event, now)
            else:
                self._events += 1
                found = add(event, now, publisher)
            if found:
                alerts += found
        if alerts:
            self._publish(alerts)
        self._schedule_tick()

    async def _tick_when_due(self) -> None:
        while True:
            with trio.CancelScope() as self._timer:
                self._next_tick = inf
                self._schedule_tick()
                await trio.sleep_forever()
            alerts = self.engine.tick(self._now())
            if alerts:
                self._publish(alerts)
            self._alert_log.end_minute(trio.current_time())

    def _schedule_tick(self) -> None:
        """Has the timer's task wake when the next rule is due, unless it wakes earlier anyway."""
        due = self.engine.next_due()
        wait = LONGEST_SLEEP if due is None else (due - self._now()) / 1e9
        at = trio.current_time() + min(max(wait, SHORTEST_SLEEP), LONGEST_SLEEP)
        if at < self._next_tick:
            self._next_tick = self._timer.deadline = at

    def _now(self) -> int:
        """The time that the rules are judged by, in nanoseconds. It is trio's, which never jumps and which leaves out
        the time for which the process stood still (feedbus/runtime/running_clock.py)."""
        return round(trio.current_time() * 1e9)

    def _publish(self, judged: Sequence[Alert]) -> None:
        # The rules know no wall clock: what they fire is labelled here with the time of day.
        wall_ns = self._context.wall_ns()
        alerts = [msgspec.structs.replace(alert, ts_recv=wall_ns) for alert in judged]
        self._context.publish(alerts)
        if self.webhook is not None:
            self.webhook.offer(alerts)
        now = trio.current_time()
        for alert in alerts:
            self._alert_counts[alert.state] += 1
            self._alert_log.write(alert, now)


class AlertLog:
    """Logs one line for each alert, up to a limit per minute and severity, so that a flood of harmless alerts
    can't hide a critical one. At the end of the minute one line says how many alerts weren't logged.

    `left_out` is the total of these. Times are trio's, in seconds.
    """

    def __init__(self, per_minute: int) -> None:
        self.left_out = 0
        self._per_minute = per_minute
        self._written = Counter[str]()  # in this minute, by severity
        self._left_out_this_minute = 0
        self._minute_ends = -inf

    def write(self, alert: Alert, now: float) -> None:
        """Logs the alert, unless too many of its severity were logged in this minute."""
        self.end_minute(now)
        if self._written[alert.severity] >= self._per_minute:
            self.left_out += 1
            self._left_out_this_minute += 1
            return
        self._written[alert.severity] += 1
        level = LEVELS[alert.severity] if alert.state == "firing" else logging.INFO
        about = f"{alert.venue}:{alert.symbol}"
        own_limit = {OWN_LIMIT: True}
        text = "%s %s %s: %s: %s"
        log.log(level, text, alert.severity, alert.rule, alert.state, about, alert.text, extra=own_limit)

    def end_minute(self, now: float) -> None:
        """Begins a new minute if the last one is over."""
        if now < self._minute_ends:
            return
        if self._left_out_this_minute:
            log.warning("%d more alerts within a minute: not logged, but published", self._left_out_this_minute)
        self._written.clear()
        self._left_out_this_minute = 0
        self._minute_ends = now + MINUTE
