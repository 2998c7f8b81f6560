"""Messages around the payloads: what is asked, and what is read of what comes."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET

from feedbus.errors import BadData
from feedbus.venues.binance.messages import key_of, parse, request


def test_requests_are_what_the_venue_documents() -> None:
    names = ["btcusdt@aggTrade", "btcusdt@depth5"]
    assert (
        request("SUBSCRIBE", names, 1) == '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth5"],"id":1}'
    )
    assert request("LIST_SUBSCRIPTIONS", [], 3) == '{"method":"LIST_SUBSCRIPTIONS","id":3}'
    assert json.loads(request("SUBSCRIBE", ["币安人生usdt@trade"], 2))["params"] == ["币安人生usdt@trade"]


def test_the_key_of_a_stream_is_how_its_data_begins() -> None:
    assert key_of("btcusdt@trade") == b'{"stream":"btcusdt@trade"'
    assert key_of("币usdt@trade") == '{"stream":"币usdt@trade"'.encode()


def test_data_is_told_by_its_wrapping() -> None:
    message = parse(b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT"}}')
    assert message.stream == "btcusdt@trade"
    assert message.data is not UNSET
    assert bytes(message.data) == b'{"e":"trade","s":"BTCUSDT"}'
    assert (message.event, message.result, message.failure) == (UNSET, UNSET, None)


def test_an_answer_has_a_result_and_an_id() -> None:
    message = parse(b'{"result":null,"id":7}')
    assert (message.result, message.id, message.stream) == (None, 7, UNSET)
    assert parse(b'{"result":["a"],"id":"x"}').id == "x"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"code":0,"msg":"Unknown property","id":1}', "Unknown property (code 0)"),
        (
            b'{"code":3,"msg":"Invalid JSON: expected value\\nat line 1"}',
            "Invalid JSON: expected value at line 1 (code 3)",
        ),
        (b'{"error":{"code":2,"msg":"no"},"id":null}', "no (code 2)"),
        (b'{"code":-1121}', "no message (code -1121)"),
    ],
)
def test_an_error_is_one_line_whatever_its_wrapping(data: bytes, text: str) -> None:
    assert str(parse(data).failure) == text


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (b'{"e":"trade","s":"BTCUSDT"}', "btcusdt@trade"),
        (b'{"e":"aggTrade","s":"BTCUSDT"}', "btcusdt@aggTrade"),
        (b'{"e":"kline","s":"BTCUSDT","k":{"i":"1h"}}', "btcusdt@kline_1h"),
        (b'{"e":"kline","s":"BTCUSDT"}', "btcusdt@kline_"),
        (b'{"e":"24hrMiniTicker","s":"BTCUSDT"}', "btcusdt@miniTicker"),
        (b'{"e":"24hrTicker","s":"BTCUSDT"}', "btcusdt@ticker"),
        (b'{"e":"depthUpdate","s":"BTCUSDT"}', None),
        (b'{"e":"trade"}', None),
        (b'{"s":"BTCUSDT"}', None),
    ],
)
def test_a_payload_without_a_wrapping_says_its_stream_by_event_and_symbol(data: bytes, stream: str | None) -> None:
    assert parse(data).own_stream == stream


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"stream":"\xff"}', b'{"id":1.5}', b'{"code":99999999999}', b"[" * 10**5]
)
def test_what_is_no_message_is_bad_data_of_one_short_line(data: bytes) -> None:
    with pytest.raises(BadData) as caught:
        parse(data)
    assert caught.value.place == "message"
    assert str(caught.value).isprintable()
