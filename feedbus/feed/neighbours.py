"""What the feeds of one process share: its clock, and the budgets where a venue can't tell them apart.

It can't when they ask the same host by the same way.
Binance counts the weight of requests, and attempts to connect, by IP address, and bans addresses. So these feeds share
one WeightBudget, one Turnstile for connects and one TurnLine for requests to subscribe, in each of which the smallest
of their own limits counts. A pause that the venue wants of one of them holds for all.
"""

from __future__ import annotations

from feedbus.config import FeedConfig
from feedbus.config.model import BudgetConfig
from feedbus.feed.budgets import Hold, Turnstile
from feedbus.feed.weights import WeightBudget
from feedbus.proxies import Proxy
from feedbus.runtime.wall_clock import WallClock
from feedbus.urls import Endpoint, endpoint
from feedbus.venues.protocol import Rate, RestLimit
from feedbus.venues.turns import RateBucket, TurnLine

_Address = tuple[Endpoint | None, Proxy | None]
_Door = tuple[str, str, Proxy | None]
"""Venue, host and proxy. The port doesn't matter: a venue may take connections at several."""


class Neighbours:
    """Knows which feeds are at one address. `clock` is the clock of the process."""

    def __init__(self, clock: WallClock | None = None) -> None:
        """Without a clock it makes one of the machine's own."""
        self.clock = clock or WallClock()
        self._budgets: dict[_Address, WeightBudget] = {}
        self._turnstiles: dict[_Door, Turnstile] = {}
        self._lines: dict[_Door, TurnLine] = {}
        self._holds: dict[_Address | _Door, list[Hold]] = {}

    def budget(self, config: FeedConfig, rest: str, limit: RestLimit, hold: Hold) -> WeightBudget:
        """The budget of a feed that has this Hold and asks at the base URL `rest`, where the venue has this limit."""
        address = endpoint(rest), config.proxies.to(rest)
        own = config.budgets.rest_weight
        weight, per_s = (limit.weight, limit.per_s) if own is None else (own.count, own.per_s)
        self._holds.setdefault(address, []).append(hold)
        budget = self._budgets.get(address)
        if budget is None:
            budget = self._budgets[address] = WeightBudget(limit, weight, per_s)
        budget.restrict(weight, per_s)
        return budget

    def turnstile(self, config: FeedConfig, rate: Rate | BudgetConfig, hold: Hold, apart: float) -> Turnstile:
        """What a feed that has this Hold goes through before each attempt to connect. It wants no more than this rate;
        two attempts are `apart` seconds from one another."""
        door = _door(config)
        self._holds.setdefault(door, []).append(hold)
        turnstile = self._turnstiles.setdefault(door, Turnstile(rate.count, rate.per_s, apart=apart))
        turnstile.bucket.restrict(rate.count, rate.per_s)
        return turnstile

    def line(self, config: FeedConfig, rate: Rate | BudgetConfig | None) -> TurnLine | None:
        """Where the connections of a feed wait that wants to subscribe no more often than this; None when neither it
        nor the venue limits that."""
        if rate is None:
            return None
        line = self._lines.setdefault(_door(config), TurnLine(RateBucket(rate.count, rate.per_s)))
        line.bucket.restrict(rate.count, rate.per_s)
        return line

    def hold(self, hold: Hold) -> None:
        """This Hold was made longer: so are those of the feeds at the same address."""
        for holds in self._holds.values():
            if hold in holds:
                for each in holds:
                    each.until = max(each.until, hold.until)


def _door(config: FeedConfig) -> _Door:
    host, _ = endpoint(config.url) or ("", 0)
    return config.venue, host, config.proxies.to(config.url)
