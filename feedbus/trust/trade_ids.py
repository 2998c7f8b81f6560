"""Whether trades are missing, or come again, by their ids. Pure.

Where ids grow by one, a hole of k is a loss of k trades, whether it opens on a connection or between two. A trade that
was missing and comes after all is published, and told. An id that was passed already is a replay and is refused, unless
its event is newer than the last one: then the venue numbers anew.

Where ids only grow, a hole means nothing. A smaller id between those of late that came none of them is no replay: a
trade that came out of order. How a venue numbers is said by its Account (`Evidence`).
"""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Callable
from typing import Protocol

from feedbus.schema.events import Trade
from feedbus.trust.findings import Finding, FoundState, LossCounts
from feedbus.trust.replays import ReplayRow
from feedbus.trust.trade_spans import Span

MOST_LOST = 1_000_000
"""A larger hole is no loss that anybody could count: the venue numbers anew."""

HOLES_KEPT = 16
"""How many of the last holes are known, in which trades may come late."""

IDS_KEPT = 64
"""How many of the last ids are known where they only grow."""


class TradeChecker(Protocol):
    """The checker of the trades of one instrument."""

    def check(self, event: Trade, now: float) -> Finding | None:
        """The next trade (`now` in seconds). None: it is the next one, and nothing is missing before it."""

    def reset(self) -> None:
        """They have been subscribed anew, or their connection was made anew."""


class _Numbered:
    """What trades whose numbers follow one another have in common. `_next` is the number that has to come, None while
    it isn't known."""

    __slots__ = ("_counts", "_holes", "_next", "_resumed_at", "_row", "_time")

    def __init__(self, counts: LossCounts) -> None:
        self._counts = counts
        self._next: int | None = None
        self._time = 0  # the ts_event of the last one
        self._resumed_at: int | None = None  # what `_next` was when they were subscribed anew
        self._row = ReplayRow()
        self._holes: deque[tuple[int, int]] = deque(maxlen=HOLES_KEPT)  # (first, last) number of each

    def reset(self) -> None:
        """They have been subscribed anew. What is missing since the last one is known by the next."""
        self._resumed_at = self._next

    def _odd(self, first: int, last: int, time: int, now: float) -> Finding | None:
        """A trade, or a span of them, that isn't the next one."""
        following = self._next
        if following is None:
            self._go_on(last, time)
            return None
        if first > following:
            return self._hole(following, first, last, time)
        if last >= following:  # a span that begins with what was published already, and ends with what wasn't
            self._go_on(last, time)
            return None
        if self._fills_hole(first, last):
            self._counts.trades_late += last - first + 1
            return Finding("", "", f"trade {_numbers(first, last)}, which was missing, came after all")
        return self._passed(following, first, last, time, now)

    def _passed(self, following: int, first: int, last: int, time: int, now: float) -> Finding:
        """A number that was passed already."""
        if time > self._time > 0:
            self._counts.gone_back += 1
            self._holes.clear()
            self._go_on(last, time)
            return Finding("gapped", "hole", f"after trade {following - 1} a newer one has the number {first}")
        self._counts.replays += 1
        text = f"trade {_numbers(first, last)} came again after {following - 1}"
        if not self._row.too_long(following, now):
            return Finding("", "", text, refuse=True)
        self._counts.gone_back += 1
        self._holes.clear()
        self._next = self._resumed_at = None
        return Finding("gapped", "hole", f"{text}, as all do of late: the venue numbers anew", refuse=True)

    def _hole(self, following: int, first: int, last: int, time: int) -> Finding:
        away = self._resumed_at == following  # none came since
        state: FoundState = "resyncing" if away else "gapped"
        when = " while the connection was away" if away else ""
        self._go_on(last, time)
        lost = first - following
        if lost > MOST_LOST:
            self._counts.gone_back += 1
            self._holes.clear()
            return Finding(state, "hole", f"trade {first} came after {following - 1}{when}: the venue numbers anew")
        self._counts.holes += 1
        self._counts.trades_lost += lost
        self._holes.append((following, first - 1))
        text = f"{lost} trade{'s' if lost > 1 else ''} missed{when}: {_numbers(following, first - 1)}"
        return Finding(state, "hole", text, lost)

    def _go_on(self, last: int, time: int) -> None:
        self._next = last + 1
        self._time = time
        self._resumed_at = None

    def _fills_hole(self, first: int, last: int) -> bool:
        """Whether these were missing. They aren't any more."""
        for place, (begin, end) in enumerate(self._holes):
            if begin <= first and last <= end:
                del self._holes[place]
                if begin < first:
                    self._holes.append((begin, first - 1))
                if last < end:
                    self._holes.append((last + 1, end))
                return True
        return False


