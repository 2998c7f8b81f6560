"""The weight of requests over HTTP that a venue allows in a time, as Binance counts it. It knows no clock.

Each request has a weight, and a venue allows so much of it to one IP address in each of its own periods. When they
begin we don't know, because its clock isn't ours. So of our own requests, no time of that length may have more. A
request that is under way counts, and so does one that ended, for a whole period from its end: the venue has counted it
before that, whether it failed or not.

Each answer says what has been used in the venue's present period by everybody at our address, before this process
began as well. To that is added what the venue may have counted since: what is under way, and what ended without such an
answer. Answers come out of order. Within one period the highest says most; a lower one that is of a request that began
after the higher one was answered shows that a new period has begun.

What nobody has told us lately, others may have used. Then one request goes out alone, and the others wait for what its
answer says. A small reserve is kept for what others use between two answers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil, inf

from feedbus.venues.protocol import RestLimit
from feedbus.venues.turns import WORTH_TELLING

RESERVE = 0.05
"""The share of the budget that we never use."""

STALE = 5.0
"""Seconds after the last answer when it no longer says what the others at our address have used."""

LOOK_AGAIN = WORTH_TELLING / 10
"""Seconds after which is looked again when it isn't known how long to wait."""


@dataclass(slots=True)
class _Told:
    """What one answer has told."""

    used: int
    until: float  # when the period of which it speaks is over at the latest
    at: float
    since: int  # the weight of what has ended without telling, and may not be in `used`


class WeightBudget:
    """How much weight may be used now, by all who share this. Every time is in seconds of one monotonic clock."""

    def __init__(self, limit: RestLimit, weight: int | None = None, per_s: float | None = None) -> None:
        """`limit` is what the venue allows an address. At most `weight` in any `per_s` seconds may be used by us, the
        same as the venue allows where they are None."""
        self._limit = limit
        self._weight, self._per_s = weight or limit.weight, per_s or limit.per_s
        self._spread()
        self._under_way = 0
        self._ended: deque[tuple[float, int, bool]] = deque()  # when, of which weight, and whether without telling
        self._ended_weight = 0
        self._told: deque[_Told] = deque()  # as they came, and each lower than the one before
        self._over_at = -inf  # when the present period is over, by the last refusal that said so
        self._answered_at = -inf  # the last answer that told, or showed that the venue tells nothing

    @property
    def header(self) -> str:
        """The header, in lower case, in which answers say what was used; "" when they don't."""
        return self._limit.used_header

    def restrict(self, weight: int, per_s: float) -> None:
        """One of those who share this wants that we use no more: the smallest limit counts."""
        if weight / per_s < self._weight / self._per_s:
            self._weight, self._per_s = weight, per_s
            self._spread()

    def _spread(self) -> None:
        # Who allows us more than the venue usually does knows that the venue does, too.
        address = max(self._limit.weight, ceil(self._weight / self._per_s * self._limit.per_s))
        self._most, self._most_told = (each - int(each * RESERVE) for each in (self._weight, address))

    def used(self, now: float) -> int:
        """The weight that counts now, ours and, as far as is known, that of others."""
        self._forget(now)
        ours = self._under_way + self._ended_weight
        return max([ours, *(told.used + told.since + self._under_way for told in self._told)])

    def wait_for(self, weight: int, now: float) -> float:
        """The seconds until a request of this weight may be made, 0 when it may be made now. A weight that is more than
        all of the budget needs all of it."""
        self._forget(now)
        if self._under_way and self.header and now > self._answered_at + STALE:
            return LOOK_AGAIN
        room, room_told = (most - min(weight, most) for most in (self._most, self._most_told))
        free_at = now
        left = self._under_way + self._ended_weight
        is_free = left <= room
        for when, part, _ in self._ended:
            if left <= room:
                break
            left -= part
            free_at = max(free_at, when + self._per_s)
        for told in self._told:
            if told.used + told.since + self._under_way > room_told:
                is_free = False
                free_at = max(free_at, told.until)
        # What is under way will have been answered by then, or not: a time later it is known.
        return 0.0 if is_free else max(free_at - now, LOOK_AGAIN)

    def begin(self, weight: int) -> None:
        """A request of this weight is made now."""
        self._under_way += weight

    def end(
        self,
        weight: int,
        told: int | None,
        *,
        begun: float,
        now: float,
        is_good: bool = False,
        over_in: float | None = None,
    ) -> None:
        """A request that was made at `begun` was answered, or failed. `told` is what the venue says that was used in
        its present period. `is_good` is whether it was answered as wanted: a venue that doesn't tell even then never
        does. `over_in` are the seconds after which we may come again, when the venue refused it as too much."""
        self._forget(now)
        self._under_way -= weight
        self._ended.append((now, weight, told is None))
        self._ended_weight += weight
        if told is None:
            for each in self._told:
                each.since += weight
        else:
            self._note(told, begun, now)
        if over_in is not None:
            self._over_at = now + over_in
        if self._over_at > now:
            for each in self._told:
                each.until = min(each.until, self._over_at)
            self._answered_at = -inf  # then one alone finds out whether it is true
        elif told is not None or is_good:
            self._answered_at = now

    def _note(self, used: int, begun: float, now: float) -> None:
        # If this were of the same period as one that was answered before it began, it would tell more.
        while self._told and self._told[0].at < begun and used < self._told[0].used:
            self._told.popleft()
        while self._told and self._told[-1].used <= used:
            self._told.pop()
        since = 0
        for when, part, is_untold in reversed(self._ended):
            if when <= begun:
                break
            since += part * is_untold
        self._told.append(_Told(used, now + self._limit.per_s, now, since))

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0][0] <= now - self._per_s:
            self._ended_weight -= self._ended.popleft()[1]
        while self._told and self._told[0].until <= now:
            self._told.popleft()


class WeightTurns:
    """One feed's requests within a WeightBudget, which may be shared.

    Its counters are totals: `taken` weight, `waits` of at least WORTH_TELLING seconds for it, and the `waited` seconds.
    """

    def __init__(self, budget: WeightBudget) -> None:
        self.budget = budget
        self.taken = 0
        self.waits = 0
        self.waited = 0.0
        self.waiting = 0  # how many requests wait; whoever keeps them sets it

    def begin(self, weight: int, asked_at: float, now: float) -> None:
        """A request of this weight, which was wanted since `asked_at`, is made now."""
        self.budget.begin(weight)
        self.taken += weight
        self.waited += now - asked_at
        self.waits += now - asked_at >= WORTH_TELLING
