"""The kinds of rules that judge what doesn't come: `stale` instruments and `connection_down`.

An absence shows in no event, so these watches live by their timers. Each timer looks at when the last event came and
sets itself anew; the events themselves move no timer and cost next to nothing. The module is pure.
"""

from __future__ import annotations

from typing import ClassVar

from feedbus.alerts.states import PENDING, QUIET, SECOND, CompiledRule, SharedState, Subject, Watch
from feedbus.schema.connections import UP_STATES
from feedbus.schema.events import BookDelta, BookSnapshot, FeedStatus, MarketEvent, Quote, Ticker, Trade

SILENT_AFTER = 15 * SECOND
"""A connection sends a FeedStatus every 5 s, so three of them are missing then."""
REPLACED_AFTER = 10 * SECOND
"""A connection that has fallen silent isn't missed if its feed reports, more than this after the connection's last
status, that all wanted connections are up: the feed does without it."""
STOPPED = "stopped"


class Stale(Watch):
    """Fires when an instrument that had data has had none for `threshold` seconds, although it is traded.

    Where a ticker tells the trading status, an instrument that isn't traded may be silent. It is judged again from its
    next ticker on that says otherwise.
    """

    HANDLERS: ClassVar[dict[type, str]] = {
        **dict.fromkeys((Trade, Quote, BookSnapshot, BookDelta), ""),
        Ticker: "on_ticker",
    }

    __slots__ = ("_allowed_ns", "_closed_statuses", "_is_closed", "_silent_ns")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._allowed_ns = round(rule.threshold * SECOND)
        self._closed_statuses = shared.closed_statuses(subject.venue)
        self._is_closed = False
        self._silent_ns = 0  # before the last data that ended a silence
        shared.timers.set(self, subject.last_event_at + self._allowed_ns)

    def on_ticker(self, event: Ticker, now: int) -> None:
        """Notes whether the venue says that the instrument is traded."""
        is_closed = event.status in self._closed_statuses
        if is_closed != self._is_closed:
            self._is_closed = is_closed
            if not is_closed:
                self.shared.timers.set(self, now + self._allowed_ns)

    def on_timer(self, now: int) -> None:
        """Checks whether data has come since the timer was set, and waits on if so."""
        if self._is_closed:
            return  # no timer is set until the venue says that the instrument is traded again
        due = self.subject.last_event_at + self._allowed_ns
        if now < due:
            self.shared.timers.set(self, due)
            return
        if self.state == QUIET or self.ended_at is not None:
            self.subject.next_event_handlers.append(self._on_data)
        self.condition_holds(due, now)

    def _on_data(self, event: MarketEvent, now: int) -> None:
        self._silent_ns = now - self.subject.last_event_at
        self.condition_ended(now, event.ts_event)
        self.shared.timers.set(self, now + self._allowed_ns)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the seconds without data. The text names the other rules that are firing about the instrument:
        without data they can't be resolved."""
        seconds = (self.alerted_at - self.subject.last_event_at) / SECOND
        others = ", ".join(self.subject.other_firing_rules(self))
        still = f"; so nothing ends what fires about it: {others}" if others else ""
        return seconds, f"no data for {seconds:.1f} s{still}"

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the seconds that passed without data."""
        seconds = self._silent_ns / SECOND
        return seconds, f"data again after {seconds:.1f} s"


class ConnectionDown(Watch):
    """Fires when a connection isn't online or delayed, or has sent no status for 15 s.

    A connection that says that it stops is judged as if it had fallen silent then. It is forgotten once its feed has
    all wanted connections without it: the feed was given fewer connections, or was started anew with others.
    """

    HANDLERS: ClassVar[dict[type, str]] = {FeedStatus: "on_status"}

    __slots__ = ("_feed", "_last_status_at", "_status")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        # A connection is named FEED/NUMBER.
        self._feed = (subject.venue, subject.symbol.rpartition("/")[0])
        self._last_status_at = subject.last_event_at
        self._status: FeedStatus | None = None

    def on_status(self, event: FeedStatus, now: int) -> None:
        """Takes in the connection's newest status."""
        self._status = event
        self._last_status_at = now
        if event.connections_up >= event.connections_wanted:
            self.shared.feed_complete_at[self._feed] = now
        if event.state in UP_STATES:
            self.condition_ended(now, event.ts_event)
        elif event.state != STOPPED:
            self.condition_holds(now, now, event.ts_event)
        self.shared.timers.set(self, now + SILENT_AFTER)

    def on_timer(self, now: int) -> None:
        """Checks whether the connection is silent, and whether its feed misses it."""
        silent_from = self._last_status_at + SILENT_AFTER
        if now < silent_from:
            self.shared.timers.set(self, silent_from)
            if self.state == PENDING:
                self.condition_holds(self.since, now)
        elif self._is_replaced():
            self.condition_ended(now)
        else:
            self.condition_holds(silent_from, now)
            self.shared.timers.set(self, now + SILENT_AFTER)

    def _is_replaced(self) -> bool:
        return self.shared.feed_complete_at.get(self._feed, 0) > self._last_status_at + REPLACED_AFTER

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the seconds for which the connection has been down, and its state or its silence."""
        return (self.alerted_at - self.since) / SECOND, self._reason()

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the seconds for which the connection was down, and why it isn't any more: it is up again, or the feed
        does without it."""
        ended_at = self.alerted_at if self.ended_at is None else self.ended_at
        seconds = (ended_at - self.since) / SECOND
        is_silent = self.alerted_at - self._last_status_at >= SILENT_AFTER
        if self._status is not None and self._status.state in UP_STATES and not is_silent:
            return seconds, f"{self._status.state} after {seconds:.1f} s"
        return seconds, "the feed has all its connections without it"

    def _reason(self) -> str:
        status = self._status
        if status is None:
            return "down"
        reason = f": {status.reason}" if status.reason else ""
        silent = self.alerted_at - self._last_status_at
        if silent >= SILENT_AFTER:
            return f"silent for {silent / SECOND:.0f} s, then {status.state}{reason}"
        return f"{status.state}{reason}"
