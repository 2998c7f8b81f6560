"""What ERROR frames say."""

from __future__ import annotations

import pytest

from feedbus.venues.moex.errors import error_text, is_transient
from feedbus.venues.moex.stomp import StompFrame


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ({"message": "Access denied"}, b"", "Access denied "),
        ({"message": "late", "code": "gateway.timeout"}, b"{}", "late gateway.timeout {}"),
        ({"receipt-id": "7"}, b"\xff", " \ufffd"),
    ],
)
def test_an_error_is_its_message_its_codes_and_its_body(headers: dict[str, str], body: bytes, text: str) -> None:
    assert error_text(StompFrame("ERROR", headers, body)) == text


@pytest.mark.parametrize(
    ("said", "transient"),
    [("gateway.timeout", True), ("try: gateway.transport", True), ("gateway.access-denied", False), ("", False)],
)
def test_the_gateways_own_trouble_is_told_from_a_refusal(said: str, transient: bool) -> None:
    assert is_transient(said) is transient
