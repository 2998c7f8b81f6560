"""Watches that judge what is said of their instrument, and that in the words of an alert. Pure.

Statuses say how far each word of an instrument may be trusted. A watch that judges them has no timer of its own but
that of `for`, and costs nothing while data comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from feedbus.alerts.states import SECOND, Watch
from feedbus.schema.events import TRUST_REASONS, Status, TrustState
from feedbus.trust.readers_trust import Trusted
from feedbus.trust.words import RANKS

SaidWord = tuple[str, Trusted]
"""A topic word ("": each that isn't named), and what is said of it."""


class StatusWatch(Watch):
    """A watch that judges what is said of its instrument."""

    __slots__ = ()

    def on_said(self, said: list[SaidWord], now: int, status: Status | None) -> None:
        """Judges what is said of all words of the instrument. `status` has said the last of it; None: it is by a loss,
        or was said before."""
        raise NotImplementedError

    def want_of_data(self) -> str:
        """Returns the end of a text, which names the rules that can't be resolved without data."""
        others = ", ".join(self.subject.firing_for_want_of_data())
        return f"; so nothing ends what fires about it: {others}" if others else ""


def in_states(said: Iterable[SaidWord], states: Iterable[TrustState]) -> list[SaidWord]:
    """Returns the words that are in one of these states and that somebody wants, the worst first."""
    bad = [each for each in said if each[1].state in states and each[1].reason != "unwanted"]
    return sorted(bad, key=badness)


def began(bad: Iterable[SaidWord], now: int, status: Status | None) -> int:
    """Returns since when one of these words has been as it is, by the clock of `now`. The publisher's own clock says
    how long that is; what a reader has found out by itself began now."""
    if status is not None and status.since > 0 and any(word == status.word for word, _ in bad):
        return now - max(0, status.ts_recv - status.since)
    return now


def described(bad: Iterable[SaidWord]) -> str:
    """Returns what is said of some words as a text, such as "book, quote: resyncing login (its connection isn't logged
    in yet) since 2026-11-25T10:00:05Z"."""
    groups: dict[tuple[str, str], list[SaidWord]] = {}
    for each in bad:
        groups.setdefault((each[1].state, each[1].reason), []).append(each)
    return "; ".join(
        f"{', '.join(sorted(word or 'all' for word, _ in group))}: {verdict(group[0][1])}"
        f"{_since(min(trusted.since for _, trusted in group))}"
        for group in groups.values()
    )


def verdict(trusted: Trusted) -> str:
    """Returns a state, its reason, and what that means in words."""
    meaning = TRUST_REASONS.get(trusted.reason, "")
    return f"{trusted.state} {trusted.reason}".rstrip() + (f" ({meaning})" if meaning else "")


def resolved(watch: Watch, worst: SaidWord | None) -> tuple[float, str]:
    """Returns for how many seconds the condition of a watch held, and a text that says what is said now."""
    ended_at = watch.alerted_at if watch.ended_at is None else watch.ended_at
    seconds = (ended_at - watch.since) / SECOND
    return seconds, f"{verdict(worst[1]) if worst else 'over'} after {seconds:.1f} s"


def _since(since: int) -> str:
    """Since when something is so. What a reader has found out by itself has no time."""
    if since <= 0:
        return ""
    return f" since {datetime.fromtimestamp(since // SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"


def badness(each: SaidWord) -> tuple[int, int, str]:
    """The worst first, and of equally bad ones the one that has lasted longest."""
    word, trusted = each
    return RANKS[trusted.state], trusted.since, word
