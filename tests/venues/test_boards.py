"""Boards and codes of the Moscow Exchange in whatever somebody wrote."""

from __future__ import annotations

import pytest

from feedbus.venues.boards import board_and_code


@pytest.mark.parametrize(
    ("symbol", "meant"),
    [
        *[(text, ("TQBR", "SBER")) for text in ("tqbr sber", "SBER.TQBR", "MOEX:SBER:TQBR", "MXSE.TQBR.SBER", "sber")],
        ("SU26238RMFS4_TQOB", ("TQOB", "SU26238RMFS4")),
        ("TQBR.TQTF", ("TQBR", "TQTF")),
        ("BTC-USDT", None),
        ("FORTS.RFUD.SiZ6", None),
        ("СБЕР", None),
        ("", None),
        (".", None),
        ("X" * 17, None),
    ],
)
def test_a_board_and_a_code_are_told_apart(symbol: str, meant: tuple[str, str] | None) -> None:
    assert board_and_code(symbol) == meant
