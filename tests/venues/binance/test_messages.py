"""Messages around the payloads: what is asked, and what is read of what comes."""

from __future__ import annotations

import pytest

from feedbus.errors import BadData
from feedbus.venues.binance.messages import key_of, parse


def test_the_key_of_a_stream_is_how_its_data_begins() -> None:
    assert key_of("btcusdt@trade") == b'{"stream":"btcusdt@trade"'
    assert key_of("币usdt@trade") == '{"stream":"币usdt@trade"'.encode()


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (b'{"e":"trade","s":"BTCUSDT"}', "btcusdt@trade"),
        (b'{"e":"aggTrade","s":"BTCUSDT"}', "btcusdt@aggTrade"),
        (b'{"e":"kline","s":"BTCUSDT","k":{"i":"1h"}}', "btcusdt@kline_1h"),
        (b'{"e":"kline","s":"BTCUSDT"}', "btcusdt@kline_"),
        (b'{"e":"24hrMiniTicker","s":"BTCUSDT"}', "btcusdt@miniTicker"),
        (b'{"e":"24hrTicker","s":"BTCUSDT"}', "btcusdt@ticker"),
        (b'{"e":"depthUpdate","s":"BTCUSDT"}', "btcusdt@depth"),
        (b'{"e":"4hTicker","s":"BTCUSDT"}', "btcusdt@ticker_4h"),
        (b'{"e":"avgPrice","s":"BTCUSDT"}', "btcusdt@avgPrice"),
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
