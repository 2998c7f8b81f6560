"""All books that one connection to Binance keeps: whose turn it is to be published again, or audited. Pure.

Whoever subscribes later than a book was published needs it, too. So the best levels of each right book are published
again every few seconds, spread evenly over that time.

Audits cost weight of the REST budget that a lost book may need. So all connections of an account share an AuditPace,
which leaves them a tenth of the budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

from feedbus.errors import VenueError
from feedbus.schema.events import MarketData
from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.deadlines import Deadlines
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, RestLimit, Subscription

AT_ONCE = 20
"""How many books are published again in one call, so that others get their turn."""

TOGETHER = 0.05
"""Seconds: books whose turn comes within so short a time are published together, the first of them so much later."""

GOLDEN = 0.618034
"""Multiples of it, without their whole parts, are spread evenly between 0 and 1, however many there are."""

AUDIT_SHARE = 0.1
"""The share of the REST budget that audits may use."""


class AuditPace:
    """When the next audit of an account may begin."""

    def __init__(self, limit: RestLimit) -> None:
        self._refill = limit.per_s / (limit.weight * AUDIT_SHARE)  # seconds that a weight of 1 takes
        self.free_at = -inf

    def began(self, weight: int, now: float) -> None:
        """An audit of this weight begins now."""
        self.free_at = max(self.free_at, now) + weight * self._refill


class KeptBooks:
    """The books of one session. `wake_at` says when `tick` wants to be called."""

    def __init__(
        self, options: BinanceOptions, pace: AuditPace, counts: Counter[str], generation: Callable[[], int]
    ) -> None:
        self._options = options
        self._every = options.republish_s - TOGETHER
        self._pace = pace
        self._counts = counts
        self._generation = generation
        self._by_symbol: dict[str, BookSync] = {}
        self._begun = 0  # how many have begun
        self._turns = Deadlines()  # when each symbol's book is published again
        self._audits = Deadlines()  # when each is audited
        self._wakes = Deadlines()  # when each wants to be called
        self._behind: dict[str, None] = {}  # the symbols whose streams have to be subscribed anew

    def add(self, subscription: Subscription) -> BookSync:
        """The book of a new subscription."""
        symbol = subscription.symbol
        sync = BookSync(subscription, self._options.levels_of(symbol), self._counts, self._generation)
        self._by_symbol[symbol] = sync
        return sync

    def get(self, symbol: str) -> BookSync | None:
        """The book of this symbol, if it is kept."""
        return self._by_symbol.get(symbol)

    def drop(self, symbol: str) -> None:
        """This symbol's book isn't kept any more."""
        self._by_symbol.pop(symbol, None)
        self._behind.pop(symbol, None)
        for deadlines in (self._turns, self._audits, self._wakes):
            deadlines.drop(symbol)

    def begin(self, symbol: str, ts_recv: int, now: float) -> list[Effect]:
        """The subscription of this symbol is confirmed."""
        sync = self._by_symbol[symbol]
        if symbol not in self._turns:
            share = (self._begun * GOLDEN) % 1.0
            self._begun += 1
            self._turns.set(symbol, now + self._every * share)
            if self._options.audit_s:
                self._audits.set(symbol, now + self._options.audit_s * (1 + share) / 2)
        effects = sync.begin(ts_recv)
        self.note(sync)
        return effects

    def restart(self, symbol: str, now: float) -> list[MarketData]:
        """The subscription of this symbol is ended, and will begin again."""
        sync = self._by_symbol[symbol]
        effects = sync.restart(now)
        self.note(sync)
        return effects

    def doubt(self, ts_recv: int, now: float) -> list[Effect]:
        """A message came that can't be read and doesn't say of which stream it was: every book may have lost it."""
        out: list[Effect] = []
        for sync in self._by_symbol.values():
            out += sync.doubt(now, ts_recv)
            self.note(sync)
        return out

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> list[Effect]:
        """A snapshot came, or didn't."""
        sync = self._by_symbol.get(fetch.about)
        if sync is None:
            return []
        effects = sync.fetched(fetch, answer, now)
        self.note(sync)
        return effects

    def note(self, sync: BookSync) -> None:
        """Something happened to this book, so it may want to be called at another time."""
        if self._by_symbol.get(sync.symbol) is sync:
            self._wakes.set(sync.symbol, sync.wake_at)
            if sync.wants_stream:
                sync.wants_stream = False
                self._behind[sync.symbol] = None

    def take_behind(self) -> list[str]:
        """The symbols whose streams have to be subscribed anew, since they don't bring what has happened. Each is told
        once."""
        behind, self._behind = list(self._behind), {}
        return behind

    def wake_at(self) -> float:
        """When `tick` wants to be called (`now` seconds)."""
        if self._behind:
            return -inf
        audit = self._audits.next
        return min(self._turns.next + TOGETHER, max(audit, self._pace.free_at), self._wakes.next)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: retries, books that are published again, audits."""
        out: list[Effect] = []
        for _ in range(len(self._wakes)):
            if (due := self._wakes.pop(now)) is None:
                break
            sync = self._by_symbol[due[1]]
            out += sync.tick(now)
            self.note(sync)
        for _ in range(AT_ONCE):
            if (due := self._turns.pop(now)) is None:
                break
            when, symbol = due
            # A turn that was missed isn't made up for, and the others keep their distance.
            self._turns.set(symbol, max(when + self._every, now))
            sync = self._by_symbol[symbol]
            out += sync.look(now)
            self.note(sync)
            if sync.shown and sync.book is not None:
                out.append(sync.picture(sync.book, self._options.republish_levels))
        if now >= self._pace.free_at and (due := self._audits.pop(now)) is not None:
            out += self._audit(due[1], now)
        return out

    def _audit(self, symbol: str, now: float) -> list[Effect]:
        self._audits.set(symbol, now + self._options.audit_s)
        sync = self._by_symbol[symbol]
        effects = sync.audit()
        self.note(sync)
        for effect in effects:
            if isinstance(effect, Fetch):
                self._pace.began(effect.weight, now)
        return effects
