"""What the simulated Binance tells about its pairs: the body of /api/v3/exchangeInfo. Pure.

Source: binance-spot-api-docs, rest-api.md and filters.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from feedbus.sim.binance import wire
from feedbus.sim.binance.catalogue import Pair
from feedbus.sim.binance.market import BinanceInstrument

_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
_STP_MODES = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]


def exchange_info(instruments: Sequence[BinanceInstrument], server_time: int, weight_limit: int) -> bytes:
    """These pairs, the venue's time in ms and its limits."""
    return msgspec.json.encode(
        {
            "timezone": "UTC",
            "serverTime": server_time,
            "rateLimits": [
                _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
                _rate_limit("ORDERS", "SECOND", 10, 100),
                _rate_limit("ORDERS", "DAY", 1, 200_000),
                _rate_limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ],
            "exchangeFilters": [],
            "symbols": [_symbol(each) for each in instruments],
        }
    )


def _rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(instrument: BinanceInstrument) -> dict[str, Any]:
    pair = instrument.pair
    return {
        "symbol": pair.symbol,
        "status": instrument.status,
        "baseAsset": pair.base,
        "baseAssetPrecision": 8,
        "quoteAsset": pair.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(pair),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _STP_MODES,
    }


def _filters(pair: Pair) -> list[dict[str, Any]]:
    tick, lot, price = (
        wire.number(pair.tick),
        wire.number(pair.lot),
        wire.number(pair.price * 16 // pair.tick * pair.tick),
    )
    most = wire.number(pair.lot * 90_000_000)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": price, "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": most, "stepSize": "0.00000000"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]
