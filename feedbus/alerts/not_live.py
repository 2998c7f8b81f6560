"""The kind of rule that fires while an instrument isn't live: `not_live`. Pure."""

from __future__ import annotations

from typing import ClassVar

from feedbus.alerts.states import SECOND, CompiledRule, SharedState, Subject
from feedbus.alerts.status_watch import SaidWord, StatusWatch, badness, began, described, in_states, resolved
from feedbus.schema.events import Status


class NotLive(StatusWatch):
    """Fires while any word of an instrument is in one of the rule's `states`.

    What nobody wants any more is nobody's trouble: that fires nothing, and ends what is firing.
    """

    HANDLERS: ClassVar[dict[type, str]] = {Status: ""}

    __slots__ = ("_bad", "_worst")

    def __init__(self, rule: CompiledRule, subject: Subject, shared: SharedState) -> None:
        super().__init__(rule, subject, shared)
        self._bad: list[SaidWord] = []
        self._worst: SaidWord | None = None

    def on_said(self, said: list[SaidWord], now: int, status: Status | None) -> None:
        """Judges whether any word is in one of the states."""
        bad = in_states(said, self.rule.rule.states)
        self._worst = min(said, key=badness)
        if bad:
            self._bad = bad
            self.condition_holds(began(bad, now, status), now, status.ts_event if status else 0)
        else:
            self.condition_ended(now, status.ts_event if status else 0)

    def describe_firing(self) -> tuple[float | None, str]:
        """Returns for how many seconds it has been so, and what is said of these words."""
        return (self.alerted_at - self.since) / SECOND, described(self._bad) + self.want_of_data()

    def describe_resolved(self) -> tuple[float | None, str]:
        """Returns for how many seconds it was so, and what is said of the instrument now."""
        return resolved(self, self._worst)
