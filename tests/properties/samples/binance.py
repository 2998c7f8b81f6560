"""One conversation with Binance spot: what the properties of every Session begin with.

SYMBOLS are subscribed on CHANNELS, FRAMES are the venue's part of it in order, OTHERS are frames that turn it.
"""

from __future__ import annotations

import json
from typing import Any

from feedbus.venues.listings import Selection

SYMBOLS = ["BTCUSDT", "币安人生USDT"]
SELECTION = Selection(pattern=("*USDT",), quote="USDT", top=5)
CHANNELS = ["trade", "bookTicker", "depth5@100ms", "kline_1m", "ticker", "avgPrice"]
TIME = 1723161255343


LISTED = json.dumps(
    {
        "timezone": "UTC",
        "symbols": [
            {
                "symbol": "BTCUSDT",
                "status": "TRADING",
                "baseAsset": "BTC",
                "quoteAsset": "USDT",
                "orderTypes": ["LIMIT", "MARKET"],
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000"},
                    {"filterType": "ICEBERG_PARTS", "limit": 100},
                ],
                "permissionSets": [["SPOT"]],
            }
        ],
    }
).encode()


def dumped(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def payload(channel: str, symbol: str, step: int) -> dict[str, Any]:
    """What the venue says on one channel; prices and sizes move with `step`."""
    bid, ask, size = (f"{61837.63 + step + more:.8f}" for more in (0.0, 0.01, 0.5))
    match channel:
        case "trade" | "aggTrade":
            ids = {"t": 3735683259 + step} if channel == "trade" else {"a": 15683430 + step, "f": 1, "l": 2}
            fill = {"p": bid, "q": "0.02000000", "T": TIME - 1, "m": step % 2 == 0, "M": True}
            return {"e": channel, "E": TIME, "s": symbol, **ids, **fill}
        case "bookTicker":
            return {"u": 50093239212 + step, "s": symbol, "b": bid, "B": "3.78826000", "a": ask, "A": size}
        case "avgPrice":
            return {"e": channel, "E": TIME, "s": symbol, "i": "5m", "w": bid, "T": TIME - 1}
        case "ticker" | "miniTicker":
            day = {"c": bid, "o": "61000.00000000", "h": ask, "l": "60000.10000000", "v": size, "q": "18.00000000"}
            more = {"x": "61000.01000000", "b": bid, "a": ask, "n": 18151, "O": TIME - 86400000, "C": TIME}
            event = "24hrTicker" if channel == "ticker" else "24hrMiniTicker"
            return {"e": event, "E": TIME, "s": symbol, **day, **(more if channel == "ticker" else {})}
        case _ if channel.startswith("depth"):
            bids = [[f"{61837.63 - level:.8f}", size] for level in range(5)]
            asks = [[f"{61837.64 + level:.8f}", "0.10000000"] for level in range(5)]
            return {"lastUpdateId": 50093239218 + step, "bids": bids, "asks": asks}
        case _:
            start = TIME - TIME % 60000
            times = {"t": start, "T": start + 59999, "s": symbol, "i": channel.removeprefix("kline_")}
            prices = {"o": bid, "c": bid, "h": ask, "l": "61000.00000000"}
            totals = {"v": "2.30000000", "n": 30, "x": step % 2 == 1, "q": "142226.54900000", "V": "0.10000000"}
            return {"e": "kline", "E": TIME, "s": symbol, "k": {**times, **prices, **totals, "B": "0"}}


def wrapped(channel: str, symbol: str, step: int = 0) -> bytes:
    return dumped({"stream": f"{symbol.lower()}@{channel}", "data": payload(channel, symbol, step)})


FRAMES = [
    b'{"result":null,"id":1}',
    *(wrapped(channel, symbol, step) for step in range(3) for channel in CHANNELS for symbol in SYMBOLS),
]
OTHERS = [
    b'{"result":null,"id":2}',
    b'{"result":["btcusdt@trade","btcusdt@bookTicker"],"id":2}',
    b'{"result":["btcusdt@trade"],"id":1}',
    b'{"result":true,"id":1}',
    b'{"code":2,"msg":"Invalid request: too many parameters","id":1}',
    b'{"code":2,"msg":"Invalid request: too many parameters"}',
    b'{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"},"id":2}',
    b'{"e":"serverShutdown","E":1770123456789}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    b'{"stream":"ethusdt@trade","data":{}}',
    *(dumped(payload(channel, SYMBOLS[0], 7)) for channel in CHANNELS),
]
