"""The decimals that prices are written with: those of the instrument, or those that its prices need."""

from __future__ import annotations

import pytest

from feedbus.schema.events import Instrument
from feedbus.table import price_decimals
from feedbus.table.price_decimals import InstrumentDecimals, decimals, needed


def paper(symbol: str, said: int | None, venue: str = "moex") -> Instrument:
    return Instrument(venue, symbol, 0, 1, None, None, None, said, None, None, None, None)


def test_what_the_venue_says_is_known_by_venue_and_symbol() -> None:
    known = InstrumentDecimals()
    assert known.of("moex", "A") is None
    for said, found in ((2, 2), (3, 3), (None, None), (-1, None), (50, 8), (0, 0)):
        known.add(paper("A", said))
        assert known.of("moex", "A") == found
    assert known.of("alor", "A") is None


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_decimals, "MAX_KNOWN", 1)
    known = InstrumentDecimals()
    for each in (paper("A", 2), paper("B", 2), paper("A", 3)):
        known.add(each)
    assert (known.of("moex", "A"), known.of("moex", "B"), known.not_kept) == (3, None, 1)


def test_prices_need_the_decimals_of_the_finest_one() -> None:
    assert needed((306.1, None, 306.125)) == 3
    assert needed((306.1,), 2) == 2
    assert needed((None, None)) == 0


@pytest.mark.parametrize(
    ("price", "digits"),
    [(306.1, 1), (306.0, 0), (0.07525, 5), (1e-5, 5), (1e-12, 8), (0.1 + 0.2, 1), (1e300, 0), (0.0, 0),
     (float("nan"), 0), (float("inf"), 0), (12345.67, 2)],
)  # fmt: skip
def test_decimals_are_those_of_the_first_15_digits(price: float, digits: int) -> None:
    assert decimals(price) == digits
