"""The account of Binance spot: there is none to log into, so it holds the channels and the rules for symbols. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.venues.binance.channels import CHANGES, KINDS, PERIODS, chosen, symbol_problem, url_problem
from feedbus.venues.binance.kept_books import AuditPace
from feedbus.venues.binance.listing import BinanceListing, board_problem, pattern_of_pairs_problem
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.binance.payloads import VENUE, Revisions
from feedbus.venues.binance.session import MAX_STREAMS, Session
from feedbus.venues.binance.time_units import unit_problem, with_microseconds
from feedbus.venues.listings import Selection
from feedbus.venues.protocol import Fetch, Limits, OpenAccount, Rate, RestLimit, Subscription, check_credentials

REST = RestLimit(6000, 60.0, "x-mbx-used-weight-1m")
"""The venue counts the weight of requests by minute and IP address. Source: rest-api.md of binance-spot-api-docs."""


class Account(OpenAccount):
    """Channels, and the rules for symbols, shared by all connections. There are no credentials.

    The venue allows 300 attempts to connect in five minutes from one IP address, and 1024 streams on a connection.
    Source: web-socket-streams.md of https://github.com/binance/binance-spot-api-docs.
    """

    Options: ClassVar[type[msgspec.Struct]] = BinanceOptions
    venue = VENUE
    services: Mapping[str, str] = {"rest": "https://api.binance.com"}
    limits = Limits(subscriptions=MAX_STREAMS, connects=Rate(300, 300.0), rest=REST)
    kinds: Mapping[str, Sequence[str]] = KINDS
    bar_periods: Mapping[str, int] = PERIODS
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
        self._priority = {symbol: place for place, symbol in enumerate(self._options.snapshot_priority)}
        self._audits = AuditPace(REST)
        self.turnover: dict[str, float] = {}
        """By symbol: the turnover of the last 24 hours in USDT, as far as the venue's list has told it."""
        self._revisions: dict[Subscription, Revisions] = {}

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

    def check_url(self, url: str) -> str | None:
        """Returns why these channels can't be had at this URL, or None when they can."""
        reason = url_problem(url, self.channels)
        return unit_problem(url) if reason is None and self._options.time_unit == "us" else reason

    def connect_url(self, url: str) -> str:
        """The URL with the unit of time that the options ask for."""
        return with_microseconds(url) if self._options.time_unit == "us" else url

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self.channels, symbols, self._revisions, self._options, self._audits)

    def rank(self, fetch: Fetch) -> tuple[float, ...]:
        """Snapshots go out in the configured order, and then by turnover."""
        return (self._priority.get(fetch.about, len(self._priority)), -self.turnover.get(fetch.about, 0.0))
