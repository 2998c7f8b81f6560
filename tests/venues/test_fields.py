"""What the types of fields let through."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from feedbus.venues.fields import DECODE_ERRORS, LARGE, MAX_EXPONENTS, Amount, Milliseconds, Price, Whole, too_dear


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (Price, ["0.5", "1e99"], ["0", "-1", "1e100", "1e999", "NaN", "null"]),
        (Amount, ["0", "1e99"], ["-0.1", "1e100", "Infinity"]),
        (Whole, ["0", str(2**63 - 1)], ["-1", str(2**63), "1.5"]),
        (Milliseconds, ["0", str(2**63 // 1_000_000 - 1)], ["-1", str(2**63 // 1_000_000)]),
    ],
)
def test_only_numbers_that_are_sound_are_read(field: Any, good: list[str], bad: list[str]) -> None:
    decode = msgspec.json.Decoder(field, strict=False).decode
    for text in good:
        assert decode(text) == decode(f'"{text}"') == json.loads(text)
    for text in bad:
        with pytest.raises(DECODE_ERRORS):
            decode(text)


def test_a_large_message_with_many_exponents_is_too_dear_to_be_decoded() -> None:
    few, many = (b"[" + b",".join([b"1E+308"] * count) + b"]" for count in (MAX_EXPONENTS, MAX_EXPONENTS + 1))
    assert (too_dear(few), too_dear(many)) == ("", f"more than {MAX_EXPONENTS} numbers with an exponent")
    assert too_dear(many[:LARGE]) == too_dear(b"the e of a text, 10 times 2 " * LARGE) == ""
