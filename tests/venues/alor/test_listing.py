"""What ALOR lists: which pages are asked for, what is read of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.sim.alor.market import futures
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import securities
from feedbus.sim.seam import SimRequest
from feedbus.testing.strategies import examples, mutated
from feedbus.venues.alor.account import Account
from feedbus.venues.alor.listing import (
    MAX_PAGES,
    MAX_ROWS,
    MAX_SEARCHES,
    AlorInstrumentList,
    board_problem,
    boards_of,
    pattern_of_codes_problem,
    selection_problem,
)
from feedbus.venues.listings import Lists, Selection, selected
from feedbus.venues.problems import MAX_PROBLEMS
from feedbus.venues.protocol import Fetch

FIRST = (
    "/md/v2/Securities?format=Heavy&limit=1000&offset=0&exchange=MOEX&instrumentGroup=TQBR&includeNonBaseBoards=true"
)


def row(code: Any, board: Any = "TQBR", **cells: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"cfiCode": "ESXXXX"}
    usual |= {"exchange": "MOEX", "primaryBoard": board, "ISIN": "RU1", "lotSize": 10, "minStep": 0.02, "roundTo": 2}
    return {
        "symbol": code,
        "board": board,
        "currency": "RUB",
        "type": "CS",
        "cfiCode": "ESXXXX",
        "tradingStatus": 17,
        **usual,
        **cells,
    }


def page(*rows: Any) -> bytes:
    return json.dumps(rows).encode()


def read(listing: AlorInstrumentList, serve: Callable[[str], bytes]) -> list[str]:
    """The whole conversation; returns the paths that were fetched."""
    paths = []
    to_do = list(listing.requests())
    while to_do:
        fetch = to_do.pop(0)
        paths.append(fetch.path)
        to_do += listing.fetched(fetch, 200, serve(fetch.path), 7)
    return paths


def names(listing: AlorInstrumentList) -> list[str]:
    return [instrument.symbol for instrument in listing.instruments()]


def offset(path: str) -> int:
    return int(parse_qs(path.partition("?")[2])["offset"][0])


def listing_of(*rows: Any) -> AlorInstrumentList:
    """What the page of one board makes."""
    listing = AlorInstrumentList(["TQBR"], "MOEX")
    read(listing, lambda _: page(*rows))
    return listing


def test_a_card_is_an_instrument_without_its_old_status() -> None:
    listing = listing_of(row("SBER"))
    assert listing.instruments() == [
        Instrument("alor", "MOEX:SBER:TQBR", 0, 7, "RU1", 10.0, 0.02, 2, "RUB", "TQBR", "CS", None)
    ]
    assert names(listing) == ["MOEX:SBER:TQBR"]
    assert (listing.problems(), listing.unlistable()) == ([], [])


def test_pages_overlap_and_are_asked_for_until_one_brings_nothing_new() -> None:
    """While the pages are turned, an instrument may change places with one of the page that was read before."""
    order = [row(f"S{number}") for number in range(50)]

    def serve(path: str) -> bytes:
        start, end = offset(path), min(offset(path) + 20, 48)
        rows = order[start : start + 20]
        order[end - 1 : end + 1] = reversed(order[end - 1 : end + 1])
        return page(*rows)

    listing = AlorInstrumentList(["TQBR"], "MOEX")
    paths = read(listing, serve)
    assert paths[0] == FIRST
    assert [offset(path) for path in paths] == [0, 18, 36, 49]
    assert sorted(names(listing)) == sorted(f"MOEX:S{number}:TQBR" for number in range(50))


def test_a_server_that_ignores_offset_is_asked_twice() -> None:
    listing = AlorInstrumentList(["TQBR"], "MOEX")
    assert len(read(listing, lambda _: page(row("A"), row("B")))) == 2
    assert names(listing) == ["MOEX:A:TQBR", "MOEX:B:TQBR"]


def test_each_board_is_asked_for_and_spbx_is_an_exchange_too() -> None:
    pages = {"TQBR": row("SBER"), "SPBX": row("AAPL", "SPBX", exchange="SPBX")}
    listing = AlorInstrumentList(["TQBR", "SPBX", "TQBR"], "MOEX")
    paths = read(
        listing, lambda path: page(next(pages[board] for board in pages if f"instrumentGroup={board}" in path))
    )
    assert [path.partition("exchange=")[2][:4] for path in paths] == ["MOEX", "SPBX", "MOEX", "SPBX"]
    assert names(listing) == ["MOEX:SBER:TQBR", "SPBX:AAPL"]


def test_a_board_without_any_is_refused() -> None:
    with pytest.raises(BadData, match=r"^the list of MOEX TQBR: no instruments that can be subscribed"):
        listing_of().instruments()


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(5), "the list of MOEX TQBR row 1: its symbol isn't text"),
        (row("S R"), "its code holds a space"),
        (row("X" * 40), "is over 32 characters"),
        ([], "Expected `object`, got `array`"),
        (row("GAZP", ISIN={}), "got `object` - at `$.ISIN`"),
        (row("GAZP", "SMAL"), "1 rows are of other boards or exchanges"),
        (row("GAZP", exchange="SPBX"), "1 rows are of other boards or exchanges"),
    ],
)
def test_a_row_that_is_no_instrument_is_passed_over_and_told(bad: Any, problem: str) -> None:
    listing = listing_of(row("SBER"), bad, row("LKOH"))
    assert names(listing) == ["MOEX:SBER:TQBR", "MOEX:LKOH:TQBR"]
    (told,) = listing.problems()
    assert problem in told


@pytest.mark.parametrize(
    ("cell", "value", "field"),
    [
        ("lotSize", 0, "lot"),
        ("lotSize", -1, "lot"),
        ("lotSize", 1e300, "lot"),
        ("lotSize", True, "lot"),
        ("minStep", "0.01", "tick_size"),
        ("roundTo", 19, "decimals"),
        ("roundTo", 2.0, "decimals"),
        ("ISIN", 5, "isin"),
        ("type", "x" * 200, "type"),
        ("currency", "a\nb", "currency"),
    ],
)
def test_a_cell_that_can_not_be_read_is_none_and_told(cell: str, value: Any, field: str) -> None:
    listing = listing_of(row("SBER", **{cell: value}))
    (instrument,) = listing.instruments()
    assert getattr(instrument, field) is None
    assert len(listing.problems()) == 1
    (missing,) = listing_of(row("SBER", **{cell: None})).instruments()
    assert getattr(missing, field) is None


def test_of_many_problems_a_few_are_told() -> None:
    listing = listing_of(row("SBER"), *(row(number) for number in range(100)))
    assert len(listing.problems()) == MAX_PROBLEMS
    assert f"{100 - MAX_PROBLEMS + 1} more" in listing.problems()[-1]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"[]", "HTTP 401"),
        (503, b"", "HTTP 503"),
        (200, b"<html>", "JSON is malformed"),
        (200, b"{}", "Expected `array`, got `object`"),
        (200, b"[" + b"0," * MAX_ROWS + b"0]", f"{MAX_ROWS + 1} rows, more than {MAX_ROWS}"),
        (200, b"[" + b"1e308," * 5000 + b"0]", "numbers with an exponent"),
    ],
)
def test_what_is_no_list_is_refused(status: int, body: bytes, reason: str) -> None:
    listing = AlorInstrumentList(["TQBR"], "MOEX")
    (fetch,) = listing.requests()
    with pytest.raises(BadData, match=reason) as caught:
        listing.fetched(fetch, status, body, 7)
    assert caught.value.place == "the list of MOEX TQBR from row 0"


def test_a_list_without_an_end_is_refused() -> None:
    listing = AlorInstrumentList(["TQBR"], "MOEX")
    with pytest.raises(BadData, match=f"the list has no end: {MAX_PAGES} rows on {MAX_PAGES} pages so far"):
        read(listing, lambda path: page(row(f"S{offset(path)}")))


@pytest.mark.parametrize(
    ("board", "problem"),
    [
        ("TQBR", None),
        ("SPBX", None),
        ("tqbr", "a board is written in capitals: did you mean TQBR?"),
        ("TQBR SBER", "not the code of a board, like TQBR"),
        ("", "not the code of a board, like TQBR"),
    ],
)
def test_a_board_is_checked(board: str, problem: str | None) -> None:
    assert board_problem(board) == problem


@pytest.mark.parametrize(
    ("kind", "currency"),
    [("ESXXXX", "RUB"), ("EUXXXX", "RUB"), ("CEXXXX", "RUB"), ("MRCXXX", "RUB"), ("DBXXXX", None), ("FFXCSX", None),
     ("OCXXXX", None), ("MRIXXX", None), ("", None), (None, None), (7, None)],
)  # fmt: skip
def test_only_what_is_priced_in_money_has_a_currency(kind: Any, currency: str | None) -> None:
    (found,) = listing_of(row("A", cfiCode=kind)).instruments()
    assert found.currency == currency


@pytest.mark.parametrize(
    ("pattern", "boards", "complaint"),
    [
        ("S*", [""], None),
        ("MOEX:S*", [""], None),
        ("MOEX:S*:TQBR", ["TQBR"], None),
        ("SPBX:A?PL:SPBX", ["SPBX"], None),
        ("MOEX:S*:TQ*", [], "a pattern has no * or ? in its board"),
        ("MOEX:S*:tqbr", [], "its board tqbr: a board is written in capitals: did you mean TQBR?"),
        ("A:B:C:D", [], "not CODE, EXCHANGE:CODE or EXCHANGE:CODE:BOARD"),
        ("", [], "a pattern has 1 to 64 characters"),
    ],
)
def test_a_pattern_is_of_a_board_or_of_the_primary_ones(pattern: str, boards: list[str], complaint: str | None) -> None:
    found = pattern_of_codes_problem(pattern)
    assert (found or "").startswith(complaint or "")
    assert (found is None) == (complaint is None)
    if complaint is None:
        assert boards_of(Selection(pattern=(pattern,))) == boards


def test_a_selection_asks_for_its_boards_or_for_the_primary_ones() -> None:
    assert boards_of(Selection(("TQBR",), ("S*",))) == ["TQBR"]
    assert boards_of(Selection(pattern=("S*", "MOEX:S*:TQBR"))) == ["", "TQBR"]
    assert boards_of(Selection(quote="RUB")) == [""]
    assert selection_problem(Selection(top=5)) is None
    assert selection_problem(Selection(("TQBR",), top=5)) is None
    assert (selection_problem(Selection(("TQBR", "TQTF"), top=5)) or "").startswith("on alor top is of one board")


def test_the_order_of_the_list_is_that_of_the_turnover() -> None:
    listing = AlorInstrumentList([""], "MOEX")
    asked = read(listing, lambda _: page(row("SBER"), row("GAZP"), row("LKOH")))
    assert "instrumentGroup" not in asked[0]
    assert names(listing) == ["SBER", "GAZP", "LKOH"]
    assert selected(listing.instruments(), listing.turnovers(), Selection(top=2)) == ["SBER", "GAZP"]


def test_where_a_code_is_not_found_those_that_begin_alike_are_listed() -> None:
    listing = AlorInstrumentList([], "MOEX", symbols=["SBRE", "SBXE", "Q"])
    found = {"SBR": row("SBRF"), "SBX": row("SBXX")}
    asked = read(listing, lambda path: page(*(row for code, row in found.items() if path.endswith(f"query={code}"))))
    assert [path.partition("query=")[2] for path in asked] == ["SBRE", "SBXE", "Q", "SBR", "SBX", "SBR", "SBX"]
    assert names(listing) == ["SBRF", "SBXX"]


# With the simulator, whose REST interface is asked without a token

LISTED = [*securities()[:40], *futures()]


def served(listing: AlorInstrumentList) -> list[str]:
    rest = AlorRest(AlorVenue(AlorSimOptions(), securities=LISTED))
    return read(listing, lambda path: rest(SimRequest("GET", path)).body)


def test_the_account_lists_boards_and_keeps_what_it_learns() -> None:
    account = Account({"refresh_token": "x"}, ["instruments"])
    assert isinstance(account, Lists)
    listing = account.listing(Selection(("RFUD",)))
    assert len(served(listing)) == 2
    assert names(listing) == [f"MOEX:{each.secid}:RFUD" for each in futures()]
    decimals = {each.symbol: (each.decimals, each.lot, each.isin, each.currency) for each in listing.instruments()}
    assert set(decimals.values()) == {(5, 1.0, None, None)}, "prices in points are in no currency"
    assert list(account._known.listed) == names(listing)


@pytest.mark.parametrize("more", [0, MAX_SEARCHES])
def test_instruments_are_found_under_the_names_that_they_have_here(more: int) -> None:
    """A few codes are searched for one by one, and more of them in the list of the exchange."""
    symbols = ["SBER", "MOEX:SBER", "MOEX:SBER:TQBR", "CNY-12.26", "NOPE", "MOEX:GAZP:SMAL"]
    listing = AlorInstrumentList([], "MOEX", symbols=[*symbols, *(f"X{number}" for number in range(more))])
    paths = served(listing)
    found = {each.symbol: each for each in listing.instruments()}
    assert [symbol for symbol in symbols if symbol in found] == ["SBER", "MOEX:SBER", "MOEX:SBER:TQBR", "CNY-12.26"]
    assert {found[symbol].isin for symbol in symbols[:3]} == {"RU0009029540"}
    found_at_once, around = [4, 3] if not more else [5, 0]
    assert len(paths) == found_at_once + around, "no further page once it is found, and what is like it when it isn't"
    assert any("query=" in path for path in paths) is not more
    assert "SBERP" in found, "so that a name can be proposed where one is wrong"


PAGE = page(row("SBER"), row("GAZP", lotSize=-1), row("LKOH", "SMAL"), 5)


@examples(60)
@given(data=st.data())
def test_whatever_is_answered_is_read_or_refused(data: st.DataObject) -> None:
    listing = AlorInstrumentList(["TQBR"], "MOEX")
    to_do: list[Fetch] = list(listing.requests())
    for _ in range(3):
        if to_do:
            status = data.draw(st.sampled_from([200, 200, 200, 429]))
            body = data.draw(mutated([PAGE]) | st.just(PAGE) | st.binary(max_size=20))
            try:
                to_do += listing.fetched(to_do.pop(), status, body, 7)
            except BadData:
                return
    assert all(text.isprintable() for text in listing.problems())
