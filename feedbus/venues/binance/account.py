"""The account of Binance spot: there is none to log into, so it holds the channels and the rules for symbols. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.trust.evidence import Evidence
from feedbus.trust.phases import Phase
from feedbus.trust.trade_spans import TradeSpans
from feedbus.venues.binance.channels import CHANGES, EVIDENCE, KINDS, PERIODS, chosen, symbol_problem, url_problem
from feedbus.venues.binance.depth import weight_of
from feedbus.venues.binance.kept_books import AuditPace
from feedbus.venues.binance.listing import BinanceListing, board_problem, pattern_of_pairs_problem
from feedbus.venues.binance.options import USUAL_LEVELS, BinanceOptions
from feedbus.venues.binance.payloads import VENUE, Revisions
from feedbus.venues.binance.session import MAX_STREAMS, Session
from feedbus.venues.binance.time_units import unit_problem, with_microseconds
from feedbus.venues.listings import Selection
from feedbus.venues.protocol import Fetch, Limits, OpenAccount, Rate, RestLimit, Subscription, check_credentials

SYMBOL_STATUSES: Mapping[str, Phase] = {
    "TRADING": "trading",
    "END_OF_DAY": "closed",
    **dict.fromkeys(("HALT", "BREAK", "CANCEL_ONLY"), "halted"),
}
"""What the values of `status` in exchangeInfo mean. No stream brings them, so that what is known of a pair's halt is as
old as the last list. Source: enums.md of binance-spot-api-docs."""

REST = RestLimit(6000, 60.0, "x-mbx-used-weight-1m")
"""The venue counts the weight of requests by minute and IP address. Source: rest-api.md of binance-spot-api-docs."""

MESSAGES = Rate(5, 1.0)
"""What a connection may send, pings and pongs included. Source: web-socket-streams.md of the same."""


class Account(OpenAccount):
    """Channels, and the rules for symbols, shared by all connections. There are no credentials.

    The venue allows 300 attempts to connect in five minutes from one IP address, and on a connection 1024 streams, and
    5 messages a second.
    Source: web-socket-streams.md of https://github.com/binance/binance-spot-api-docs.
    """

    Options: ClassVar[type[msgspec.Struct]] = BinanceOptions
    venue = VENUE
    services: Mapping[str, str] = {"rest": "https://api.binance.com"}
    limits = Limits(subscriptions=MAX_STREAMS, connects=Rate(300, 300.0), rest=REST, messages=MESSAGES)
    phases: Mapping[str, Phase] = SYMBOL_STATUSES
    kinds: Mapping[str, Sequence[str]] = KINDS
    bar_periods: Mapping[str, int] = PERIODS
    evidence: Mapping[str, Evidence]
    units: Mapping[str, str] = {"trades": "base units", "ticker": "base units"}

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        options: msgspec.Struct | None = None,
    ) -> None:
        check_credentials(credentials, [])
        self._options = options if isinstance(options, BinanceOptions) else BinanceOptions()
        self.channels = chosen(channels)
        words = {word for words in KINDS.values() for word in words}
        self.time_resolution_ns: Mapping[str, int] = (
            dict.fromkeys(words, 1000) if self._options.time_unit == "us" else {}
        )
        self._priority = {symbol: place for place, symbol in enumerate(self._options.snapshot_priority)}
        self._audits = AuditPace(REST)
        self.turnover: dict[str, float] = {}
        """By symbol: the turnover of the last 24 hours in USDT, as far as the venue's list has told it."""
        self._revisions: dict[Subscription, Revisions] = {}
        self._spans = TradeSpans()
        self.evidence = {**EVIDENCE, "aggTrade": Evidence(spans=self._spans)}

    def check_symbol(self, symbol: str) -> str | None:
        """Returns why this symbol can't be subscribed, or None when it can."""
        return symbol_problem(symbol)

    @staticmethod
    def check_board(board: str) -> str | None:
        """Why the pairs of this board can't be listed: there are no boards."""
        return board_problem(board)

    @staticmethod
    def check_pattern(pattern: str) -> str | None:
        """Why the pairs that match this pattern can't be listed, or None."""
        return pattern_of_pairs_problem(pattern)

    @staticmethod
    def check_selection(selection: Selection) -> str | None:  # noqa: ARG004 - the Protocol's signature
        """Every selection can be listed, since all pairs are."""
        return None

    def listing(self, selection: Selection) -> BinanceListing:
        """A new question for all pairs that are traded."""
        wanted = selection.top is not None or self._keeps_books()
        return BinanceListing(turnover=wanted, learned=self.turnover)

    def listing_of(self, symbols: Sequence[str]) -> BinanceListing:
        """A new question for these pairs."""
        return BinanceListing(symbols, turnover=self._keeps_books(), learned=self.turnover)

    def _keeps_books(self) -> bool:
        """Whether books are kept from snapshots, which go out by turnover."""
        return any(channel in CHANGES for channel in self.channels)

    @property
    def heaviest(self) -> int:
        """The weight of the heaviest snapshot that these channels need; 0 when they need none."""
        levels = self._options.snapshot_levels
        most = max(levels.values(), default=USUAL_LEVELS) if isinstance(levels, dict) else levels
        return weight_of(most) if self._keeps_books() else 0

    def check_url(self, url: str) -> str | None:
        """Returns why these channels can't be had at this URL, or None when they can."""
        reason = url_problem(url, self.channels)
        return unit_problem(url) if reason is None and self._options.time_unit == "us" else reason

    def connect_url(self, url: str) -> str:
        """The URL with the unit of time that the options ask for."""
        return with_microseconds(url) if self._options.time_unit == "us" else url

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self.channels, symbols, self._revisions, self._options, self._audits, self._spans)

    def rank(self, fetch: Fetch) -> tuple[float, ...]:
        """Snapshots go out in the configured order, and then by turnover."""
        return (self._priority.get(fetch.about, len(self._priority)), -self.turnover.get(fetch.about, 0.0))
