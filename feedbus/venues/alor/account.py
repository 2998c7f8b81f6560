"""The ALOR account: credentials, options, channels, and the access token that all connections share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from feedbus.errors import ConfigError, VenueError
from feedbus.trust.evidence import Evidence
from feedbus.trust.phases import Phase
from feedbus.venues import trading_days, trading_sessions
from feedbus.venues.alor.bars import PERIODS
from feedbus.venues.alor.listing import (
    AlorInstrumentList,
    board_problem,
    boards_of,
    pattern_of_codes_problem,
    selection_problem,
)
from feedbus.venues.alor.payloads import VENUE
from feedbus.venues.alor.requests import EVIDENCE, KINDS, LEAST_FREQUENCY, Known, Options, chosen
from feedbus.venues.alor.session import Session
from feedbus.venues.alor.symbols import parse_symbol, symbol_problem
from feedbus.venues.alor.tokens import AccessTokens
from feedbus.venues.boards import SHARES_AND_FUNDS
from feedbus.venues.listings import Selection
from feedbus.venues.protocol import AccountEffect, Fetch, FetchResponse, Limits, RestLimit, check_credentials
from feedbus.venues.trading_sessions import Calendar

TRADING_STATUSES: Mapping[str, Phase] = {
    "17": "trading",
    "18": "closed",
    "2": "halted",  # a break, which no calendar has
    # The periods of opening and closing, the auctions of both, a discrete one and one of large blocks, and trading at
    # the closing price.
    **dict.fromkeys(("118", "103", "119", "102", "107", "106", "120"), "auction"),
}
"""What the values of tradingStatus mean. Source: alor.dev (InstrumentsGetAndSubscribeV2)."""

LETTERS_OF_A_SHARE = 5

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the key, not the secret

REST = RestLimit(100, 1.0)
"""A user may make 100 requests a second, each of weight 1. We count them by the address of the service, as on other
venues, which is no more for each user. Requests for a token are few, and go elsewhere. Source: alor.dev (HTTP,
overview)."""


class Account:
    """Credentials, options, channels and the access token, shared by all connections.

    The venue allows 10 connections at a time and 5000 subscriptions on each, and says nothing of how often one may
    connect or subscribe. Source: alor.dev (usage, limits and recommendations).
    """

    Options: ClassVar[type[msgspec.Struct]] = Options
    venue = VENUE
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {"rest": "https://api.alor.ru", "auth": "https://oauth.alor.ru"}
    limits = Limits(connections=10, subscriptions=5000, rest=REST)
    closed_statuses: Collection[str] = frozenset()  # no ticker tells the status
    phases: Mapping[str, Phase] = TRADING_STATUSES
    public: Collection[str] = frozenset()
    continuous_statuses: Collection[str] = frozenset({"17"})  # of the channel instruments
    kinds: Mapping[str, Sequence[str]] = KINDS
    evidence: Mapping[str, Evidence] = EVIDENCE
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
        self.status_words = ("instrument",) if "instruments" in self.channels else ()
        self._options = _checked(Options() if options is None else options)
        # A ticker may have the time of the last price, which is in seconds.
        self.time_resolution_ns: Mapping[str, int] = {"ticker": 1_000_000_000}
        if self._options.format == "Simple":
            self.time_resolution_ns = {"ticker": 1_000_000_000, "trade": 100}
        self._tokens = AccessTokens(secret)
        self._known = Known()

    @staticmethod
    def trading_day(time: int) -> int:
        """The trading day of the Moscow Exchange."""
        return trading_days.moscow(time)

    def calendar(self, symbol: str) -> Calendar:
        """Those of the exchange. What is named without a board is taken for a share where it is written as one; the
        hours of the SPB Exchange aren't known."""
        exchange, code, board = parse_symbol(symbol, self._options.exchange)
        if exchange != "MOEX":
            return trading_sessions.unknown
        if board is None:
            is_share = code.isalpha() and code.isupper() and len(code) <= LETTERS_OF_A_SHARE
        else:
            is_share = board in SHARES_AND_FUNDS
        return trading_sessions.moscow_shares if is_share else trading_sessions.moscow_others

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
