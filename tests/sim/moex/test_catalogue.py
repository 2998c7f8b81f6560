"""The listing: complete, unique, and what the ticker list in configs says."""

from __future__ import annotations

from collections import Counter

from feedbus.sim.moex.catalogue import search, securities, tickers
from tests.places import ROOT

LIST = ROOT / "configs" / "moex-1500.txt"


def test_at_least_1500_tickers_are_listed_each_once() -> None:
    assert len(tickers()) >= 1500
    assert len(set(tickers())) == len(tickers())
    boards = Counter(security.board for security in securities())
    assert boards["TQBR"] >= 80
    assert boards["TQTF"] >= 25
    assert boards["TQCB"] == len(tickers()) - boards["TQBR"] - boards["TQTF"]


def test_the_busy_names_come_first() -> None:
    assert tickers()[:4] == ["TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH", "TQBR.ROSN"]
    assert "TQTF.LQDT" in tickers()


def test_the_list_of_1500_is_the_head_of_the_listing() -> None:
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == 1500
    assert lines == tickers()[:1500]


def test_every_paper_fits_the_venues_limits() -> None:
    for security in securities():
        assert len(security.ticker) <= 25
        assert security.price // security.tick >= 400, security.symbol
        assert security.lot >= 1
        assert security.tick >= 1


def test_a_price_step_that_is_no_power_of_ten_is_kept() -> None:
    akron = next(security for security in securities() if security.secid == "AKRN")
    assert (akron.price, akron.tick, akron.decimals) == (18012, 2, 0)
    vtb = next(security for security in securities() if security.secid == "VTBR")
    assert (vtb.price, vtb.tick, vtb.decimals) == (73405, 5, 3)


def test_bond_codes_are_isins_with_a_right_check_digit() -> None:
    for security in securities():
        if security.board != "TQCB":
            continue
        assert security.secid.startswith("RU000A1")
        assert len(security.secid) == 12
        digits = "".join(str(int(char, 36)) for char in security.secid)[::-1]
        total = sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(digits))
        assert total % 10 == 0, security.secid


def test_search_finds_codes_and_names_in_either_case_and_the_code_itself_first() -> None:
    assert [security.secid for security in search("sber", 10)][:2] == ["SBER", "SBERP"]
    assert search("MXSE.TQBR.SBERP", 10)[0].secid == "SBERP"
    assert search("sbergank", 10) == []
    assert {security.secid for security in search("лукойл", 10)} == {"LKOH"}
    assert len(search("issuer", 7)) == 7
