"""No secret is left in a text, however it is written, and a text without one is left as it is."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.mask import HIDDEN, MAX_TEXT, PREFIX, SHORT, Mask

WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": lambda secret: secret.upper() if len(secret.upper()) == len(secret) else secret,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded, in small letters": lambda secret: quote(secret, safe="").lower(),
    "percent-encoded as in a form": quote_plus,
    "every byte percent-encoded": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON with slashes escaped": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "in JSON, in a URL": lambda secret: quote(json.dumps(secret)[1:-1]),
    "in a URL, in JSON": lambda secret: json.dumps(quote(secret))[1:-1],
    "as Python writes it": lambda secret: repr(secret)[1:-1],
    "as Python writes bytes": lambda secret: repr(secret.encode())[2:-1],
    "in HTML": html.escape,
    "in HTML by numbers": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in the other base64": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}
secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="*"), min_size=SHORT, max_size=40
)
around = st.text(st.sampled_from(" =:'\"&%\\/{}<>nu0aя"), max_size=12)


@pytest.mark.parametrize("how", WRITTEN)
@given(secret=secrets, before=around, after=around)
def test_a_secret_is_hidden_however_it_is_written(how: str, secret: str, before: str, after: str) -> None:
    written = WRITTEN[how](secret)
    shown = Mask([secret]).hide(f"{before} {written} {after}")
    assert written not in shown
    assert HIDDEN in shown
    assert f"{Mask([secret])}" == "Mask()"


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=PREFIX),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_a_secret_is_hidden_within_what_was_encoded_in_base64(secret: str, before: bytes, after: bytes) -> None:
    """As in Basic authentication: what is left around the mask is no more than a character of the secret's own."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = Mask([secret]).hide(encode(before + secret.encode() + after).decode())
        left = shown.partition(HIDDEN)
        assert len(left[0]) <= len(before) * 4 / 3 + 1
        assert len(left[2].rstrip("=")) <= len(after) * 4 / 3 + 2


@given(text=st.text(st.characters(codec="utf-8", categories=("Ll", "P", "Z")), max_size=200))
def test_a_text_without_a_secret_is_left_as_it_is(text: str) -> None:
    assert Mask(["S3CR3T-000", "77", ""]).hide(text) == text
    assert Mask([]).hide(text) == text


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (["me"], "me, some ME: <me> me2 me_ me", "***, some ***: <***> me2 me_ ***"),
        (["x"], "x%20y", "***%20y"),
        (["anna", "anna-2024"], "anna-2024 anna annabel", "*** *** ***bel"),
        (["name@example.org"], "no name@exa", "no ***"),
        (["hunter2hunter2"], "said 'hunter2h' and hunter2", "said '***' and hunter2"),
        (["hush hush"], "hush+hush hush%20hush", "*** ***"),
        (["a%41b"], "a%41b a%2541b", "*** ***"),
        (["one", "s3cr3t"], "s3cr3ts3cr3t one", "****** ***"),
    ],
)
def test_what_is_hidden(secrets: list[str], text: str, shown: str) -> None:
    assert Mask(secrets).hide(text) == shown


@given(secret=secrets, cut=st.integers(0, 60))
def test_half_of_a_secret_is_hidden_too_where_a_text_was_cut(secret: str, cut: int) -> None:
    shown = Mask([secret]).hide(f"passcode {secret}"[:cut])
    left = shown.removeprefix("passcode ").removesuffix(HIDDEN)
    assert cut <= 9 or len(left) < max(PREFIX, (len(secret) + 1) // 2)


@pytest.mark.parametrize("piece", ["s3cr3t-s", "%73", r"\u0073", "&amp;", "s3cr3t-s3cr3t-s3cr3t", "%5cu0073", "s"])
def test_no_text_takes_long(piece: str) -> None:
    mask = Mask(["s3cr3t-" * 500, "s" * 4096, "s3cr3t-s3cr3t-s3cr3t"])
    start = time.process_time()
    shown = mask.hide(piece * 1_000_000)
    assert time.process_time() - start < 1.0  # as a bound; it takes some 50 ms
    assert len(shown) <= MAX_TEXT
