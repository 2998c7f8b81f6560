"""Symbols of ALOR, and what they stand for: exchange, code and board. Pure.

`SBER` is the code SBER of the exchange in the options, on its primary board; `SPBX:AAPL` says the exchange, and
`MOEX:SBER:TQBR` the board too. Codes of futures hold dots and dashes (`CNY-3.23`), so it is ':' that separates.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EXCHANGES = ("MOEX", "SPBX")
MAX_CODE = 32

_CODE = re.compile(rf"[!-~]{{1,{MAX_CODE}}}")  # printable ASCII, no space
_BOARD = re.compile(r"[A-Z0-9_]{1,16}")
# These have a meaning in YAML, shells and lists, so that somewhere a symbol with them would be quoted wrongly.
_AWKWARD = frozenset("\"'\\,")


class AlorSymbol(NamedTuple):
    """What a symbol stands for. Without a board it is the instrument on its primary board."""

    exchange: str
    code: str
    board: str | None


def symbol_problem(symbol: str) -> str | None:
    """Returns why this symbol can't be subscribed, or None when it can."""
    parts = symbol.split(":")
    if len(parts) > 3:
        return "not CODE, EXCHANGE:CODE or EXCHANGE:CODE:BOARD, like MOEX:SBER:TQBR"
    if len(parts) > 1 and parts[0] not in EXCHANGES:
        return f"begins with no exchange: there are {' and '.join(EXCHANGES)}"
    code = parts[min(len(parts) - 1, 1)]
    if not code:
        return "has no code: write it like SBER or MOEX:SBER:TQBR"
    if not _CODE.fullmatch(code) or not _AWKWARD.isdisjoint(code):
        return f"its code holds a space, a quote, a comma, a backslash or no ASCII, or is over {MAX_CODE} characters"
    if len(parts) == 3 and not _BOARD.fullmatch(parts[2]):
        return "its board is not written in A-Z, 0-9 and _"
    return None


def parse_symbol(symbol: str, exchange: str) -> AlorSymbol:
    """Takes a valid symbol apart. `exchange` is the exchange of a symbol that is only a code."""
    parts = symbol.split(":")
    if len(parts) == 1:
        return AlorSymbol(exchange, symbol, None)
    return AlorSymbol(parts[0], parts[1], parts[2] if len(parts) == 3 else None)
