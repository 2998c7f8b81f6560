"""brokapi's ALOR client, unchanged, put through its paces.

usage: brokapi_client.py URL
Runs in an environment of its own that has brokapi. URL is where tokens, REST and WebSocket are. Prints one JSON line of
what it saw.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import brokapi
from brokapi import Backpressure

ENOUGH = 5
"""Of each subscription's events."""


async def refusal(action: Awaitable[object]) -> list[str] | None:
    try:
        await action
    except brokapi.BrokapiError as error:
        return [type(error).__name__, str(error)]
    return None


def written(payload: Any) -> dict[str, Any]:
    kind = type(payload).__name__
    if kind == "OrderBookSnapshot":
        sides = {"bids": payload.bids, "asks": payload.asks}
        return {
            "kind": kind,
            **{name: [[str(each.price), str(each.qty)] for each in side] for name, side in sides.items()},
        }
    if kind == "MarketTrade":
        return {"kind": kind, "id": payload.trade_id, "price": str(payload.price), "side": payload.side.value}
    if kind == "Quote":
        return {"kind": kind, "bid": str(payload.bid.price), "ask": str(payload.ask.price)}
    return {"kind": kind}


async def read(client: Any, subscriptions: list[int], silent: list[int]) -> dict[int, list[Any]]:
    """Events until there are enough of each subscription but the silent ones."""
    seen: dict[int, list[Any]] = {subscription: [] for subscription in subscriptions}
    async for envelope in client.events:
        if envelope.sub in seen:
            seen[envelope.sub].append(written(envelope.payload))
        if all(len(events) >= ENOUGH for subscription, events in seen.items() if subscription not in silent):
            return seen
    return seen


async def main(url: str, trades: str) -> None:
    seen: dict[str, Any] = {}
    client = await brokapi.connect("alor", refresh_token="refresh", portfolio="D00001", endpoint=url)
    sber, future = await client.instrument("SBER"), await client.instrument("CNY-12.26", "RFUD")
    card = await client.get_instrument(sber)
    seen["instrument"] = [card.isin, card.exchange, card.currency]
    seen["steps"] = [str((await client.trading_params(each)).price_step) for each in (sber, future)]
    seen["book"] = written(await client.order_book(sber, depth=3))
    subscriptions = {
        "books": await client.subscribe_order_book(sber, depth=5),
        "quotes": await client.subscribe_quotes(sber),
        "trades": await client.subscribe_trades(future, backpressure=Backpressure.lossless(1000)),
    }
    silent = [] if trades == "trades" else [subscriptions["trades"]]
    events = await read(client, list(subscriptions.values()), silent)
    seen["events"] = {name: events[subscription] for name, subscription in subscriptions.items()}
    await client.unsubscribe(subscriptions["books"])
    later = await read(client, [subscriptions["quotes"], subscriptions["books"]], [subscriptions["books"]])
    seen["after unsubscribe"] = dict(Counter(event["kind"] for events in later.values() for event in events))
    unknown = await client.instrument("NOPE")
    seen["unknown"] = await refusal(client.subscribe_order_book(unknown, depth=5))
    await client.close()
    seen["refused"] = await refusal(brokapi.connect("alor", refresh_token="wrong", portfolio="D00001", endpoint=url))
    print(json.dumps(seen), flush=True)
    os._exit(0)  # the threads of brokapi's core may crash an interpreter that ends in the usual way


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
