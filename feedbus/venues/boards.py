"""The boards of the Moscow Exchange that a symbol is often of, for venues that trade there. Pure.

They serve to tell a board from the code of a security in a symbol that is written wrongly. The list isn't whole, and
boards that aren't in it are as good. Source: https://iss.moex.com/iss/engines/stock/markets/shares/boards and those of
the markets bonds, selt, forts, options and index.
"""

from __future__ import annotations

import re

_SHARES_AND_FUNDS = "TQBR TQTF TQTD TQTE TQTY TQPI TQIF TQFD TQFE TQDP SMAL SPEQ EQBR EQTF FQBR FQDE PTEQ PTTF RPMO"
_BONDS = "TQCB TQOB TQOD TQOE TQOY TQRD TQUD TQED TQIR TQIU TQIY TQQD TQQY PACT PSOB PSBB EQOB EQCB SPOB"
_CURRENCIES_FUTURES_OPTIONS_INDICES = "CETS CNGD LIQB SPEC RFUD ROPD SNDX RTSI INAV"

BOARDS = frozenset(f"{_SHARES_AND_FUNDS} {_BONDS} {_CURRENCIES_FUTURES_OPTIONS_INDICES}".split())

SHARES_AND_FUNDS = frozenset(board for board in _SHARES_AND_FUNDS.split() if board.startswith("TQ"))
"""The main boards of shares and funds, which have the same hours."""

BONDS = frozenset(_BONDS.split())
"""Those of bonds, which the exchange has in a market of their own."""

USUAL_BOARD = "TQBR"
"""Where the exchange's shares are traded."""

_BETWEEN = re.compile(r"[.:/_\s-]+")
_CODE = re.compile(r"[A-Z0-9]{1,16}")


def board_and_code(symbol: str) -> tuple[str, str] | None:
    """Which board and code a text may mean, whatever is between them and in whichever order and case they are: `tqbr
    sber`, `SBER.TQBR`, `MOEX:SBER:TQBR`. A code alone (`sber`) is taken for a share. None when it can't be told.
    """
    parts = [part for part in _BETWEEN.split(symbol.upper()) if part]
    if len(parts) == 3 and parts[0] in ("MOEX", "MXSE"):
        del parts[0]
    if len(parts) == 1:
        parts.insert(0, USUAL_BOARD)
    if len(parts) != 2 or not all(map(_CODE.fullmatch, parts)):
        return None
    first, second = parts
    if first in BOARDS:
        return first, second
    return (second, first) if second in BOARDS else None
