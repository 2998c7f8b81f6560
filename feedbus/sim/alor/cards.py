"""What the REST interface of the simulated ALOR says of an instrument, in the three formats. Pure.

The keys and their order are those of ALOR's OpenAPI specification. Heavy alone has the number of decimals (`roundTo`).
"""

from __future__ import annotations

import msgspec

from feedbus.sim.alor import wire
from feedbus.sim.alor.market import EXCHANGE, TYPES, AlorListing

MARKETS = {"future": "FORTS"}
"""ALOR's market of a kind of security; of all others it is FOND."""
_CFI = {"future": "FFXCSX", "bond": "DBXXXX", "fund": "EUXXXX"}

_SIMPLE = {
    "symbol": "symbol", "shortname": "short", "description": "description", "exchange": "exchange", "market": "market",
    "type": "type", "lotsize": "lot", "facevalue": "face", "cfiCode": "cfi", "cancellation": "cancellation",
    "minstep": "step", "rating": "zero", "marginbuy": "zero", "marginsell": "zero", "marginrate": "zero",
    "pricestep": "step", "priceMax": "price_max", "priceMin": "price_min", "theorPrice": "zero",
    "theorPriceLimit": "zero", "volatility": "zero", "currency": "currency", "ISIN": "isin", "yield": "none",
    "board": "board", "primary_board": "board", "tradingStatus": "status", "tradingStatusInfo": "status_text",
    "complexProductCategory": "none", "priceMultiplier": "one", "priceShownUnits": "one",
}  # fmt: skip
_SLIM = {
    "sym": "symbol", "n": "short", "desc": "description", "ex": "exchange", "t": "type", "lot": "lot", "fv": "face",
    "cfi": "cfi", "stp": "step", "cncl": "cancellation", "rt": "zero", "mgb": "zero", "mgs": "zero", "mgrt": "zero",
    "stppx": "step", "pxmx": "price_max", "pxmn": "price_min", "pxt": "zero", "pxtl": "zero", "pxmu": "one",
    "pxu": "one", "vl": "zero", "cur": "currency", "isin": "isin", "yld": "none", "bd": "board", "pbd": "board",
    "st": "status", "sti": "status_text", "cpct": "none",
}  # fmt: skip
_HEAVY = {
    "symbol": "symbol", "shortName": "short", "description": "description", "exchange": "exchange", "market": "market",
    "type": "type", "lotSize": "lot", "faceValue": "face", "cfiCode": "cfi", "cancellation": "cancellation",
    "minStep": "step", "roundTo": "decimals", "rating": "zero", "marginBuy": "zero", "marginSell": "zero",
    "marginRate": "zero", "priceStep": "step", "priceMax": "price_max", "priceMin": "price_min", "theorPrice": "zero",
    "theorPriceLimit": "zero", "volatility": "zero", "currency": "currency", "nominalCurrency": "currency",
    "settlementCurrency": "none", "underlyingCurrency": "none", "ISIN": "isin", "yield": "none", "board": "board",
    "primaryBoard": "board", "tradingStatus": "status", "tradingStatusInfo": "status_text",
    "complexProductCategory": "none", "priceMultiplier": "one", "priceShownUnits": "one",
}  # fmt: skip
_CARD: dict[wire.WireFormat, dict[str, str]] = {"simple": _SIMPLE, "slim": _SLIM, "heavy": _HEAVY}


def market_of(listing: AlorListing) -> str:
    """ALOR's name of the market that an instrument is traded on."""
    return MARKETS.get(listing.security.kind, "FOND")


def cfi_code(listing: AlorListing) -> str:
    """The code of an instrument's kind by ISO 10962."""
    return _CFI.get(listing.security.kind, "ESXXXX")


def card(form: wire.WireFormat, listing: AlorListing) -> str:
    """All that is said of one instrument, as JSON."""
    security = listing.security
    values: wire.Values = {
        **listing.state(),
        "short": security.name[:10],
        "description": security.name,
        "exchange": EXCHANGE,
        "market": market_of(listing),
        "type": TYPES[security.kind],
        "lot": security.lot,
        "face": security.face or 1,
        "cfi": cfi_code(listing),
        "cancellation": "2099-12-31T00:00:00",
        "step": wire.raw(wire.short(security.tick, security.decimals)),
        "decimals": security.decimals,
        "currency": "RUB",
        "isin": security.isin or "",
        "zero": 0,
        "one": 1,
        "none": None,
    }
    return msgspec.json.encode({key: values[name] for key, name in _CARD[form].items()}).decode()
