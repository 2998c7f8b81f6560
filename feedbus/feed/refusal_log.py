"""Logs what the venue refuses, by name: in its own words, and with the nearest names that exist. It may log, and is
told the time.

What is refused waits a moment, so that all channels of a symbol are one line, and until the venue's list of symbols is
there, if one is coming. A venue that refuses everything would fill the log: of each minute the first LINES are written,
and one line counts the others. What is refused again and again in the same words is told once an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from feedbus.venues.protocol import Subscription
from feedbus.venues.subscriptions import NOT_KEPT, UNLISTED

GATHER = 1.0  # seconds
LINES = 20
MINUTE = 60.0  # seconds
AGAIN = 3600.0  # seconds
REMEMBERED = 10_000  # subscriptions and what was said of each, at most
WAITING = 10_000  # refusals that wait to be written, at most; more are counted only


class RefusalLog:
    """The log of one feed. Times are monotonic, in seconds. `due` is when `write` is to be called, infinity for
    never."""

    def __init__(self, log: logging.Logger, clean: Callable[[str], str]) -> None:
        """`log` is the feed's. `clean` takes our secrets out of a text."""
        self.due = inf
        self._log = log
        self._clean = clean
        self._waiting: dict[tuple[str, str], list[str]] = {}  # channels by symbol and reason
        self._unlisted: set[str] = set()  # symbols that were named because the venue's list doesn't have them
        self._told: dict[tuple[Subscription, str], float] = {}  # when each was told last, the oldest first
        self._ends = inf  # when the present minute is over; infinity while none has begun
        self._shown = 0
        self._more = 0  # symbols without a line of their own

    def refused(self, subscription: Subscription, reason: str, now: float) -> None:
        """The venue refused a subscription, or ended it, and says this."""
        reason = self._clean(reason)
        if reason == UNLISTED or (reason == NOT_KEPT and subscription.symbol in self._unlisted):
            return  # what the list doesn't have is named when it comes
        if now - self._told.get((subscription, reason), -inf) < AGAIN:
            return
        self._told.pop((subscription, reason), None)
        self._told[subscription, reason] = now
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        place = (subscription.symbol, reason)
        if place not in self._waiting and len(self._waiting) >= WAITING:
            self._more += 1
            return
        self._waiting.setdefault(place, []).append(subscription.channel)
        self.due = min(self.due, now + GATHER)

    def name_unlisted(self, symbols: Iterable[str]) -> list[str]:
        """The venue's list doesn't have these symbols. Returns those that no line here has named, or will name."""
        named = {subscription.symbol for subscription, _ in self._told}
        fresh = [symbol for symbol in symbols if symbol not in named]
        self._unlisted.update(fresh)
        return fresh

    def symbols(self) -> list[str]:
        """The symbols that the next lines will be about, so that names can be proposed."""
        return list(dict.fromkeys(symbol for symbol, _ in self._waiting))[: LINES - self._shown]

    def write(self, nearest: Mapping[str, Sequence[str]] | None, now: float) -> None:
        """Write what waits. `nearest` are the nearest names that the venue lists, by symbol, the symbol itself among
        them if it is listed; None where nobody knows the list."""
        self.due = inf
        waiting, self._waiting = self._waiting, {}
        for (symbol, reason), channels in waiting.items():
            if self._ends == inf:
                self._ends = now + MINUTE
            if self._shown >= LINES:
                self._more += 1
            elif nearest is not None and symbol not in nearest:  # it came while the names were looked for
                self._waiting[symbol, reason] = channels
                self.due = now
            else:
                self._shown += 1
                known = "" if nearest is None else _listed(symbol, nearest[symbol])
                self._log.warning("the venue refuses %s %s: %s%s", _joined(channels), symbol, reason, known)

    def end_minute(self, now: float = inf) -> None:
        """Sum up the minute if it is over at `now`; without `now` it ends here, and what waits is written."""
        if now == inf and self._waiting:
            self.write(None, 0.0)
        if now < self._ends or self._ends == inf:
            return
        more, self._more, self._shown, self._ends = self._more, 0, 0, inf
        if more:
            self._log.warning("the venue refused %s more symbols within a minute", f"{more:,}")


def _listed(symbol: str, names: Sequence[str]) -> str:
    if symbol in names:
        return "; its list has this symbol"
    return f"; it lists {', '.join(names)}" if names else "; it lists nothing like it"


def _joined(channels: Sequence[str]) -> str:
    return " and ".join(", ".join(channels).rsplit(", ", 1))
