"""The access token of one ALOR account: fetched with the refresh token, renewed in time, used by all connections. Pure.

    POST https://oauth.alor.ru/refresh {"token":"<refresh token>"}   ->   200 {"AccessToken":"<JWT>"}

A JWT is valid for 30 minutes, from `iat` to `exp` in its payload. Both are read without verifying the signature,
because they only decide when we renew it. The fair-use rules forbid fetching a token for each request. So one token
serves all connections: it is renewed after two thirds of its life, or when the venue refuses it, but never within
LEAST_BETWEEN seconds of the last request for one. While renewing fails, the old token is used until it expires. Source:
alor.dev (Authorize, fair use), OpenAPI specification.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from math import inf
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from feedbus.errors import RateLimited, VenueError
from feedbus.mask import HIDDEN, Mask
from feedbus.text import one_line
from feedbus.venues.protocol import AccountEffect, Fatal, Fetch, FetchResponse, Notice, Ready, WakeAt

USUAL_LIFE = 1800.0  # seconds, where the token doesn't say
LONGEST_LIFE = 30 * 86400.0
RENEW_AFTER = 2 / 3  # the part of a token's life after which it is renewed
LEAST_BETWEEN = 10.0  # seconds between two requests for a token
RETRY_FIRST = 2.0  # seconds until a failed request is made again; doubles
RETRY_CAP = 300.0
LONGEST_PAUSE = 3600.0  # seconds; the longest pause that the service can ask us to make
MAX_TOKEN = 16384

REFUSALS = (400, 401, 403)  # of /refresh: the refresh token is wrong, expired or revoked


class _Claims(msgspec.Struct):
    exp: float
    iat: float


class _TokenAnswer(msgspec.Struct):
    token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN, pattern=r"\A[!-~]+\Z")] = msgspec.field(
        name="AccessToken"
    )


_decode_claims = msgspec.json.Decoder(_Claims).decode
_decode_answer = msgspec.json.Decoder(_TokenAnswer).decode
_JWT = re.compile(r"eyJ[\w+/=-]*(?:\.[\w+/=-]*)*")  # every JSON object in base64 begins so
_ERRORS = (msgspec.DecodeError, ValueError, IndexError, RecursionError)


class Token(NamedTuple):
    """An access token, and its number: how many tokens this account has had. Its repr doesn't show the token."""

    text: str
    serial: int

    def __repr__(self) -> str:
        return f"Token({self.serial})"


class AccessTokens:
    """The token of an account. `granted` is True once the venue has accepted a token of this account since the
    start."""

    def __init__(self, refresh_token: str) -> None:
        self.granted = False
        self._refresh_token = refresh_token
        self._mask = Mask([refresh_token])
        self._fetch = Fetch("/refresh", "auth", "POST", msgspec.json.encode({"token": refresh_token}))
        self._token = Token("", 0)
        self._before = ""  # the token before, which the venue may still repeat in its messages
        self._dies_at = -inf
        self._refused = False
        self._begun = False  # a token came since the start
        self._asking = False
        self._asked_at = -inf
        self._due_at = inf
        self._failures = 0
        self._clock = 0  # nanoseconds since the epoch at which `now` was 0

    def start(self, now: float) -> Sequence[AccountEffect]:
        """Ask for a token, and forget the former one."""
        self.granted = self._begun = False
        self._dies_at = -inf
        self._failures = 0
        return self._ask(now)

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Sequence[AccountEffect]:
        """Take in the answer to our request. An answer to anything else is passed over."""
        if not self._asking or fetch != self._fetch:
            return ()
        self._asking = False
        if isinstance(answer, VenueError):
            asked = answer.retry_after if isinstance(answer, RateLimited) else None
            return self._failed(str(answer), now, float(asked or 0))
        if answer.status in REFUSALS:
            self._due_at = inf
            return (Fatal(f"the refresh token is refused (HTTP {answer.status}): wrong, expired or revoked"),)
        self._clock = answer.ts_recv - round(now * 1e9)
        if answer.status != 200:
            return self._failed(f"HTTP {answer.status}", now)
        try:
            text = _decode_answer(answer.body).token
        except _ERRORS as error:
            return self._failed(f"an answer without a token: {error}", now)
        return self._took(text)

    def tick(self, now: float) -> Sequence[AccountEffect]:
        """Ask when it is time to."""
        if self._asking or self._due_at == inf:
            return ()
        return self._ask(now) if now >= self._due_at else (WakeAt(self._due_at),)

    def current(self, now: float) -> Token | None:
        """Returns the token, or None while there is none, or only one that has expired or was refused."""
        return self._token if now < self._dies_at and not self._refused else None

    def time_ns(self, now: float) -> int:
        """Nanoseconds since the epoch, by our clock when it told that an answer had come."""
        return self._clock + round(now * 1e9)

    def refused(self, serial: int) -> bool:
        """The venue refused the token of this number. Returns True when it is the present token and this is new, so
        that `tick` has to be called."""
        if serial != self._token.serial or self._refused:
            return False
        self._refused = True
        if not self._failures:
            self._due_at = min(self._due_at, self._asked_at + LEAST_BETWEEN)
        return True

    def clean(self, text: str) -> str:
        """Foreign text on one line, without our secrets."""
        return clean(text, self._mask)

    def _ask(self, now: float) -> Sequence[AccountEffect]:
        self._asking = True
        self._asked_at = now
        self._due_at = inf
        return (self._fetch,)

    def _took(self, text: str) -> Sequence[AccountEffect]:
        life = life_of(text)
        self._before = self._token.text
        self._token = Token(text, self._token.serial + 1)
        self._mask = Mask((self._refresh_token, self._token.text, self._before))
        self._refused = False
        self._failures = 0
        self._dies_at = self._asked_at + life
        self._due_at = self._asked_at + max(RENEW_AFTER * life, LEAST_BETWEEN)
        first = not self._begun
        self._begun = True
        return (Ready(), WakeAt(self._due_at)) if first else (WakeAt(self._due_at),)

    def _failed(self, reason: str, now: float, at_least: float = 0.0) -> Sequence[AccountEffect]:
        pause = max(min(RETRY_FIRST * 2 ** min(self._failures, 16), RETRY_CAP), min(at_least, LONGEST_PAUSE))
        self._failures += 1
        self._due_at = now + pause
        return (Notice(self.clean(f"no new access token, trying again in {pause:g} s: {reason}")), WakeAt(self._due_at))


def life_of(token: str) -> float:
    """How many seconds a token lives, as its payload says; the usual time when it doesn't, or says nonsense."""
    try:
        payload = token.split(".")[1]
        claims = _decode_claims(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except _ERRORS:
        return USUAL_LIFE
    life = claims.exp - claims.iat
    return life if 1 <= life <= LONGEST_LIFE else USUAL_LIFE


def clean(text: str, mask: Mask) -> str:
    """One printable line of at most 200 characters; what the mask hides, and whatever looks like a JWT, are hidden."""
    return one_line(_JWT.sub(HIDDEN, mask.hide(text)), empty="no message")
