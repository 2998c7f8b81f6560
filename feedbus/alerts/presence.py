"""The kinds of rules that judge what doesn't come: `stale` instruments and `connection_down`.

Whether an instrument is silent for too long is known to those who publish its data, and its status says so. Where a
rule has a bound of its own, and for connections, an absence shows in no event, so these watches live by their timers.
Each timer looks at when the last event came and sets itself anew; the events themselves move no timer and cost next to
nothing. The module is pure.
"""

from __future__ import annotations

from typing import ClassVar

from feedbus.alerts.states import NEVER, PENDING, SECOND, CompiledRule, SharedState, Subject, Watch
from feedbus.alerts.status_watch import SaidWord, StatusWatch, badness, began, described, in_states, resolved
from feedbus.schema.connections import UP_STATES
from feedbus.schema.events import BookDelta, BookSnapshot, FeedStatus, Gap, MarketEvent, Quote, Status, Ticker, Trade

SILENT_AFTER = 15 * SECOND
"""A connection sends a FeedStatus every 5 s, so three of them are missing then."""
REPLACED_AFTER = 10 * SECOND
"""A connection that has fallen silent isn't missed if its feed reports, more than this after the connection's last
status, that all wanted connections are up: the feed does without it."""
STOPPED = "stopped"


class Stale(StatusWatch):
    """Fires while the status of any word of an instrument is `stale`. With a threshold it fires besides when an
    instrument that had data has had none of any kind for `threshold` seconds.

    What is stale is subscribed anew, and is stale for this rule until that brings data. An instrument that isn't traded
    may be silent: it is judged again from when it is.
    """

    HANDLERS: ClassVar[dict[type, str]] = dict.fromkeys((Status, Trade, Quote, BookSnapshot, BookDelta, Ticker), "")

    __slots__ = (
        "_allowed_ns",
        "_is_closed",
        "_is_silent",
        "_is_told",
        "_judged_from",
        "_silent_ns",
        "_told",
        "_worst",
    )

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._allowed_ns = round(rule.threshold * SECOND)
        self._judged_from = NEVER  # from when on data is expected: its first data, or when trading began again
        self._is_closed = False
        self._is_silent = False  # for longer than the threshold
        self._silent_ns = 0  # before the data that ended a silence
        self._is_told = False  # whether it is said to be stale, or was until it was subscribed anew
        self._told = ""  # that, as a text
        self._worst: SaidWord | None = None
        if self._allowed_ns:
            subject.next_event_handlers.append(self._on_first_data)

    def on_said(self, said: list[SaidWord], now: int, status: Status | None) -> None:
        """Judges whether any word is stale."""
        ts_event = status.ts_event if status else 0
        self._worst = min(said, key=badness)
        self._note_closed(any(trusted.state == "closed" for _, trusted in said), now)
        told, anew = in_states(said, ("stale",)), in_states(said, ("resyncing",))
        self._is_told = bool(told) or (self._is_told and bool(anew))
        if self._is_told:
            self._told = described(told) if told else f"was stale, and now {described(anew)}"
            self._silent_ns = 0
            self.condition_holds(began(told, now, status), now, ts_event)
        elif not self._is_silent:
            self.condition_ended(now, ts_event)

    def on_timer(self, now: int) -> None:
        """Checks whether data has come since the timer was set, and waits on if so."""
        super().on_timer(now)
        if self._is_silent or self._is_closed or self._judged_from == NEVER:
            return
        due = max(self.subject.last_event_at, self._judged_from) + self._allowed_ns
        if now < due:
            self.shared.timers.set(self, due)
            return
        self._is_silent = True
        self.condition_holds(due, now)
        if self._on_data not in self.subject.next_event_handlers:
            self.subject.next_event_handlers.append(self._on_data)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns the seconds without data, or since it is stale where a status says so. The text names the other rules
        that are firing about the instrument: without data they can't be resolved."""
        if self._is_told:
            return (self.alerted_at - self.since) / SECOND, self._told + self.want_of_data()
        seconds = (self.alerted_at - self.subject.last_event_at) / SECOND
        return seconds, f"no data for {seconds:.1f} s{self.want_of_data()}"

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns the seconds that passed without data, or for which it was stale."""
        if self._silent_ns:
            seconds = self._silent_ns / SECOND
            return seconds, f"data again after {seconds:.1f} s"
        return resolved(self, self._worst)

    def _on_first_data(self, _event: MarketEvent, now: int) -> None:
        self._judged_from = now
        self.shared.timers.set(self, now + self._allowed_ns)

    def _on_data(self, event: MarketEvent, now: int) -> None:
        if self._is_silent:
            self._is_silent = False
            self._silent_ns = now - self.subject.last_event_at
            if not self._is_told:
                self.condition_ended(now, event.ts_event)
        self.shared.timers.set(self, now + self._allowed_ns)

    def _note_closed(self, is_closed: bool, now: int) -> None:
        """From when it is traded again, data is expected anew."""
        was_closed, self._is_closed = self._is_closed, is_closed
        if is_closed:
            self._is_silent = False
            self._silent_ns = 0
        elif was_closed and self._judged_from != NEVER:
            self._judged_from = now
            self.shared.timers.set(self, now + self._allowed_ns)


class ConnectionDown(Watch):
    """Fires when a connection isn't online or delayed, has sent no status for 15 s, or when its publisher has fallen
    silent as a whole, which its readers know sooner.

    A connection that says that it stops is judged as if it had fallen silent then. It is forgotten once its feed has
    all wanted connections without it: the feed was given fewer connections, or was started anew with others.
    """

    HANDLERS: ClassVar[dict[type, str]] = {FeedStatus: "on_status"}

    __slots__ = ("_feed", "_is_unheard", "_last_status_at", "_publisher", "_status")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        # A connection is named FEED/NUMBER.
        self._feed = (subject.venue, subject.symbol.rpartition("/")[0])
        self._last_status_at = subject.last_event_at
        self._status: FeedStatus | None = None
        self._publisher = ""  # of that
        self._is_unheard = False  # whether the publisher has fallen silent since

    def on_status(self, event: FeedStatus, now: int) -> None:
        """Takes in the connection's newest status."""
        self._status = event
        self._publisher = self.shared.publisher
        self._is_unheard = False
        self._last_status_at = now
        if event.connections_up >= event.connections_wanted:
            self.shared.feed_complete_at[self._feed] = now
        if event.state in UP_STATES:
            self.condition_ended(now, event.ts_event)
        elif event.state != STOPPED:
            self.condition_holds(now, now, event.ts_event)
        self.shared.timers.set(self, now + SILENT_AFTER)

    def on_silence(self, gap: Gap, now: int) -> None:
        """Notes that a publisher has fallen silent. One that has said that it stops did so on purpose, and may start
        anew."""
        status = self._status
        if gap.publisher == self._publisher and status is not None and status.state != STOPPED:
            self._is_unheard = True
            self.condition_holds(now, now)

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
        is_silent = self._is_unheard or self.alerted_at - self._last_status_at >= SILENT_AFTER
        if self._status is not None and self._status.state in UP_STATES and not is_silent:
            return seconds, f"{self._status.state} after {seconds:.1f} s"
        return seconds, "the feed has all its connections without it"

    def _reason(self) -> str:
        status = self._status
        if status is None:
            return "down"
        reason = f": {status.reason}" if status.reason else ""
        silent = self.alerted_at - self._last_status_at
        if self._is_unheard:
            return f"its publisher {self._publisher} says nothing any more, and said {status.state}{reason}"
        if silent >= SILENT_AFTER:
            return f"silent for {silent / SECOND:.0f} s, then {status.state}{reason}"
        return f"{status.state}{reason}"
