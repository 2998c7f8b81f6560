"""What CONNECTED and ERROR frames say."""

from __future__ import annotations

import pytest

from feedbus.errors import BadData
from feedbus.venues.moex.replies import error_text, is_transient, stream_names
from feedbus.venues.moex.stomp import StompFrame
from tests.places import CAPTURES

METADATA = CAPTURES / "moex" / "moex_official_metadata.json"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"structure":{}}', set()),
        (b'{"version":{},"structure":{"MXSE":{"enums":[],"streams":[]}}}', set()),
        (b'{"structure":{"SEARCH":{"queries":[{"name":"ticker"}]}}}', set()),
        (
            b'{"structure":{"M":{"streams":[{"name":"a","access":"x"},{"name":"b"}]},"N":{"streams":[{"name":"b"}]}}}',
            {"M.a", "M.b", "N.b"},
        ),
    ],
)
def test_streams_are_named_as_destinations(body: bytes, names: set[str]) -> None:
    assert stream_names(body) == names


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"x":' + b"[" * 100_000,
        b'{"structure":[]}',
        b'{"structure":{"M":{"streams":null}}}',
        b'{"structure":{"M":{"streams":[{}]}}}',
        b'{"structure":{"M":{"streams":[{"name":7}]}}}',
    ],
)
def test_another_shape_is_bad_data(body: bytes) -> None:
    with pytest.raises(BadData) as caught:
        stream_names(body)
    assert caught.value.place == "CONNECTED"
    assert str(caught.value).isprintable()


def test_the_official_catalogue_names_the_streams_that_feedbus_uses() -> None:
    if not METADATA.exists():
        pytest.skip("the official catalogue isn't on this machine")
    names = stream_names(METADATA.read_bytes())
    assert {"MXSE.orderbooks", "MXSE.securities", "FORTS.securities"} <= names
    assert "FORTS.orderbooks" not in names


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
