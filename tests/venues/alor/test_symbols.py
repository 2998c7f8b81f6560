"""How symbols of ALOR are written, and what they stand for."""

from __future__ import annotations

import pytest

from feedbus.venues.alor.symbols import AlorSymbol, parse_symbol, symbol_problem


@pytest.mark.parametrize(
    ("symbol", "stands_for"),
    [
        ("SBER", AlorSymbol("MOEX", "SBER", None)),
        ("CNY-3.23", AlorSymbol("MOEX", "CNY-3.23", None)),
        ("SPBX:AAPL", AlorSymbol("SPBX", "AAPL", None)),
        ("MOEX:SBER:TQBR", AlorSymbol("MOEX", "SBER", "TQBR")),
        ("MOEX:CNY-3.23:RFUD", AlorSymbol("MOEX", "CNY-3.23", "RFUD")),
        ("MOEX", AlorSymbol("MOEX", "MOEX", None)),  # the exchange's own shares
        ("MOEX:MOEX:TQBR", AlorSymbol("MOEX", "MOEX", "TQBR")),
        ("BRK.B@US/x_1", AlorSymbol("MOEX", "BRK.B@US/x_1", None)),
        ("RTSI", AlorSymbol("MOEX", "RTSI", None)),  # an index, which a board is named after
        ("Si-12.26", AlorSymbol("MOEX", "Si-12.26", None)),
        ("X" * 32, AlorSymbol("MOEX", "X" * 32, None)),
    ],
)
def test_a_symbol_is_a_code_with_its_exchange_and_board(symbol: str, stands_for: AlorSymbol) -> None:
    assert symbol_problem(symbol) is None
    assert parse_symbol(symbol, "MOEX") == stands_for


def test_a_bare_code_is_of_the_exchange_that_is_usual() -> None:
    assert parse_symbol("AAPL", "SPBX") == AlorSymbol("SPBX", "AAPL", None)
    assert parse_symbol("MOEX:SBER", "SPBX") == AlorSymbol("MOEX", "SBER", None)


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("", "has no code"),
        ("MOEX:", "has no code"),
        ("MOEX::TQBR", "has no code"),
        ("TQBR:SBER", "begins with no exchange, of which there are MOEX and SPBX: did you mean MOEX:SBER:TQBR?"),
        ("SBER:TQBR", "begins with no exchange, of which there are MOEX and SPBX: did you mean MOEX:SBER:TQBR?"),
        ("tqbr.sber", "a code begins with a capital letter or a digit: did you mean MOEX:SBER:TQBR?"),
        ("TQBR.SBER", "a board stands where the code has to be: did you mean MOEX:SBER:TQBR?"),
        ("MOEX:TQBR:SBER", "a board stands where the code has to be: did you mean MOEX:SBER:TQBR?"),
        ("MOEX:SBER:tqbr", "its board is not written in A-Z, 0-9 and _: did you mean MOEX:SBER:TQBR?"),
        ("sber", "a code begins with a capital letter or a digit: did you mean SBER?"),
        ("si-12.26", "a code begins with a capital letter or a digit: did you mean Si-12.26?"),
        (":SBER", "begins with no exchange"),
        ("moex:SBER", "begins with no exchange, of which there are MOEX and SPBX: did you mean MOEX:SBER?"),
        ("MOEX:SBER:TQBR:1", "not CODE, EXCHANGE:CODE or EXCHANGE:CODE:BOARD, like MOEX:SBER:TQBR"),
        ("MOEX:SBER:", "its board is not written in A-Z, 0-9 and _"),
        ("MOEX:SBER:tqbr", "its board is not written in A-Z, 0-9 and _"),
        ("SBER ", "its code holds a space"),
        ("SB\0ER", "its code holds a space"),
        ("\n", "its code holds a space"),
        ("SBER\n", "its code holds a space"),
        ('SB"ER', "its code holds a space"),
        ("SB,ER", "its code holds a space"),
        ("СБЕР", "its code holds a space"),
        ("X" * 33, "its code holds a space, a quote, a comma, a backslash or no ASCII, or is over 32 characters"),
    ],
)
def test_what_can_not_be_subscribed_is_told_why(symbol: str, reason: str) -> None:
    found = symbol_problem(symbol)
    assert found is not None
    assert found.startswith(reason)
    assert found.isprintable()
