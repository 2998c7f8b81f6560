"""Symbols of MOEX ISS+, and the destination and selector by which the venue knows them. Pure.

A symbol is written BOARD.SECID (`TQBR.SBER`) on the market MXSE, MARKET.BOARD.SECID (`FORTS.RFUD.SiZ6`) elsewhere.
"""

from __future__ import annotations

from feedbus.venues.protocol import Subscription

DEFAULT_MARKET = "MXSE"
MARKETS = frozenset(
    {"MXSE", "MXCX", "MXAGRO", "MXSEBB", "MONEY", "FORTS", "OPTIONS", "INDICES", "CBRF", "FIXING", "SRATES"}
)
MAX_TICKER = 25  # length of TICKER in the venue's own catalogue


def symbol_problem(symbol: str) -> str | None:
    """Returns why this symbol can't be subscribed, or None when it can."""
    parts = symbol.split(".")
    if not symbol.isprintable() or any(char in symbol for char in " \"'\\:,"):
        return "holds a character that a selector can't carry"
    if len(parts) < 2 or not all(parts):
        return "not BOARD.SECID, like TQBR.SBER"
    if parts[0] == DEFAULT_MARKET:
        return f"write it without {DEFAULT_MARKET}., which is understood"
    if parts[0] in MARKETS and len(parts) < 3:
        return f"not MARKET.BOARD.SECID, as the market {parts[0]} writes it"
    if len(ticker(symbol)) > MAX_TICKER:
        return f"longer than {MAX_TICKER} characters as {ticker(symbol)}"
    return None


def ticker(symbol: str) -> str:
    """Returns MARKET.BOARD.SECID, which is how selectors name an instrument."""
    return symbol if symbol.split(".", 1)[0] in MARKETS else f"{DEFAULT_MARKET}.{symbol}"


def destination(subscription: Subscription) -> str:
    """`MXSE.orderbooks`: the market of the symbol, and the channel without its interval (`candles.M1`)."""
    return f"{ticker(subscription.symbol).split('.', 1)[0]}.{subscription.channel.partition('.')[0]}"


def selector(subscription: Subscription) -> str:
    """`TICKER="MXSE.TQBR.SBER"`, and `interval="M1"` for candles."""
    interval = subscription.channel.partition(".")[2]
    wanted = f'TICKER="{ticker(subscription.symbol)}"'
    return f'{wanted} and interval="{interval}"' if interval else wanted
