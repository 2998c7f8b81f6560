"""Foreign text becomes fit for people, and so do lengths of time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.text import (
    escaped,
    escaped_json,
    mistaken,
    one_line,
    plain_decimal,
    quoted,
    replaced,
    shortened,
    time_span,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("go\r\naway \x1b[31mnow\x00", "go away [31mnow"),
        (" \n\t ", "nothing"),
        ("", "nothing"),
        ("a\u2028b", "a b"),
        ("нормальный период торгов", "нормальный период торгов"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text, empty="nothing") == shown


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
    assert escaped(text) == expected


@given(st.text())
def test_any_text_becomes_printable_and_bounded(text: str) -> None:
    assert escaped(text).isprintable()
    assert one_line(text, 10).isprintable()
    assert len(one_line(text, 10)) <= 10
    assert replaced(text).isprintable()
    assert len(replaced(text)) == len(text)
    assert len(quoted(text)) <= 40
    assert len(shortened(text, 10)) <= 10


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_json_keeps_its_value(value: dict[str, str]) -> None:
    line = escaped_json(json.dumps(value, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == value


def nested(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found


def test_any_value_is_quoted_in_little_time_however_large_or_nested_it_is() -> None:
    for value, shown in (
        ([1.5, "x\a"], r"[1.5, 'x\x07']"),
        ("y" * 1_000_000, "'" + "y" * 39),
        (["y" * 1_000_000] * 100_000, "['yyyyyyyyyyyy...yyyyyyyyyyyyy', 'yyyyyy"),
        ({at: nested(9) for at in range(10_000)}, "{0: [[...]], 1: [[...]], 2: [[...]], 3: "),
        (nested(100_000), "[[[...]]]"),
        (10**5000, "<a number of 16610 bits>"),
        (7, "7"),
    ):
        begin = time.process_time()
        assert quoted(value) == shown
        assert time.process_time() - begin < 0.1


def test_what_is_cut_says_so() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
    assert quoted("x" * 100) == "'" + "x" * 39
    assert quoted([1, "\n"]) == r"[1, '\n']"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d"), (9e6, "104 d")]
)
def test_a_length_of_time_is_said_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert time_span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1e15, "1000000000000000"),
        (3600.0, "3600"),
        (100, "100"),
        (0.1, "0.1"),
        (-1.5e-07, "-0.00000015"),
        (1.234e-05, "0.00001234"),
        (1.5e10, "15000000000"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_is_written_without_an_exponent(value: float, text: str) -> None:
    assert plain_decimal(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_plainly_is_the_same_number(value: float) -> None:
    assert float(plain_decimal(value)) == value
    assert "e" not in plain_decimal(value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 17))
def test_a_number_of_so_many_digits_is_the_rounded_one(value: float, digits: int) -> None:
    text = plain_decimal(value, digits)
    assert float(text) == float(f"{value:.{digits}g}")
    assert set(text) <= set("-.0123456789")
    assert "." not in text or text[-1] not in ".0"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("TQBR.SВER", ("TQBR.SBER", "'В' is a cyrillic capital letter ve")),  # noqa: RUF001
        ("mоex", ("moex", "'о' is a cyrillic small letter o")),  # noqa: RUF001
        ("ΒTC", ("BTC", "'Β' is a greek capital letter beta")),  # noqa: RUF001
        ("ＢＴＣ", ("BTC", "'Ｂ' is a fullwidth latin capital letter b")),  # noqa: RUF001
        ("TQBR.SBER", None),
        ("СБЕР", None),
        ("币安人生USDT", None),
        ("", None),
    ],
)
def test_letters_that_are_taken_for_latin_ones_are_found(text: str, seen: tuple[str, str] | None) -> None:
    assert mistaken(text) == seen
