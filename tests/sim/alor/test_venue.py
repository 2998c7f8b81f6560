"""What the simulated ALOR lists, and how its instruments are found."""

from __future__ import annotations

import pytest

from feedbus.sim.alor import market
from feedbus.sim.alor.market import futures
from feedbus.sim.alor.venue import AlorCounters, AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import Security, securities
from tests.sim.alor.markets import START_NS, venue


@pytest.mark.parametrize(
    ("exchange", "code", "board", "found"),
    [
        ("MOEX", "SBER", "TQBR", "TQBR.SBER"),
        ("MOEX", "SBER", None, "TQBR.SBER"),
        ("MOEX", "SBER", "", "TQBR.SBER"),
        ("MOEX", "SBER", "TQTF", None),
        ("MOEX", "CNY-12.26", None, "RFUD.CNY-12.26"),
        ("MOEX", "sber", None, None),
        ("SPBX", "SBER", None, None),
        ("MOEX", "NOPE", None, None),
        (None, "SBER", None, None),
        ("MOEX", None, None, None),
        ("MOEX", ["SBER"], None, None),
        ("MOEX", "SBER", ["TQBR"], None),
    ],
)
def test_an_instrument_is_found_by_exchange_code_and_board(
    exchange: object, code: object, board: object, found: str | None
) -> None:
    listing = venue().find(exchange, code, board)
    assert (listing.security.symbol if listing else None) == found


def test_a_code_without_a_board_is_that_of_the_board_listed_first() -> None:
    (security,) = securities()[:1]
    other = Security(**{field: getattr(security, field) for field in Security.__struct_fields__} | {"board": "SMAL"})
    both = venue([security, other])
    listings = [both.find("MOEX", "SBER"), both.find("MOEX", "SBER", "SMAL")]
    assert [each.security.board for each in listings if each] == ["TQBR", "SMAL"]


def test_everything_is_listed_and_no_futures_in_the_catalogue_itself() -> None:
    everything = AlorVenue(AlorSimOptions(start_ns=START_NS))
    assert everything.market.instruments.keys() == {security.symbol for security in (*securities(), *futures())}
    assert len(everything.market.instruments) < market._INSTRUMENTS
    assert {security.kind for security in securities()} == {"share", "fund", "bond"}
    assert isinstance(everything.counters, AlorCounters)
