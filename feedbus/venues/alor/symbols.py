"""Symbols of ALOR, and what they stand for: exchange, code and board. Pure.

`SBER` is the code SBER of the exchange in the options, on its primary board; `SPBX:AAPL` says the exchange, and
`MOEX:SBER:TQBR` the board too. Codes of futures hold dots and dashes (`CNY-3.23`), so it is ':' that separates.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from feedbus.text import hinted
from feedbus.venues.boards import BOARDS, board_and_code

EXCHANGES = ("MOEX", "SPBX")
MAX_CODE = 32

_CODE = re.compile(rf"[!-~]{{1,{MAX_CODE}}}")  # printable ASCII, no space
_SEVERAL = re.compile(r"[.:/_\s]")
BOARD = re.compile(r"[A-Z0-9_]{1,16}")
# These have a meaning in YAML, shells and lists, so that somewhere a symbol with them would be quoted wrongly.
_AWKWARD = frozenset("\"'\\,")


class AlorSymbol(NamedTuple):
    """What a symbol stands for. Without a board it is the instrument on its primary board."""

    exchange: str
    code: str
    board: str | None


def symbol_problem(symbol: str) -> str | None:
    """Returns why this symbol can't be subscribed, with the nearest one that can, or None when it can."""
    reason = _problem(symbol)
    return None if reason is None else hinted(reason, _nearest(symbol))


def _problem(symbol: str) -> str | None:
    parts = symbol.split(":")
    if len(parts) > 3:
        return "not CODE, EXCHANGE:CODE or EXCHANGE:CODE:BOARD, like MOEX:SBER:TQBR"
    if len(parts) > 1 and parts[0] not in EXCHANGES:
        return f"begins with no exchange, of which there are {' and '.join(EXCHANGES)}"
    code = parts[min(len(parts) - 1, 1)]
    if not code:
        return "has no code, like SBER or MOEX:SBER:TQBR"
    if not _CODE.fullmatch(code) or not _AWKWARD.isdisjoint(code):
        return f"its code holds a space, a quote, a comma, a backslash or no ASCII, or is over {MAX_CODE} characters"
    if len(parts) == 3 and not BOARD.fullmatch(parts[2]):
        return "its board is not written in A-Z, 0-9 and _"
    return _misspelt(code, parts[2] if len(parts) == 3 else "")


def _misspelt(code: str, board: str) -> str | None:
    """The reason why a code and a board that are well formed can't be meant so."""
    before, dot, _ = code.partition(".")
    if (board and code in BOARDS and board not in BOARDS) or (dot and before in BOARDS):
        return "a board stands where the code has to be"
    # Codes of futures have small letters, but not at their beginning: Si-12.26.
    return "a code begins with a capital letter or a digit" if code[0].islower() else None


def _nearest(symbol: str) -> str:
    """A symbol that this one may have been meant for; nothing when none is near."""
    exchange, _, rest = symbol.partition(":")
    code = exchange if not rest else rest if exchange.upper() in EXCHANGES else symbol
    guesses = [f"{exchange.upper()}:{rest}"] if code == rest else []
    if _SEVERAL.search(code) and (found := board_and_code(code)):
        guesses.append(f"MOEX:{found[1]}:{found[0]}")
    guesses.append(code.upper() if code.isalpha() else code[:1].upper() + code[1:])
    return next((guess for guess in guesses if guess != symbol and _problem(guess) is None), "")


def parse_symbol(symbol: str, exchange: str) -> AlorSymbol:
    """Takes a valid symbol apart. `exchange` is the exchange of a symbol that is only a code."""
    parts = symbol.split(":")
    if len(parts) == 1:
        return AlorSymbol(exchange, symbol, None)
    return AlorSymbol(parts[0], parts[1], parts[2] if len(parts) == 3 else None)
