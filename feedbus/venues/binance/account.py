"""The account of Binance spot: there is none to log into, so it holds the channels and the rules for symbols. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.venues.binance.channels import KINDS, PERIODS, chosen, symbol_problem, url_problem
from feedbus.venues.binance.options import BinanceOptions
from feedbus.venues.binance.payloads import VENUE, Revisions
from feedbus.venues.binance.session import MAX_STREAMS, Session
from feedbus.venues.binance.time_units import unit_problem, with_microseconds
from feedbus.venues.protocol import Limits, OpenAccount, Rate, Subscription, check_credentials


class Account(OpenAccount):
    """Channels, and the rules for symbols, shared by all connections. There are no credentials.

    The venue allows 300 attempts to connect in five minutes from one IP address, and 1024 streams on a connection.
    Source: web-socket-streams.md of https://github.com/binance/binance-spot-api-docs.
    """

    Options: ClassVar[type[msgspec.Struct]] = BinanceOptions
    venue = VENUE
    services: Mapping[str, str] = {"rest": "https://api.binance.com"}
    limits = Limits(subscriptions=MAX_STREAMS, connects=Rate(300, 300.0))
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
        self._revisions: dict[Subscription, Revisions] = {}

    def check_symbol(self, symbol: str) -> str | None:
        """Returns why this symbol can't be subscribed, or None when it can."""
        return symbol_problem(symbol)

    def check_url(self, url: str) -> str | None:
        """Returns why these channels can't be had at this URL, or None when they can."""
        reason = url_problem(url, self.channels)
        return unit_problem(url) if reason is None and self._options.time_unit == "us" else reason

    def connect_url(self, url: str) -> str:
        """The URL with the unit of time that the options ask for."""
        return with_microseconds(url) if self._options.time_unit == "us" else url

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self.channels, symbols, self._revisions)
