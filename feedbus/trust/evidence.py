"""What an account says of its data, by which losses can be noticed. Types alone. Pure.

Few venues number what they send without leaving numbers out. What else shows that something is missing, or old, differs
by venue and channel, and each venue's Account says it by its `evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from feedbus.trust.trade_spans import TradeSpans


class Evidence(msgspec.Struct, frozen=True):
    """What is true of the events of one channel, of one instrument each.

    trade_ids     by_one: the ids of its trades are whole numbers that grow by one, over all connections
                  grow: they are whole numbers that grow, at least within a trading day, and nothing is known of how
    spans         the first and last trade id of each of its aggregate trades, whose spans follow one another
    numbered      the `venue_sequence` of its quotes and books never falls on one subscription
    timed         the `ts_event` of its quotes, books, tickers and bars never falls on one subscription
    sums_grow     `trades` and `volume` of its tickers only grow within a trading day
    full_pictures its books are full pictures, each made anew by the venue: one that stays crossed is wrong
    tells_best    `bid` and `ask` of its tickers are the best prices of the instrument's book
    """

    trade_ids: Literal["by_one", "grow", ""] = ""
    spans: TradeSpans | None = None
    numbered: bool = False
    timed: bool = False
    sums_grow: bool = False
    full_pictures: bool = False
    tells_best: bool = False


class GivesEvidence(Protocol):
    """The part of an Account that checkers are made from; feedbus.venues.protocol describes it."""

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        """By channel; there is none of a channel that is missing."""

    @property
    def kinds(self) -> Mapping[str, Sequence[str]]:
        """The topic words of what a channel becomes, by channel."""

    @property
    def continuous_statuses(self) -> Collection[str]:
        """The values of `status` at which orders meet at once; none where they always do."""

    @property
    def trading_day(self) -> Callable[[int], int]:
        """On which trading day a time (ns since the epoch) lies."""
