"""Foreign text in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.telemetry.lines import printable, printable_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("TQBR.SBER é ж 😀", "TQBR.SBER é ж 😀"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x00\x7f", r"\x1b[2J\x00\x7f"),
        ("\u2028\x85\ud800\U000e0001", r"\u2028\x85\ud800\U000e0001"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_json_keeps_its_value(value: dict[str, str]) -> None:
    line = printable_json(json.dumps(value, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == value
