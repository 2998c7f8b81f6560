"""Foreign text is one short line, and hides what is secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.venues.alor.text import clean

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
    assert clean(said, ("", "s3cret")) == shown


@given(st.text(max_size=20), st.sampled_from(["", "s3cret", JWT, JWT[:20]]), st.text(max_size=500))
def test_any_text_is_fit_for_a_log(before: str, secret: str, after: str) -> None:
    shown = clean(before + secret + after, ("s3cret",))
    assert shown.isprintable()
    assert 0 < len(shown) <= 200
    assert "s3cret" not in shown
    assert not secret or secret not in shown
