"""ALOR Broker OpenAPI v2: JSON over WebSocket at wss://api.alor.ru/ws. Pure.

| channel   | kinds published | what the venue sends                                                                   |
|-----------|-----------------|----------------------------------------------------------------------------------------|
| orderbook | book            | the full book, `depth` levels a side, conflated to one in `frequency` ms; it bears no  |
|           |                 | number, so that a lost one can't be told. An old and empty one is normal off hours     |
| alltrades | trade           | every trade, one a frame, nothing conflated; what happened while we were away is not   |
|           |                 | sent. `side` is taken for the aggressor's: the venue doesn't say whose it is           |
| quotes    | quote, ticker   | the best prices and the day's statistics, conflated to one in `frequency` ms; a frame  |
|           |                 | is complete, and becomes one of each kind                                              |

Units: sizes are lots. A ticker's `volume` is the venue's for the day, whose unit it doesn't say; `previous_close` comes
in the format Simple alone, and there is no turnover, count of trades or status. Times are milliseconds, and for trades
in Simple 100 ns; quotes without the time of their book have none. Symbols: see alor_symbols.py.
Without `channels` it is all three.

A refresh token (`refresh_token` of the credentials) is worth an access token, which every message to the venue carries:
alor_token.py. The conversation is alor_session.py's. Limits: 10 connections, 5000 subscriptions on each; more than 5000
messages that we haven't read make the venue cut the connection. Source: alor.dev and ALOR's AsyncAPI 3.1 specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from feedbus.errors import ConfigError, VenueError
from feedbus.venues.alor.payloads import VENUE
from feedbus.venues.alor.requests import CHANNELS, LEAST_FREQUENCY, Options
from feedbus.venues.alor.session import Session
from feedbus.venues.alor.symbols import why_not
from feedbus.venues.alor.tokens import AccessTokens
from feedbus.venues.protocol import AccountEffect, Fetch, FetchResponse, Limits

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the key, not the secret


class Account:
    """Credentials, options, channels and the access token, shared by all connections."""

    Options: ClassVar[type[msgspec.Struct]] = Options
    venue = VENUE
    subprotocols: Sequence[str] = ()
    services: Mapping[str, str] = {"rest": "https://api.alor.ru", "auth": "https://oauth.alor.ru"}
    limits = Limits(connections=10, subscriptions=5000)

    def __init__(
        self, credentials: Mapping[str, str], channels: Sequence[str], options: msgspec.Struct | None = None
    ) -> None:
        for name in credentials:
            if name != REFRESH_TOKEN:
                raise ConfigError(f"credentials: unknown key {name!r}; there are: {REFRESH_TOKEN}")
        secret = credentials.get(REFRESH_TOKEN)
        if secret is None:
            raise ConfigError(f"credentials: {REFRESH_TOKEN} is missing")
        if not secret or not secret.isprintable():
            raise ConfigError(f"credentials: {REFRESH_TOKEN} is empty or holds a control character")
        for channel in channels:
            if channel not in CHANNELS:
                raise ConfigError(f"channels: unknown channel {channel!r}; there are: {', '.join(CHANNELS)}")
        self.channels = tuple(dict.fromkeys(channels)) or CHANNELS
        self._options = _checked(Options() if options is None else options)
        self._tokens = AccessTokens(secret)

    def clean(self, text: str) -> str:
        """Without the refresh token and whatever looks like an access token."""
        return self._tokens.clean(text)

    def check_symbol(self, symbol: str) -> str | None:
        """Why this symbol can't be subscribed, or None."""
        return why_not(symbol)

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self._tokens, self._options, self.channels, symbols)

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
