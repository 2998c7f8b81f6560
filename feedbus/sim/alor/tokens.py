"""The simulated ALOR's access tokens: JSON Web Tokens signed with a made-up key. Pure: time is an argument.

A token is checked by its own contents and signature, so the REST interface, which issues tokens, and the WebSocket
server, which checks them, need only the same key. The claims are those of ALOR's tokens; agreements and portfolios are
separated by spaces, with three portfolios to an agreement.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

MAX_TOKEN = 8192  # characters
CLAIMS: dict[str, Any] = {
    "iss": "Alor.Identity",
    "aud": "Client WARP WarpATConnector subscriptionsApi CommandApi",
    "sub": "P000001",
    "ein": "00001",
    "clientid": "1000001",
    "azp": "0a0b0c0d0e0f00000000",
    "agreements": "00001",
    "portfolios": "D00001 G00001 7500001",
    "scope": "OrdersRead OrdersCreate Trades Personal Stats",
}

_HEADER = {"alg": "HS256", "typ": "JWT"}


class _Expiry(msgspec.Struct):
    exp: int


_EXPIRY = msgspec.json.Decoder(_Expiry)


class TokenIssuer:
    """Issues access tokens that are valid for `lifetime_s` seconds, and checks them."""

    def __init__(self, key: str, lifetime_s: int = 1800) -> None:
        self._key = key.encode()
        self._lifetime_s = lifetime_s

    def issue(self, now_ns: int) -> str:
        """A new token, which is valid from now on."""
        issued = now_ns // 1_000_000_000
        claims = {**CLAIMS, "iat": issued, "exp": issued + self._lifetime_s}
        signed = f"{_base64(msgspec.json.encode(_HEADER))}.{_base64(msgspec.json.encode(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def valid(self, token: object, now_ns: int) -> bool:
        """Whether a token was issued with our key and hasn't expired."""
        if not isinstance(token, str) or len(token) > MAX_TOKEN or not token.isascii():
            return False
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return False
        payload = signed.rpartition(".")[2]
        try:
            claims = _EXPIRY.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (binascii.Error, msgspec.DecodeError, ValueError):
            return False
        return now_ns // 1_000_000_000 < claims.exp

    def _signature(self, signed: str) -> str:
        return _base64(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
