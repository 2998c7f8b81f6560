"""One conversation with Bybit: see tests/properties/talks.py."""

from __future__ import annotations

from typing import Any

import msgspec

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
CHANNELS = ["publicTrade", "tickers", "orderbook.50"]
TRADE = {"T": 1786540363843, "S": "Buy", "v": "0.015", "p": "63976.10", "i": "e799c7b7", "seq": 760579112851}


def message(topic: str, data: Any, kind: str = "snapshot") -> bytes:
    return msgspec.json.encode({"topic": topic, "type": kind, "ts": 1786540363844, "data": data})


def book(number: int, *bids: tuple[str, str]) -> dict[str, Any]:
    return {"s": "BTCUSDT", "b": bids, "a": [("63982.80", "5.015")], "u": number, "seq": 760578520138}


def answer_to(number: str, said: str = "") -> bytes:
    return msgspec.json.encode({"success": not said, "ret_msg": said, "req_id": number, "op": "subscribe"})


FRAMES = [
    message("orderbook.50.BTCUSDT", book(7, ("63982.70", "6.408"))),
    answer_to("1"),
    message("orderbook.50.BTCUSDT", book(8, ("63982.70", "0")), "delta"),
    message("tickers.BTCUSDT", {"symbol": "BTCUSDT", "lastPrice": "65114.20"}),
    message("tickers.BTCUSDT", {"symbol": "BTCUSDT", "volume24h": "8.5"}, "delta"),
    *(message(f"publicTrade.{symbol}", [TRADE, TRADE]) for symbol in SYMBOLS),
    message("orderbook.50.ETHUSDT", book(1)),
    message("tickers.ETHUSDT", {"lastPrice": "3011"}),
    b'{"success":true,"ret_msg":"pong","op":"ping"}',
]
OTHERS = [
    message("orderbook.50.BTCUSDT", book(99), "delta"),
    message("tickers.ETHUSDT", {"lastPrice": "1"}, "delta"),
    answer_to("1", "error:handler not found,topic:x"),
    message("orderbook.50.NOPE", book(1)),
]
