"""MOEX's own ISS+ client (moexalgo.beta.issplus), unchanged, put through its paces.

usage: moexalgo_client.py URL [FILE]
Runs in an environment of its own that has moexalgo; FILE is issplus.py, to be loaded by itself where the package
can't be imported. Prints one JSON line of what it saw.
"""

import asyncio
import importlib
import importlib.util
import json
import sys
from collections.abc import Awaitable
from typing import Any

BOOKS, DAYS, CANDLES = "MXSE.orderbooks", "MXSE.securities", "MXSE.candles"
MESSAGES = 4
UPDATES = 2
"""Of candles, which come every 5 s."""


def load(path: str | None) -> Any:
    if path is None:
        return importlib.import_module("moexalgo.beta.issplus")
    spec = importlib.util.spec_from_file_location("issplus", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def read(subscription: Any, count: int) -> list[Any]:
    return [await anext(subscription) for _ in range(count)]


async def subscribe_all(client: Any) -> dict[str, Any]:
    subscriptions = {}
    for ticker in ("SBER", "GAZP"):
        for stream in (BOOKS, DAYS):
            selector = f'TICKER="MXSE.TQBR.{ticker}"'
            subscriptions[f"{stream} {ticker}"] = await client.subscribe(stream, selector)
    return subscriptions


async def refusal(action: Awaitable[object]) -> list[str] | None:
    try:
        await action
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


async def unknown_ticker(client: Any) -> None:
    subscription = await client.subscribe(BOOKS, 'TICKER="MXSE.TQBR.NOPE"')
    await anext(subscription)


async def wrong_password(issplus: Any, url: str) -> None:
    async with issplus.connect(url, issplus.Credentials("DEMO", "guest", "wrong")):
        pass


async def main(url: str, path: str | None = None) -> None:
    issplus = load(path)
    seen: dict[str, Any] = {}
    async with issplus.connect(url, issplus.Credentials("DEMO", "guest", "guest")) as client:
        seen["markets"] = sorted(client.structure)
        seen["streams"] = [stream["name"] for stream in client.structure["MXSE"]["streams"]]
        subscriptions = await subscribe_all(client)
        candles = [
            await client.subscribe(CANDLES, f'TICKER="MXSE.TQBR.SBER" and interval="{each}"') for each in ["M1", "D1"]
        ]
        seen["messages"] = {name: await read(each, MESSAGES) for name, each in subscriptions.items()}
        seen["search"] = await client.request("SEARCH.ticker", 'pattern="SBER"')
        seen["bad request"] = await refusal(client.request("SEARCH.ticker", "nonsense"))
        seen["unknown ticker"] = await refusal(unknown_ticker(client))
        await client.unsubscribe(subscriptions[f"{BOOKS} SBER"].id)
        later = subscriptions[f"{BOOKS} GAZP"]
        later._queue.clear()
        seen["after unsubscribe"] = await read(later, 6)
        seen["candles"] = [await read(each, 1 + UPDATES) for each in candles]
        seen["listener alive"] = not client._task.done()
        await client.close()
    seen["wrong password"] = await refusal(wrong_password(issplus, url))
    print(json.dumps(seen))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
