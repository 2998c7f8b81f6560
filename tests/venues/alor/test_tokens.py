"""The access token of an ALOR account: fetched, renewed in time, shared; every call and what it yields."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from math import inf
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.mask import Mask
from feedbus.venues.alor.tokens import AccessTokens, clean, life_of
from feedbus.venues.protocol import AccountEffect, Fatal, Fetch, FetchResponse, Notice, Ready, WakeAt

SECRET = "5c2f1a90-refresh"
FETCH = Fetch("/refresh", "auth", "POST", b'{"token":"5c2f1a90-refresh"}')


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(claims: Any, name: str = "sig") -> str:
    return f"{encoded({'alg': 'ES256'})}.{encoded(claims)}.{name}"


def token(name: str = "sig", life: float = 1800) -> str:
    return jwt({"iat": 1_702_631_000, "exp": 1_702_631_000 + life}, name)


def ok(text: str) -> FetchResponse:
    return FetchResponse(200, json.dumps({"AccessToken": text}).encode(), 1)


class Script:
    """Calls Tokens at the times given, and compares what they yield."""

    def __init__(self) -> None:
        self.tokens = AccessTokens(SECRET)
        self.now = 0.0

    def at(self, now: float) -> Self:
        self.now = now
        return self

    def yields(self, found: Sequence[AccountEffect], expected: Sequence[AccountEffect]) -> Self:
        assert list(found) == list(expected)
        assert SECRET not in repr(found)
        return self

    def started(self, *expected: AccountEffect) -> Self:
        return self.yields(self.tokens.start(self.now), expected)

    def answered(self, answer: FetchResponse | VenueError, *expected: AccountEffect, fetch: Fetch = FETCH) -> Self:
        return self.yields(self.tokens.fetched(fetch, answer, self.now), expected)

    def ticked(self, *expected: AccountEffect) -> Self:
        return self.yields(self.tokens.tick(self.now), expected)

    def refused(self, serial: int, news: bool) -> Self:
        assert self.tokens.refused(serial) is news
        return self

    def has(self, text: str | None, serial: int = 1) -> Self:
        assert self.tokens.current(self.now) == (None if text is None else (text, serial))
        return self

    def with_token(self, name: str = "a", life: float = 1800) -> Self:
        self.tokens.start(self.now)
        self.tokens.fetched(FETCH, ok(token(name, life)), self.now)
        return self


def test_the_refresh_token_is_posted_in_the_body_and_the_account_is_ready_when_a_token_has_come() -> None:
    script = Script().at(5.0).has(None).started(FETCH).has(None)
    script.at(6.0).answered(ok(token("a")), Ready(), WakeAt(1205.0)).has(token("a"))
    assert SECRET not in FETCH.path


def test_a_secret_that_needs_escaping_is_still_json() -> None:
    (fetch,) = AccessTokens('a"b\\c').start(0.0)
    assert isinstance(fetch, Fetch)
    assert json.loads(fetch.body) == {"token": 'a"b\\c'}


def test_it_is_renewed_after_two_thirds_of_its_life_and_the_account_is_not_ready_again() -> None:
    script = Script().started(FETCH).answered(ok(token("a")), Ready(), WakeAt(1200.0))
    script.at(600.0).ticked(WakeAt(1200.0)).at(1200.0).ticked(FETCH).ticked().has(token("a"))
    script.at(1201.0).answered(ok(token("b")), WakeAt(2400.0)).has(token("b"), 2)


@pytest.mark.parametrize(
    ("life", "wakes"), [(1800, 1200.0), (900, 600.0), (86400, 57600.0), (15, 10.0), (3, 10.0), (1, 10.0)]
)
def test_a_short_life_does_not_make_it_be_fetched_more_often_than_every_ten_seconds(life: float, wakes: float) -> None:
    Script().started(FETCH).answered(ok(token("a", life)), Ready(), WakeAt(wakes))


@pytest.mark.parametrize(
    ("text", "life"),
    [
        (token(life=1800), 1800),
        (token(life=60.5), 60.5),
        (token(life=0), 1800),
        (token(life=-5), 1800),
        (token(life=1e9), 1800),
        (jwt({"exp": 1_702_632_800}), 1800),
        (jwt({"iat": "now", "exp": "later"}), 1800),
        (jwt({"iat": None, "exp": 5}), 1800),
        (jwt([1]), 1800),
        (jwt("x"), 1800),
        ("opaque", 1800),
        ("", 1800),
        ("a.b.c", 1800),
        ("a.\u0416.c", 1800),
        ("a..c", 1800),
        (f"a.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.c", 1800),
        (f"a.{base64.urlsafe_b64encode(bytes([255, 254])).decode()}.c", 1800),
        (f"a.{encoded({'iat': 0, 'exp': 600, 'portfolios': 'D1 D2'})}.c", 600),
    ],
)
def test_the_life_is_read_from_the_token_or_is_thirty_minutes(text: str, life: float) -> None:
    assert life_of(text) == life


def test_a_token_is_used_until_it_ends_by_the_time_when_it_was_asked_for() -> None:
    script = Script().started(FETCH).at(30.0).answered(ok(token("a")), Ready(), WakeAt(1200.0))
    script.at(1799.9).has(token("a")).at(1800.0).has(None)


def test_what_time_it_is_was_told_by_the_newest_answer() -> None:
    script = Script().started(FETCH).at(5.0)
    script.answered(FetchResponse(200, ok(token()).body, 1_000_000_000_000), Ready(), WakeAt(1200.0))
    assert script.tokens.time_ns(7.5) == 1_002_500_000_000
    script.at(1200.0).ticked(FETCH).at(1201.0).answered(
        FetchResponse(200, ok(token()).body, 9_000_000_000_000), WakeAt(2400.0)
    )
    assert script.tokens.time_ns(1201.0) == 9_000_000_000_000, "our clock was set meanwhile"


def test_a_service_that_asks_for_a_pause_is_given_one_of_an_hour_at_most() -> None:
    script = Script().started(FETCH).at(1.0)
    *_, wake = script.tokens.fetched(FETCH, RateLimited("HTTP 429", 600), 1.0)
    assert wake == WakeAt(601.0)
    script.at(601.0).ticked(FETCH)
    *_, wake = script.tokens.fetched(FETCH, RateLimited("HTTP 429", 10**6), 601.0)
    assert wake == WakeAt(4201.0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ConnectFailed("no route to host"), "no route to host"),
        (TimedOut(f"no answer to {SECRET}"), "no answer to ***"),
        (FetchResponse(500, b"", 1), "HTTP 500"),
        (FetchResponse(429, b"{}", 1), "HTTP 429"),
        (FetchResponse(302, b"", 1), "HTTP 302"),
        (FetchResponse(404, b"", 1), "HTTP 404"),
        (FetchResponse(200, b"", 1), "an answer without a token: Input data was truncated"),
        (FetchResponse(200, b"<html>", 1), "an answer without a token: JSON is malformed: invalid character (byte 0)"),
        (FetchResponse(200, b"\xff", 1), "an answer without a token: JSON is malformed: invalid character (byte 0)"),
        (FetchResponse(200, b"{}", 1), "an answer without a token: Object missing required field `AccessToken`"),
        (FetchResponse(200, b'{"AccessToken":7}', 1), "an answer without a token: Expected `str`, got `int` - at"),
        (FetchResponse(200, b'{"AccessToken":""}', 1), "an answer without a token: Expected `str` of length >= 1 - at"),
        (ok("a b"), "an answer without a token: Expected `str` matching regex"),
        (ok("a\n"), "an answer without a token: Expected `str` matching regex"),
        (ok("x" * 16385), "an answer without a token: Expected `str` of length <= 16384 - at"),
        (FetchResponse(200, b'{"AccessToken":' * 4000, 1), "an answer without a token: "),
    ],
)
def test_what_is_no_token_is_asked_for_again(answer: FetchResponse | VenueError, reason: str) -> None:
    script = Script().started(FETCH).at(1.0)
    notice, wake = script.tokens.fetched(FETCH, answer, 1.0)
    assert isinstance(notice, Notice)
    assert notice.text.startswith(f"no new access token, trying again in 2 s: {reason}")
    assert wake == WakeAt(3.0)
    script.has(None).at(2.9).ticked(WakeAt(3.0)).at(3.0).ticked(FETCH)
    script.answered(ok(token("a")), Ready(), WakeAt(1203.0))


def test_failures_are_followed_by_longer_and_longer_pauses_up_to_five_minutes() -> None:
    script = Script().started(FETCH)
    pauses = []
    for _ in range(30):
        *_, wake = script.tokens.fetched(FETCH, FetchResponse(503, b"", 1), script.now)
        assert isinstance(wake, WakeAt)
        pauses.append(wake.when - script.now)
        script.at(wake.when).ticked(FETCH)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, *[300] * 22]
    script.answered(ok(token("a")), Ready(), WakeAt(script.now + 1200))
    script.at(script.now + 1200).ticked(FETCH)
    *_, wake = script.tokens.fetched(FETCH, FetchResponse(503, b"", 1), script.now)
    assert wake == WakeAt(script.now + 2), "a success begins anew"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_refresh_token_is_fatal_and_not_shown(status: int) -> None:
    said = FetchResponse(status, f"no such token {SECRET}".encode(), 1)
    fatal = Fatal(f"the refresh token is refused (HTTP {status}): wrong, expired or revoked")
    script = Script().started(FETCH).answered(said, fatal).at(1e6).ticked()
    script.started(FETCH).answered(ok(token("a")), Ready(), WakeAt(1e6 + 1200))
    script.at(1e6 + 1200).ticked(FETCH).answered(said, fatal)


def test_while_a_renewal_fails_the_old_token_is_used_to_its_end() -> None:
    script = Script().with_token().at(1200.0).ticked(FETCH)
    script.tokens.fetched(FETCH, TimedOut("no answer"), 1210.0)
    script.at(1212.0).has(token("a")).ticked(FETCH)
    script.tokens.fetched(FETCH, FetchResponse(500, b"", 1), 1212.0)
    script.at(1799.0).has(token("a")).at(1801.0).has(None).ticked(FETCH)
    script.answered(ok(token("b")), WakeAt(1801.0 + 1200)).has(token("b"), 2)


def test_a_refused_token_is_not_used_again_and_is_renewed_once_however_many_say_so() -> None:
    script = Script().with_token().at(100.0).refused(1, True).has(None)
    script.refused(1, False).refused(1, False).ticked(FETCH).ticked().refused(1, False).ticked()
    script.at(101.0).answered(ok(token("b")), WakeAt(100.0 + 1200)).has(token("b"), 2)
    script.refused(1, False).has(token("b"), 2).refused(0, False).refused(3, False).has(token("b"), 2)


def test_a_token_that_is_refused_at_once_is_not_renewed_at_once() -> None:
    Script().with_token().at(0.1).refused(1, True).ticked(WakeAt(10.0)).at(10.0).ticked(FETCH)


def test_a_refused_token_does_not_hurry_a_request_that_failed() -> None:
    script = Script().with_token().at(1200.0).ticked(FETCH)
    for _ in range(5):
        *_, wake = script.tokens.fetched(FETCH, FetchResponse(500, b"", 1), script.now)
        assert isinstance(wake, WakeAt)
        script.at(wake.when).ticked(FETCH)
    script.answered(
        FetchResponse(500, b"", 1), Notice("no new access token, trying again in 64 s: HTTP 500"), WakeAt(1326.0)
    )
    script.at(1270.0).refused(1, True).ticked(WakeAt(1326.0)).has(None)


def test_a_refused_token_is_no_more_use_while_its_renewal_is_under_way() -> None:
    script = Script().with_token().at(1200.0).ticked(FETCH).refused(1, True).has(None).ticked()
    script.answered(ok(token("b")), WakeAt(2400.0)).has(token("b"), 2)


@pytest.mark.parametrize(
    "fetch", [Fetch("/refresh"), Fetch("/other", "auth", "POST", FETCH.body), Fetch("/refresh", "auth", "POST", b"{}")]
)
@pytest.mark.parametrize("answer", [FetchResponse(403, b"", 1), VenueError("no"), ok(token("z"))])
def test_an_answer_to_something_else_is_passed_over(fetch: Fetch, answer: FetchResponse | VenueError) -> None:
    script = Script().started(FETCH).answered(answer, fetch=fetch).has(None)
    script.answered(ok(token("a")), Ready(), WakeAt(1200.0)).answered(answer, fetch=fetch).has(token("a"))


def test_a_second_answer_is_passed_over() -> None:
    Script().answered(ok(token("a"))).with_token().answered(FetchResponse(403, b"", 1)).has(token("a"))


def test_a_new_start_forgets_what_there_was() -> None:
    script = Script().with_token()
    script.tokens.granted = True
    script.at(50.0).started(FETCH).has(None)
    assert not script.tokens.granted
    script.answered(ok(token("b")), Ready(), WakeAt(1250.0)).has(token("b"), 2)


def test_a_new_start_begins_with_the_shortest_pause() -> None:
    script = Script().started(FETCH)
    for _ in range(3):
        script.tokens.fetched(FETCH, FetchResponse(500, b"", 1), 0.0)
        script.tokens.tick(1e3)
    script.at(2e3).started(FETCH)
    script.answered(
        FetchResponse(500, b"", 1), Notice("no new access token, trying again in 2 s: HTTP 500"), WakeAt(2002.0)
    )


def test_nothing_is_due_before_the_start() -> None:
    Script().ticked().at(inf).ticked()


def test_foreign_text_does_not_show_the_tokens_that_it_may_speak_of() -> None:
    script = Script().with_token("opaque")
    script.tokens.start(1.0)
    script.tokens.fetched(FETCH, ok("not-a-jwt"), 1.0)
    said = f"{SECRET}|{token('opaque')}|not-a-jwt|{jwt({'exp': 1})}"
    assert script.tokens.clean(said) == "***|***|***|***"
    script.tokens.start(2.0)
    script.tokens.fetched(FETCH, ok("the-next"), 2.0)
    assert script.tokens.clean("not-a-jwt the-next") == "*** ***"


def test_no_repr_shows_a_token() -> None:
    script = Script().with_token("secretive")
    current = script.tokens.current(0.0)
    for shown in (repr(script.tokens), repr(current), str(current), f"{current}", repr(FETCH)):
        assert "secretive" not in shown
        assert SECRET not in shown
    assert repr(current) == "Token(1)"


# What is said of it

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl-_"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Invalid JWT token!", "Invalid JWT token!"),
        ("", "no message"),
        (" \n\t ", "no message"),
        ("a\x1b[2J\r\nb\u2028c", "a [2J b c"),
        ("x" * 5000, "x" * 200),
        ("token s3cret, s3cret", "token ***, ***"),
        (f"token {JWT} is old", "token *** is old"),
        (f"{JWT}{JWT}", "***"),
        ("s3cret" * 100, "***" * 66 + "**"),
        (f"Invalid enum value '{JWT[:14]}' - at `$.s`", "Invalid enum value '***' - at `$.s`"),
        ("x" * 199 + JWT, "x" * 199 + "*"),
        ("нормальный период торгов", "нормальный период торгов"),
    ],
)
def test_text_is_one_short_line_without_a_secret(said: str, shown: str) -> None:
    assert clean(said, Mask(["", "s3cret"])) == shown


@given(st.text(max_size=20), st.sampled_from(["", "s3cret", JWT, JWT[:20]]), st.text(max_size=500))
def test_any_text_is_fit_for_a_log(before: str, secret: str, after: str) -> None:
    shown = clean(before + secret + after, Mask(["s3cret"]))
    assert shown.isprintable()
    assert 0 < len(shown) <= 200
    assert "s3cret" not in shown
    assert not secret or secret not in shown
