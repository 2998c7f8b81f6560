"""All budgets of one feed: what it may ask its venue in a time, and with whom it shares that. It knows no clock.

| budget | of what | who shares it |
|---|---|---|
| connects | attempts to connect | the feeds of this process at the venue's address |
| rest_weight | the weight of requests over HTTP | the feeds of this process at the address of `rest` |
| subscribes | requests to subscribe and to unsubscribe | the feeds of this process at the venue's address |
| messages | whatever is sent on a connection, pings and pongs included | nobody: each connection has its own |

Where neither the venue nor the configuration says anything, there is none but `connects`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feedbus.config import FeedConfig
from feedbus.feed.budgets import Budget, Hold
from feedbus.feed.neighbours import Neighbours
from feedbus.feed.weights import WeightTurns
from feedbus.venues.protocol import Limits
from feedbus.venues.turns import TurnCounts, Turns, message_bucket

CONNECT_APART = 0.05
"""Seconds between two attempts to connect, so that not all of them come at the same moment."""


class FeedBudgets:
    """The budgets of one feed. `by_name` are those that there are, with their totals."""

    def __init__(
        self, config: FeedConfig, limits: Limits, services: Mapping[str, str], neighbours: Neighbours, hold: Hold
    ) -> None:
        """`services` has the address of `rest`; `hold` is the feed's."""
        own = config.budgets
        turnstile = neighbours.turnstile(config, own.connects or limits.connects, hold, CONNECT_APART)
        self.connects = Budget("connect", turnstile, hold)
        self.by_name: dict[str, TurnCounts | WeightTurns] = {"connects": self.connects}
        self.weights: WeightTurns | None = None
        if limits.rest is not None:
            self.weights = WeightTurns(neighbours.budget(config, services["rest"], limits.rest, hold))
            self.by_name["rest_weight"] = self.weights
        self._line = neighbours.line(config, own.subscribes or limits.subscribes)
        self._line_counts = TurnCounts()
        if self._line is not None:
            self.by_name["subscribes"] = self._line_counts
        self._messages = own.messages or limits.messages
        self._message_counts = TurnCounts()
        if self._messages is not None:
            self.by_name["messages"] = self._message_counts

    def turns(self, wake: Callable[[], object]) -> Turns:
        """The turns to send of a new connection. `wake` is called when it may ask for one before its time."""
        allowed = self._messages
        return Turns(
            messages=None if allowed is None else message_bucket(allowed.count, allowed.per_s),
            line=self._line,
            wake=wake,
            message_counts=self._message_counts,
            line_counts=self._line_counts,
        )
