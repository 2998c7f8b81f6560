"""What the simulated ALOR's REST interface says of an instrument."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedbus.sim.alor.cards import card, cfi_code, market_of
from feedbus.sim.alor.wire import WireFormat
from tests.sim.alor.markets import venue


def cards(code: str, *keys: str) -> list[Any]:
    """The values of a key in Simple, Slim and Heavy; "-" where a format doesn't have it."""
    listing = venue().find("MOEX", code)
    assert listing is not None
    forms: tuple[WireFormat, ...] = ("simple", "slim", "heavy")
    written = [msgspec.json.decode(card(form, listing)) for form in forms]
    return [each.get(key, "-") for each, key in zip(written, keys, strict=True)]


@pytest.mark.parametrize(
    ("keys", "share", "future"),
    [
        (("symbol", "sym", "symbol"), ["SBER"] * 3, ["CNY-12.26"] * 3),
        (("lotsize", "lot", "lotSize"), [1] * 3, [1] * 3),
        (("minstep", "stp", "minStep"), [0.01] * 3, [0.001] * 3),
        (("roundTo", "roundTo", "roundTo"), ["-", "-", 2], ["-", "-", 5]),
        (("ISIN", "isin", "ISIN"), ["RU0009029540"] * 3, [""] * 3),
        (("primary_board", "pbd", "primaryBoard"), ["TQBR"] * 3, ["RFUD"] * 3),
        (("market", "-", "market"), ["FOND", "-", "FOND"], ["FORTS", "-", "FORTS"]),
        (("cfiCode", "cfi", "cfiCode"), ["ESXXXX"] * 3, ["FFXCSX"] * 3),
        (("tradingStatus", "st", "tradingStatus"), [17] * 3, [17] * 3),
    ],
)
def test_a_card_has_the_keys_of_its_format(keys: tuple[str, ...], share: list[Any], future: list[Any]) -> None:
    assert cards("SBER", *keys) == share
    assert cards("CNY-12.26", *keys) == future


def test_a_bond_is_on_the_market_of_securities() -> None:
    (bond,) = (each for (each,) in venue().listings.values() if each.security.kind == "bond")
    assert (market_of(bond), cfi_code(bond)) == ("FOND", "DBXXXX")
