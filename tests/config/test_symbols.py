"""The three ways to say which symbols are wanted. What is refused is in tests/config/broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.config import symbols
from feedbus.config.symbols import Wanted
from feedbus.config.yaml_text import YamlReader, compose
from feedbus.venues.listings import Selection


def read(text: str, directory: Path = Path("/nowhere")) -> Wanted:
    return symbols.read(YamlReader({"BOARD": "TQBR"}), compose(text, "f"), directory)


@pytest.mark.parametrize("secid", ["NO", "1e5", "0x10", "null", "2024-01-01", "T", "Y", "010"])
def test_a_symbol_is_text_whatever_yaml_would_make_of_it(secid: str) -> None:
    wanted = read(f"[{secid}, TQBR.{secid}]")
    assert tuple(wanted.symbols) == (secid, f"TQBR.{secid}")
    assert wanted.selection is None


def test_symbols_may_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("\ufeff# boards\n\nTQBR.SBER\r\n  TQBR.NO  # a remark\n#TQBR.X\n".encode())
    wanted = read("{file: t.txt}", tmp_path)
    assert [(symbol, scalar.place.line) for symbol, scalar in wanted.symbols.items()] == [
        ("TQBR.SBER", 3),
        ("TQBR.NO", 4),
    ]
    assert wanted.symbols["TQBR.NO"].place.file == str(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("{boards: [TQBR]}", Selection(("TQBR",))),
        ("{boards: ['${BOARD}', TQTF], sample: 1500}", Selection(("TQBR", "TQTF"), sample=1500)),
        ("{boards: [NO], sample: , file: ~}", Selection(("NO",))),
        ("{quote: USDT, top: 200}", Selection(quote="USDT", top=200)),
        ("{pattern: '${BOARD}.S*'}", Selection(pattern=("TQBR.S*",))),
        ("{pattern: [NO?, '*USDT'], boards: [A], sample: 3}", Selection(("A",), ("NO?", "*USDT"), sample=3)),
        ("{top: 5}", Selection(top=5)),
    ],
)
def test_a_selection_stands_for_whatever_the_venue_lists(text: str, selection: Selection) -> None:
    wanted = read(text)
    assert wanted.selection == selection
    assert wanted.symbols == {}
    assert (tuple(wanted.boards), tuple(wanted.patterns)) == (selection.boards, selection.pattern)
