"""The ALOR account: credentials, options, channels, and the access token that all connections share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from feedbus.errors import ConfigError, VenueError
from feedbus.venues import trading_days
from feedbus.venues.alor.bars import PERIODS
from feedbus.venues.alor.listing import (
    AlorInstrumentList,
    board_problem,
    boards_of,
    pattern_of_codes_problem,
    selection_problem,
)
from feedbus.venues.alor.payloads import VENUE
from feedbus.venues.alor.requests import KINDS, LEAST_FREQUENCY, Known, Options, chosen
from feedbus.venues.alor.session import Session
from feedbus.venues.alor.symbols import symbol_problem
from feedbus.venues.alor.tokens import AccessTokens
from feedbus.venues.listings import Selection
from feedbus.venues.protocol import AccountEffect, Fetch, FetchResponse, Limits, check_credentials

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the key, not the secret


class Account:
    """Credentials, options, channels and the access token, shared by all connections.

    The venue allows 10 connections at a time and 5000 subscriptions on each, and says nothing of how often one may
    connect. Source: alor.dev (usage, limits and recommendations).
    """

    Options: ClassVar[type[msgspec.Struct]] = Options
    venue = VENUE
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {"rest": "https://api.alor.ru", "auth": "https://oauth.alor.ru"}
    limits = Limits(connections=10, subscriptions=5000)
    closed_statuses: Collection[str] = frozenset()  # no ticker tells the status
    public: Collection[str] = frozenset()
    kinds: Mapping[str, Sequence[str]] = KINDS
    bar_periods: Mapping[str, int] = PERIODS
    units: Mapping[str, str] = {"trades": "lots"}  # the venue doesn't say what it counts the day's volume in

    def __init__(
        self, credentials: Mapping[str, str], channels: Sequence[str], options: msgspec.Struct | None = None
    ) -> None:
        check_credentials(credentials, [REFRESH_TOKEN])
        secret = credentials.get(REFRESH_TOKEN)
        if secret is None:
            raise ConfigError(f"credentials: {REFRESH_TOKEN} is missing")
        self.channels = chosen(channels)
        self._options = _checked(Options() if options is None else options)
        self._tokens = AccessTokens(secret)
        self._known = Known()

    @staticmethod
    def trading_day(time: int) -> int:
        """The trading day of the Moscow Exchange."""
        return trading_days.moscow(time)

    def clean(self, text: str) -> str:
        """Without the refresh token and whatever looks like an access token."""
        return self._tokens.clean(text)

    def check_symbol(self, symbol: str) -> str | None:
        """Returns why this symbol can't be subscribed, or None when it can."""
        return symbol_problem(symbol)

    @staticmethod
    def check_board(board: str) -> str | None:
        """Returns why the instruments of this board can't be listed, or None when they can."""
        return board_problem(board)

    @staticmethod
    def check_pattern(pattern: str) -> str | None:
        """Returns why the instruments that match this pattern can't be listed, or None when they can."""
        return pattern_of_codes_problem(pattern)

    @staticmethod
    def check_selection(selection: Selection) -> str | None:
        """Returns why this can't be listed, or None when it can."""
        return selection_problem(selection)

    def listing(self, selection: Selection) -> AlorInstrumentList:
        """A new question for what a selection is made from."""
        return AlorInstrumentList(boards_of(selection), self._options.exchange, known=self._known.listed)

    def listing_of(self, symbols: Sequence[str]) -> AlorInstrumentList:
        """A new question for the instruments of these symbols."""
        return AlorInstrumentList((), self._options.exchange, symbols=symbols, known=self._known.listed)

    def check_url(self, url: str) -> str | None:
        """Returns why these channels can't be had at this URL, or None when they can."""
        path = urlsplit(url).path.rstrip("/")
        return "the path /cws takes orders, and sends no market data: use /ws" if path == "/cws" else None

    def rank(self, fetch: Fetch) -> tuple[float, ...]:  # noqa: ARG002 - none is before another
        """They go out as they came."""
        return ()

    def connect_url(self, url: str) -> str:
        """The configured URL itself."""
        return url

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self._tokens, self._options, self.channels, symbols, self._known)

    def start(self, now: float) -> Sequence[AccountEffect]:
        """Get an access token."""
        return self._tokens.start(now)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Sequence[AccountEffect]:
        """The access token came, or didn't."""
        return self._tokens.fetched(fetch, answer, now)

    def tick(self, now: float) -> Sequence[AccountEffect]:
        """Renew the token, when it is time to."""
        return self._tokens.tick(now)


def _checked(options: msgspec.Struct) -> Options:
    """Options that contradict one another are a ConfigError."""
    if not isinstance(options, Options):
        raise TypeError(f"not the Options of ALOR: {type(options).__name__}")
    least = LEAST_FREQUENCY[options.format]
    if options.frequency < least:
        raise ConfigError(f"options: frequency is {options.frequency} ms, under the {least} of format {options.format}")
    return options
