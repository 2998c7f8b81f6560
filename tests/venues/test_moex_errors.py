"""What ERROR frames say."""

from __future__ import annotations

import pytest

from feedbus.venues.moex_errors import error_text, is_transient, masked, one_line
from feedbus.venues.stomp import Frame


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ({"message": "Access denied"}, b"", "Access denied "),
        ({"message": "late", "code": "gateway.timeout"}, b"{}", "late gateway.timeout {}"),
        ({"receipt-id": "7"}, b"\xff", " \ufffd"),
    ],
)
def test_an_error_is_its_message_its_codes_and_its_body(headers: dict[str, str], body: bytes, text: str) -> None:
    assert error_text(Frame("ERROR", headers, body)) == text


@pytest.mark.parametrize(
    ("said", "transient"),
    [("gateway.timeout", True), ("try: gateway.transport", True), ("gateway.access-denied", False), ("", False)],
)
def test_the_gateways_own_trouble_is_told_from_a_refusal(said: str, transient: bool) -> None:
    assert is_transient(said) is transient


def test_foreign_text_becomes_one_short_line() -> None:
    assert one_line("a\x1b[2J\n b") == "a [2J b"
    assert one_line("x" * 900) == "x" * 200
    assert one_line("\n") == "no message"


def test_a_passcode_is_hidden_unless_it_is_the_guests() -> None:
    assert masked("hush and hush", "hush") == "*** and ***"
    assert masked("no guest here", "guest") == "no guest here"
