"""The three ways to say which symbols are wanted. What is refused is in tests/config/broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.config import symbols
from feedbus.config.model import BoardsConfig
from feedbus.config.symbols import Wanted
from feedbus.config.yaml_text import YamlReader, compose


def read(text: str, directory: Path = Path("/nowhere")) -> Wanted:
    return symbols.read(YamlReader({"BOARD": "TQBR"}), compose(text, "f"), directory)


@pytest.mark.parametrize("secid", ["NO", "1e5", "0x10", "null", "2024-01-01", "T", "Y", "010"])
def test_a_symbol_is_text_whatever_yaml_would_make_of_it(secid: str) -> None:
    wanted = read(f"[{secid}, TQBR.{secid}]")
    assert tuple(wanted.symbols) == (secid, f"TQBR.{secid}")
    assert wanted.chosen() is None


def test_symbols_may_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("\ufeff# boards\n\nTQBR.SBER\r\n  TQBR.NO  # a remark\n#TQBR.X\n".encode())
    wanted = read("{file: t.txt}", tmp_path)
    assert [(symbol, scalar.place.line) for symbol, scalar in wanted.symbols.items()] == [
        ("TQBR.SBER", 3),
        ("TQBR.NO", 4),
    ]
    assert wanted.symbols["TQBR.NO"].place.file == str(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("text", "boards"),
    [
        ("{boards: [TQBR]}", BoardsConfig(("TQBR",))),
        ("{boards: ['${BOARD}', TQTF], sample: 1500}", BoardsConfig(("TQBR", "TQTF"), 1500)),
        ("{boards: [NO], sample: , file: ~}", BoardsConfig(("NO",))),
    ],
)
def test_boards_stand_for_whatever_the_venue_lists_on_them(text: str, boards: BoardsConfig) -> None:
    wanted = read(text)
    assert wanted.chosen() == boards
    assert wanted.symbols == {}
