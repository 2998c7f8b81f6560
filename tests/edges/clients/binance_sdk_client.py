"""Binance's own client (binance-sdk-spot), unchanged but for its base URLs, put through its paces.

usage: binance_sdk_client.py WS_URL REST_URL
Runs in an environment of its own that has binance-sdk-spot. Prints one JSON line of what it saw.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_spot.spot import Spot

ENOUGH = {"trade": 40, "aggTrade": 20, "bookTicker": 40, "depth5@100ms": 30, "depth20@100ms": 30, "depth@100ms": 30,
          "kline_1s": 6, "miniTicker": 3, "ticker": 3}  # fmt: skip


class Errors(logging.Handler):
    """What the client complains of: it swallows errors, and logs them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def streams(client: Spot, symbol: str) -> tuple[dict[str, list[Any]], Any, list[Any]]:
    messages: dict[str, list[Any]] = {}
    done = asyncio.Event()

    def collect(name: str) -> Any:
        def on_message(message: Any) -> None:
            messages.setdefault(f"{symbol}@{name}", []).append(json.loads(message.to_json()))
            if all(len(messages.get(f"{symbol}@{name}", ())) >= count for name, count in ENOUGH.items()):
                done.set()

        return on_message

    connection = await client.websocket_streams.create_connection()
    handles = {
        "trade": await connection.trade(symbol=symbol),
        "aggTrade": await connection.agg_trade(symbol=symbol),
        "bookTicker": await connection.book_ticker(symbol=symbol),
        "depth5@100ms": await connection.partial_book_depth(symbol=symbol, levels="5", update_speed="100ms"),
        "depth20@100ms": await connection.partial_book_depth(symbol=symbol, levels="20", update_speed="100ms"),
        "depth@100ms": await connection.diff_book_depth(symbol=symbol, update_speed="100ms"),
        "kline_1s": await connection.kline(symbol=symbol, interval="1s"),
        "miniTicker": await connection.mini_ticker(symbol=symbol),
        "ticker": await connection.ticker(symbol=symbol),
    }
    for name, handle in handles.items():
        handle.on("message", collect(name))
    await done.wait()
    listed = (await connection.list_subscribe())["result"]
    await handles["trade"].unsubscribe()
    left = (await connection.list_subscribe())["result"]
    await connection.close_connection(close_session=True)
    return messages, listed, left


async def main(ws_url: str, rest_url: str) -> None:
    errors = Errors()
    logging.getLogger().addHandler(errors)
    client = Spot(
        config_rest_api=ConfigurationRestAPI(api_key="", base_path=rest_url),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=ws_url),
    )
    seen: dict[str, Any] = {}
    client.rest_api.ping()
    seen["time"] = client.rest_api.time().data().server_time
    seen["symbols"] = [each.symbol for each in client.rest_api.exchange_info().data().symbols]
    answer = client.rest_api.depth(symbol="BTCUSDT", limit=5)
    seen["book"] = json.loads(answer.data().to_json())
    seen["rate limits"] = [[limit.rateLimitType, limit.interval, limit.count] for limit in answer.rate_limits]
    try:
        client.rest_api.depth(symbol="NOPE")
    except Exception as error:
        seen["invalid symbol"] = [type(error).__name__, str(error)]
    seen["messages"], seen["listed"], seen["left"] = await streams(client, "btcusdt")
    seen["complaints"] = errors.lines
    print(json.dumps(seen))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
