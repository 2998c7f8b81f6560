"""All books that one connection to Binance keeps: whose turn it is to be published again, or audited. Pure.

Whoever subscribes later than a book was published needs it, too. So the best levels of each right book are published
again every few seconds, spread evenly over that time.

Audits cost weight of the REST budget that a lost book may need. So all connections of an account share an AuditPace,
which leaves them a tenth of the budget.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from math import inf

from feedbus.errors import VenueError
from feedbus.schema.events import MarketData
from feedbus.venues.binance.book_sync import BookSync
from feedbus.venues.binance.options import BinanceOptions
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
        self._scheduled: set[str] = set()  # the symbols in the two heaps
        self._turns: list[tuple[float, str]] = []  # a heap: when each symbol's book is published again
        self._audits: list[tuple[float, str]] = []  # a heap: when each is audited

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

    def begin(self, symbol: str, ts_recv: int, now: float) -> list[Effect]:
        """The subscription of this symbol is confirmed."""
        sync = self._by_symbol[symbol]
        share = (len(self._scheduled) * GOLDEN) % 1.0  # spreads what would otherwise fall on one moment
        if symbol not in self._scheduled:
            self._scheduled.add(symbol)
            heapq.heappush(self._turns, (now + self._every * share, symbol))
            if self._options.audit_s:
                heapq.heappush(self._audits, (now + self._options.audit_s * (1 + share) / 2, symbol))
        return sync.begin(ts_recv)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> list[Effect]:
        """A snapshot came, or didn't."""
        sync = self._by_symbol.get(fetch.about)
        return [] if sync is None else sync.fetched(fetch, answer, now)

    def wake_at(self) -> float:
        """When `tick` wants to be called (`now` seconds)."""
        turn = self._turns[0][0] + TOGETHER if self._turns else inf
        audit = max(self._audits[0][0], self._pace.free_at) if self._audits else inf
        return min(turn, audit, min((sync.wake_at for sync in self._by_symbol.values()), default=inf))

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: retries, books that are published again, audits."""
        out: list[Effect] = []
        for sync in self._by_symbol.values():
            if now >= sync.wake_at:
                out += sync.tick(now)
        for _ in range(AT_ONCE):
            if not self._turns or now < self._turns[0][0]:
                break
            when, symbol = heapq.heappop(self._turns)
            if (kept := self._by_symbol.get(symbol)) is not None:
                # A turn that was missed isn't made up for, and the others keep their distance.
                heapq.heappush(self._turns, (max(when + self._every, now), symbol))
                if kept.shown and kept.book is not None:
                    out.append(kept.picture(kept.book, self._options.republish_levels))
            else:
                self._scheduled.discard(symbol)
        if self._audits and now >= max(self._audits[0][0], self._pace.free_at):
            out += self._audit(now)
        return out

    def ended(self) -> list[MarketData]:
        """The connection is gone: no book is right any more."""
        out: list[MarketData] = []
        for sync in self._by_symbol.values():
            out += sync.end("resyncing", "connecting")
        return out

    def _audit(self, now: float) -> list[Effect]:
        _, symbol = heapq.heappop(self._audits)
        sync = self._by_symbol.get(symbol)
        if sync is None:
            return []
        if symbol in self._scheduled:
            heapq.heappush(self._audits, (now + self._options.audit_s, symbol))
        effects = sync.audit()
        for effect in effects:
            if isinstance(effect, Fetch):
                self._pace.began(effect.weight, now)
        return effects
