"""Access tokens: good for their time, and for nobody else's."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.alor.tokens import MAX_TOKEN, TokenIssuer

NOW = 1_700_000_000_500_000_000
SECOND = 1_000_000_000


def payload(token: str, place: int = 1) -> dict[str, object]:
    part = token.split(".")[place]
    claims: dict[str, object] = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def test_a_token_has_the_claims_of_alors() -> None:
    token = TokenIssuer("key").issue(NOW)
    claims = payload(token)
    assert payload(token, 0) == {"alg": "HS256", "typ": "JWT"}
    assert (claims["iat"], claims["exp"]) == (1_700_000_000, 1_700_001_800)
    assert claims["iss"] == "Alor.Identity"
    assert {"sub", "ein", "clientid", "azp", "aud", "scope"} <= claims.keys()
    assert len(str(claims["portfolios"]).split(" ")) == 3 * len(str(claims["agreements"]).split(" "))


@pytest.mark.parametrize(("later", "good"), [(0, True), (59, True), (60, False), (10**6, False)])
def test_a_token_is_good_until_it_expires(later: int, good: bool) -> None:
    tokens = TokenIssuer("key", 60)
    assert tokens.valid(tokens.issue(NOW), NOW + later * SECOND) is good


def test_a_token_of_another_key_is_not_good_and_of_the_same_key_it_is() -> None:
    assert not TokenIssuer("one").valid(TokenIssuer("two").issue(NOW), NOW)
    assert TokenIssuer("one").valid(TokenIssuer("one").issue(NOW), NOW)


@given(st.integers(0, 10**6), st.characters(max_codepoint=127))
def test_a_token_that_was_changed_anywhere_is_not_good(place: int, char: str) -> None:
    tokens = TokenIssuer("key")
    token = tokens.issue(NOW)
    at = place % len(token)
    changed = token[:at] + char + token[at + 1 :]
    assert tokens.valid(changed, NOW) is (changed == token)


@given(st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_nothing_else_is_good(token: object) -> None:
    assert not TokenIssuer("key").valid(token, NOW)


@pytest.mark.parametrize("part", ["", "a", "!!!!", "e30", "bnVsbA", "eyJleHAiOiJ4In0", "a.b", "é"])
def test_a_signature_alone_makes_no_token(part: str) -> None:
    tokens = TokenIssuer("key")
    assert not tokens.valid(f"{part}.{tokens._signature(part)}", NOW)
    assert not tokens.valid(".", NOW)
    assert not tokens.valid("x" * (MAX_TOKEN + 1), NOW)
