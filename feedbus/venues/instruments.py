"""What is known of a feed's instruments: what has changed, and what is to be published again. Pure.

Every instrument is published when it is first known, when one of its fields has changed, and again and again at even
intervals, so that whoever subscribes later learns it too.

The trading status comes twice: in the venue's list, which is fetched once a day, and in the tickers of venues that tell
it there. The newer word counts, and that is the ticker's once one has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import msgspec

from feedbus.schema.events import Instrument

AGAIN_EVERY = 30.0
"""Seconds in which every instrument is published once more."""
MOST_A_SECOND = 100.0
"""How many of them a second at most: above 3,000 instruments it takes longer."""
STEP = 0.25
"""Seconds between two lots of them."""

_TIMES = frozenset({"venue", "symbol", "ts_event", "ts_recv"})
FIELDS = tuple(name for name in Instrument.__struct_fields__ if name not in _TIMES)
"""The fields of an Instrument that say something of it."""


class KnownInstruments:
    """The instruments of a feed. Times are seconds of a monotonic clock.

    changes  how often an instrument that was known was published because it had changed
    next_due when `due` is to be called next, infinity while nothing is known
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self.changes = 0
        self.next_due = inf
        self._known: dict[str, Instrument] = {}
        self._statuses: dict[str, str | None] = dict.fromkeys(symbols)  # by wanted symbol: what tickers told last
        self._turn: list[str] = []  # the symbols that are still to be published in this round
        self._credit = 0.0
        self._counted_at = inf

    @property
    def symbols(self) -> list[str]:
        """The wanted ones."""
        return list(self._statuses)

    def __len__(self) -> int:
        return len(self._known)

    def want(self, symbols: Iterable[str]) -> None:
        """These are the feed's symbols, and there are no others."""
        self._statuses = {symbol: self._statuses.get(symbol) for symbol in symbols}
        self._known = {symbol: each for symbol, each in self._known.items() if symbol in self._statuses}

    def unknown(self) -> list[str]:
        """The wanted symbols of which nothing is known."""
        return [symbol for symbol in self._statuses if symbol not in self._known]

    def take(self, listed: Iterable[Instrument], now: float) -> list[Instrument]:
        """Take in what the venue lists. Returns the wanted ones that are new or have changed, to be published."""
        told = []
        for each in listed:
            if each.symbol not in self._statuses:
                continue
            status = self._statuses[each.symbol]
            made = each if status is None else msgspec.structs.replace(each, status=status)
            before = self._known.get(each.symbol)
            self._known[each.symbol] = made
            if before is None or any(getattr(before, name) != getattr(made, name) for name in FIELDS):
                self.changes += before is not None
                told.append(made)
        self.begin(now)
        return told

    def begin(self, now: float) -> None:
        """Begin to publish again, if anything is known and it hasn't begun yet."""
        if self._known and self.next_due == inf:
            self._counted_at, self.next_due = now, now + STEP

    def note_status(self, symbol: str, status: str, ts_event: int, ts_recv: int) -> Instrument | None:
        """A ticker tells this trading status. Returns the instrument, to be published, when its status is another now.
        This is called for each ticker."""
        if self._statuses.get(symbol, status) == status:
            return None
        self._statuses[symbol] = status
        before = self._known.get(symbol)
        if before is None or before.status == status:
            return None
        self.changes += 1
        changed = msgspec.structs.replace(before, status=status, ts_event=ts_event, ts_recv=ts_recv)
        self._known[symbol] = changed
        return changed

    def note(self, event: Instrument) -> None:
        """The venue's streams say this of an instrument, and it is published already. What a field of it leaves open
        stays as it is known."""
        before = self._known.get(event.symbol)
        if event.symbol not in self._statuses:
            return
        if event.status is not None:
            self._statuses[event.symbol] = event.status
        if before is not None:
            said = {name: value for name in FIELDS if (value := getattr(event, name)) is not None}
            event = msgspec.structs.replace(before, ts_event=event.ts_event, ts_recv=event.ts_recv, **said)
            self.changes += any(getattr(before, name) != getattr(event, name) for name in FIELDS)
        self._known[event.symbol] = event

    def due(self, now: float) -> list[Instrument]:
        """The instruments whose turn it is to be published again: as many as the time since the last call allows."""
        if now < self.next_due or not self._known:
            return []
        rate = min(len(self._known) / AGAIN_EVERY, MOST_A_SECOND)
        # After a standstill nothing is made up for: a round is only late by it.
        self._credit += rate * (min(now, self.next_due + STEP) - self._counted_at)
        self._counted_at = now
        self.next_due = now + max(STEP, (1.0 - self._credit % 1.0) / rate)
        found = []
        while self._credit >= 1.0:
            self._credit -= 1.0
            if not self._turn:
                self._turn = list(reversed(self._known))
            each = self._known.get(self._turn.pop())
            found += [] if each is None else [each]
        return found
