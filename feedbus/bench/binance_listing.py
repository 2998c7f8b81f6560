"""The instruments of the benchmark's Binance, and the list of them that clients fetch over HTTP. Pure.

Clients compare names with this list and take how many decimals a price has from it. It holds the fields that the
clients in tests/bench/peers read, with the types of the real one. Only the standard library is used, so that the
venue's process starts quickly.
"""

from __future__ import annotations

import json

QUOTED_IN = "USDT"
_BASES = """
    BTC ETH BNB SOL XRP DOGE ADA AVAX TRX LINK DOT LTC BCH UNI ATOM ETC XLM NEAR APT FIL ARB OP INJ SUI AAVE GRT
    ALGO VET ICP FTM SAND MANA AXS THETA EGLD XTZ EOS FLOW CHZ SNX CRV COMP ZEC DASH ENJ BAT ZIL QTUM KSM IOTA
""".split()  # noqa: SIM905 (a list of them would be fifty lines)
_TICK = "0.00000001"


def binance_base(number: int) -> str:
    """The asset of the benchmark's instrument with this number."""
    at, more = number % len(_BASES), number // len(_BASES)
    return _BASES[at] if more == 0 else f"{_BASES[at]}{more}"


def binance_symbol(number: int) -> str:
    """The name of the benchmark's instrument with this number, as Binance writes names."""
    return binance_base(number) + QUOTED_IN


def exchange_info(count: int) -> bytes:
    """The body of the answer to GET /api/v3/exchangeInfo, with this many instruments."""
    found = {
        "timezone": "UTC",
        "serverTime": 1723161599999,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_listed(number) for number in range(count)],
    }
    return json.dumps(found).encode()


def _listed(number: int) -> dict[str, object]:
    flags = ("icebergAllowed", "ocoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop")
    permissions = ("isSpotTradingAllowed", "isMarginTradingAllowed")
    return {
        "symbol": binance_symbol(number),
        "status": "TRADING",
        "baseAsset": binance_base(number),
        "baseAssetPrecision": 8,
        "quoteAsset": QUOTED_IN,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        **dict.fromkeys((*flags, *permissions), True),
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": _TICK, "maxPrice": "9000000.00000000", "tickSize": _TICK},
            {"filterType": "LOT_SIZE", "minQty": _TICK, "maxQty": "9000.00000000", "stepSize": _TICK},
        ],
        "permissions": ["SPOT"],
    }
