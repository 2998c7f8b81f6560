"""python-binance, unchanged but for its base URLs, put through its paces.

usage: python_binance_client.py WS_URL REST_URL
Runs in an environment of its own that has python-binance. Prints one JSON line of what it saw.
"""

import asyncio
import json
import sys
from typing import Any

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.exceptions import BinanceAPIException

STREAMS = ["trade", "aggTrade", "bookTicker", "depth5@100ms", "depth20@100ms", "kline_1s", "miniTicker", "ticker"]
MESSAGES, BOOKS = 600, 25


async def multiplexed(manager: BinanceSocketManager) -> dict[str, list[Any]]:
    """Combined streams of two symbols."""
    messages: dict[str, list[Any]] = {}
    wanted = [f"{symbol}@{stream}" for symbol in ("btcusdt", "ethusdt") for stream in STREAMS]
    async with manager.multiplex_socket(wanted) as socket:
        for _ in range(MESSAGES):
            message = await socket.recv()
            messages.setdefault(message["stream"], []).append(message["data"])
    return messages


async def raw(socket: Any) -> list[Any]:
    """A raw stream."""
    async with socket as opened:
        return [await opened.recv() for _ in range(4)]


async def books(client: AsyncClient, manager: BinanceSocketManager) -> list[Any]:
    """The library's own book of each update id (snapshot over REST, then differences), beside the venue's 20 levels of
    the same update id."""
    told: dict[int, Any] = {}
    kept: dict[int, Any] = {}

    async def read(socket: Any) -> None:
        while True:
            message = await socket.recv()
            told[message["lastUpdateId"]] = [message["bids"], message["asks"]]

    async with manager.depth_socket("BTCUSDT", depth="20", interval=100) as socket:
        reading = asyncio.create_task(read(socket))
        async with DepthCacheManager(client, "BTCUSDT", bm=manager, ws_interval=100, conv_type=str) as cache:
            while len(told.keys() & kept.keys()) < BOOKS:
                book = await cache.recv()
                kept[cache._last_update_id] = [
                    [[price, book._bids[price]] for price in sorted(book._bids, key=float, reverse=True)[:20]],
                    [[price, book._asks[price]] for price in sorted(book._asks, key=float)[:20]],
                ]
        reading.cancel()
    return [[each, told[each], kept[each]] for each in sorted(told.keys() & kept.keys())]


async def main(ws_url: str, rest_url: str) -> None:
    AsyncClient.API_URL = rest_url + "/api"
    BinanceSocketManager.STREAM_URL = ws_url.removesuffix("stream")
    client = await AsyncClient.create()
    manager = BinanceSocketManager(client, max_queue_size=10_000)
    seen: dict[str, Any] = {}
    try:
        seen["time"] = (await client.get_server_time())["serverTime"]
        info = await client.get_exchange_info()
        seen["symbols"] = [each["symbol"] for each in info["symbols"]]
        seen["filters"] = (await client.get_symbol_info("BTCUSDT"))["filters"][:2]
        seen["book"] = await client.get_order_book(symbol="BTCUSDT", limit=5)
        try:
            await client.get_order_book(symbol="NOPE")
        except BinanceAPIException as error:
            seen["invalid symbol"] = [error.status_code, error.code, error.message]
        seen["messages"] = await multiplexed(manager)
        seen["trades"] = await raw(manager.trade_socket("SOLUSDT"))
        seen["klines"] = await raw(manager.kline_socket("SOLUSDT", interval="1s"))
        seen["books"] = await books(client, manager)
    finally:
        await client.close_connection()
    print(json.dumps(seen))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
