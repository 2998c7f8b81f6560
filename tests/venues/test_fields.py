"""What the types of fields let through."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from feedbus.venues.fields import DECODE_ERRORS, Amount, Milliseconds, Price, Whole


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
