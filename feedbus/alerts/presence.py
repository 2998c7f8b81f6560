"""The kinds of rules that look at what doesn't come: stale instruments, and connections that are down. Pure."""

from __future__ import annotations

from typing import ClassVar

from feedbus.alerts.states import PENDING, QUIET, SECOND, RuleInUse, Scene, Subject, Watch
from feedbus.schema.events import BookDelta, BookSnapshot, FeedStatus, MarketEvent, Quote, Ticker, Trade

SILENT_AFTER = 15 * SECOND
"""A connection speaks every 5 s: three words are missing."""
REPLACED_AFTER = 10 * SECOND
"""When its feed says so long after a connection's last word that it has all connections, it does without this one."""
UP = ("online", "delayed")
PARTING = "stopped"


class Stale(Watch):
    """An instrument that had data has had none for `threshold` seconds."""

    HANDLES: ClassVar[dict[type, str]] = dict.fromkeys((Trade, Quote, BookSnapshot, BookDelta, Ticker), "")

    __slots__ = ("_allowed",)

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._allowed = round(rule.threshold * SECOND)
        scene.timers.set(self, subject.last + self._allowed)

    def timer(self, now: int) -> None:
        """Look whether data has come in time: that it comes moves no timer, and costs nothing."""
        due = self.subject.last + self._allowed
        if now < due:
            self.scene.timers.set(self, due)
            return
        if self.state == QUIET:
            self.subject.awaiting.append(self._data)
        self.holds(due, now)

    def _data(self, event: MarketEvent, now: int) -> None:
        """Data is there again."""
        self.over(now, event.ts_event)
        self.scene.timers.set(self, now + self._allowed)

    def says(self) -> tuple[float | None, str]:
        """What else fires about the instrument can't be judged any more."""
        seconds = (self.at - self.subject.last) / SECOND
        others = ", ".join(self.subject.others(self))
        still = f"; so nothing ends what fires about it: {others}" if others else ""
        return seconds, f"no data for {seconds:.1f} s{still}"

    def says_over(self) -> tuple[float | None, str]:
        """How long the hole was."""
        seconds = (self.at - self.subject.last) / SECOND
        return seconds, f"data again after {seconds:.1f} s"


class ConnectionDown(Watch):
    """A connection isn't online, or says nothing for 15 s.

    One that says that it stops is judged as if it had fallen silent then. It is forgotten when its feed has all the
    connections that it wants without it: the feed was given fewer, or was made anew.
    """

    HANDLES: ClassVar[dict[type, str]] = {FeedStatus: "status"}

    __slots__ = ("_feed", "_spoke", "_status")

    def __init__(self, rule: RuleInUse, subject: Subject, scene: Scene) -> None:
        super().__init__(rule, subject, scene)
        self._feed = (subject.venue, subject.symbol.rpartition("/")[0])
        self._spoke = subject.last
        self._status: FeedStatus | None = None

    def status(self, event: FeedStatus, now: int) -> None:
        """The connection speaks."""
        self._status = event
        self._spoke = now
        if event.connections_up >= event.connections_wanted:
            self.scene.full[self._feed] = now
        if event.state in UP:
            self.over(now, event.ts_event)
        elif event.state != PARTING:
            self.holds(now, now, event.ts_event)
        self.scene.timers.set(self, now + SILENT_AFTER)

    def timer(self, now: int) -> None:
        """Look whether it is silent, and whether anybody misses it."""
        silent_from = self._spoke + SILENT_AFTER
        if now < silent_from:
            self.scene.timers.set(self, silent_from)
            if self.state == PENDING:
                self.holds(self.since, now)
        elif self._is_replaced():
            self.over(now)
        else:
            self.holds(silent_from, now)
            self.scene.timers.set(self, now + SILENT_AFTER)

    def _is_replaced(self) -> bool:
        return self.scene.full.get(self._feed, 0) > self._spoke + REPLACED_AFTER

    def says(self) -> tuple[float | None, str]:
        """How long it has been so."""
        return (self.at - self.since) / SECOND, self._how()

    def says_over(self) -> tuple[float | None, str]:
        """How long it was so."""
        seconds = (self.at - self.since) / SECOND
        if self._status is not None and self._status.state in UP and self.at - self._spoke < SILENT_AFTER:
            return seconds, f"{self._status.state} after {seconds:.1f} s"
        return seconds, "the feed has all its connections without it"

    def _how(self) -> str:
        status = self._status
        if status is None:
            return "down"
        reason = f": {status.reason}" if status.reason else ""
        silent = self.at - self._spoke
        if silent >= SILENT_AFTER:
            return f"silent for {silent / SECOND:.0f} s, then {status.state}{reason}"
        return f"{status.state}{reason}"