class TradesByOne(_Numbered):
    """Trades whose ids grow by one."""

    __slots__ = ()

    def check(self, event: Trade, now: float) -> Finding | None:
        """See TradeChecker."""
        number = event.trade_id
        if number == self._next:
            self._next = number + 1  # type: ignore[operator]  # it equals a whole number
            self._time = event.ts_event
            return None
        if type(number) is not int:
            return None
        return self._odd(number, number, event.ts_event, now)


class AggregateTrades(_Numbered):
    """Aggregate trades, each of a span of trades, whose ids grow by one. `spans` is where the reader puts them."""

    __slots__ = ("_aggregate", "_spans")

    def __init__(self, counts: LossCounts, spans: deque[Span]) -> None:
        super().__init__(counts)
        self._spans = spans
        self._aggregate = -1  # the id of the last one

    def check(self, event: Trade, now: float) -> Finding | None:
        """See TradeChecker."""
        aggregate, spans = event.trade_id, self._spans
        while spans:
            number, first, last = spans.popleft()
            if number != aggregate:
                continue
            self._aggregate = number
            if first == self._next and last >= first:
                self._next = last + 1
                self._time = event.ts_event
                return None
            if 0 <= first <= last:
                return self._odd(first, last, event.ts_event, now)
            break
        self._next = self._resumed_at = None  # its span isn't known, so nothing is known of what follows it
        return None


class TradesThatGrow:
    """Trades whose ids grow within a trading day, and nothing is known of how."""

    __slots__ = ("_counts", "_ids", "_last", "_row", "_time", "_trading_day")

    def __init__(self, counts: LossCounts, trading_day: Callable[[int], int]) -> None:
        self._counts = counts
        self._trading_day = trading_day
        self._last = -1
        self._time = 0
        self._ids: deque[int] = deque(maxlen=IDS_KEPT)  # the greatest ids that came, ascending
        self._row = ReplayRow()

    def reset(self) -> None:
        """They have been subscribed anew, which changes nothing: what comes again is known by its id."""

    def check(self, event: Trade, now: float) -> Finding | None:
        """See TradeChecker."""
        number = event.trade_id
        if type(number) is not int:
            return None
        if number > self._last:
            self._last = number
            self._time = event.ts_event
            self._ids.append(number)
            return None
        return self._odd(number, event.ts_event, now)

    def _odd(self, number: int, time: int, now: float) -> Finding | None:
        last, ids = self._last, self._ids
        if number not in ids:
            if ids and number > ids[0]:
                if len(ids) == IDS_KEPT:
                    ids.popleft()
                ids.insert(bisect(ids, number), number)
                self._counts.trades_late += 1
                return Finding("", "", f"trade {number} came after {last}")
            if time > self._time > 0:
                same_day = self._trading_day(time) == self._trading_day(self._time)
                self._begin_anew(number, time)
                if not same_day:
                    return None
                self._counts.gone_back += 1
                return Finding("gapped", "hole", f"after trade {last} a newer one has the number {number}")
        self._counts.replays += 1
        text = f"trade {number} came again after {last}"
        if not self._row.too_long(last, now):
            return Finding("", "", text, refuse=True)
        self._counts.gone_back += 1
        self._last = -1
        ids.clear()
        return Finding("gapped", "hole", f"{text}, as all do of late: the venue numbers anew", refuse=True)

    def _begin_anew(self, number: int, time: int) -> None:
        self._last, self._time = number, time
        self._ids.clear()
        self._ids.append(number)


def _numbers(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
