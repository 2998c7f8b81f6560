"""Symbols of MOEX ISS+, and the destination and selector by which the venue knows them. Pure.

A symbol is written BOARD.SECID (`TQBR.SBER`) on the market MXSE, MARKET.BOARD.SECID (`FORTS.RFUD.SiZ6`) elsewhere.
"""

from __future__ import annotations

import re

from feedbus.text import hinted
from feedbus.venues.boards import BOARDS, board_and_code
from feedbus.venues.protocol import Subscription

DEFAULT_MARKET = "MXSE"
MARKETS = frozenset(
    {"MXSE", "MXCX", "MXAGRO", "MXSEBB", "MONEY", "FORTS", "OPTIONS", "INDICES", "CBRF", "FIXING", "SRATES"}
)
BOARD = re.compile(r"[A-Z0-9_]{1,12}")
MAX_TICKER = 25  # length of TICKER in the venue's own catalogue


def symbol_problem(symbol: str) -> str | None:
    """Returns why this symbol can't be subscribed, with the nearest one that can, or None when it can."""
    reason = _problem(symbol)
    return None if reason is None else hinted(reason, _nearest(symbol))


def _problem(symbol: str) -> str | None:
    parts = symbol.split(".")
    if not symbol.isprintable() or any(char in symbol for char in " \"'\\:,"):
        return "holds a character that a selector can't carry"
    if len(parts) < 2 or not all(parts):
        return "not BOARD.SECID, like TQBR.SBER"
    if parts[0] == DEFAULT_MARKET:
        return f"write it without {DEFAULT_MARKET}., which is understood"
    if parts[0] in MARKETS and len(parts) < 3:
        return f"not MARKET.BOARD.SECID, as the market {parts[0]} writes it"
    return _misspelt(parts) or _too_long(symbol)


def _misspelt(parts: list[str]) -> str | None:
    """The reason why these parts are wrong by themselves: their order, or their letters."""
    board, *rest = parts[1:] if parts[0] in MARKETS else parts
    if board not in BOARDS and rest[-1] in BOARDS:
        return "the board comes before the SECID"
    if not BOARD.fullmatch(board):
        return "a market and a board are written in A-Z, 0-9 and _"
    # In other markets a SECID may have small letters: SiZ6.
    if parts[0] not in MARKETS and "".join(rest) != "".join(rest).upper():
        return f"a SECID of the market {DEFAULT_MARKET} is written in capitals"
    return None


def _too_long(symbol: str) -> str | None:
    shown = ticker(symbol)
    return f"longer than {MAX_TICKER} characters as {shown}" if len(shown) > MAX_TICKER else None


def _nearest(symbol: str) -> str:
    """A symbol that this one may have been meant for; nothing when none is near."""
    market, dot, rest = symbol.partition(".")
    board, dot, secid = rest.partition(".")
    guesses = [f"{market.upper()}.{board.upper()}.{secid}", f"{market.upper()}.{secid.upper()}.{board}"]
    if market.upper() not in MARKETS or market.upper() == DEFAULT_MARKET or not dot:
        found = board_and_code(symbol)
        guesses = [".".join(found)] if found else [symbol.upper()]
    return next((guess for guess in guesses if guess != symbol and _problem(guess) is None), "")


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
