"""What MOEX lists on a board: which pages are asked for, what is read of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.venues.listings import Selection
from feedbus.venues.moex.listing import (
    MAX_PAGES,
    MAX_ROWS,
    MoexListing,
    board_problem,
    boards_of,
    pattern_of_symbols_problem,
)
from feedbus.venues.problems import MAX_PROBLEMS
from feedbus.venues.protocol import Fetch
from tests.places import CAPTURES

CAPTURE = CAPTURES / "moex" / "iss_rest_tqbr_securities_example.json"
COLUMNS = ["SECID", "BOARDID", "LOTSIZE", "STATUS", "DECIMALS", "MINSTEP", "ISIN", "CURRENCYID", "SECTYPE"]


def row(secid: Any, board: Any = "TQBR", **cells: Any) -> list[Any]:
    usual = {"LOTSIZE": 10, "STATUS": "A", "DECIMALS": 2, "MINSTEP": 0.02, "ISIN": "RU1", "CURRENCYID": "SUR"}
    values = {**usual, "SECTYPE": "1", **cells, "SECID": secid, "BOARDID": board}
    return [values[name] for name in COLUMNS]


def page(*rows: Sequence[Any], columns: Sequence[str] = COLUMNS, statuses: dict[str, Any] | None = None) -> bytes:
    blocks: dict[str, Any] = {"securities": {"columns": columns, "data": rows}}
    if statuses is not None:
        blocks["marketdata"] = {"columns": ["SECID", "TRADINGSTATUS"], "data": list(statuses.items())}
    return json.dumps(blocks).encode()


def path(start: int, board: str = "TQBR", where: str = "engines/stock/markets/shares") -> str:
    query = f"iss.meta=off&iss.only=securities,marketdata&start={start}&limit=1000"
    return f"/iss/{where}/boards/{board}/securities.json?{query}"


def names(listing: MoexListing) -> list[str]:
    return [instrument.symbol for instrument in listing.instruments()]


def read(listing: MoexListing, serve: Callable[[str], bytes]) -> list[str]:
    """The whole conversation; returns the paths that were fetched."""
    paths = []
    to_do = listing.requests()
    while to_do:
        fetch = to_do.pop(0)
        paths.append(fetch.path)
        to_do += listing.fetched(fetch, 200, serve(fetch.path), 7)
    return paths


def listing_of(*rows: Sequence[Any]) -> MoexListing:
    """What one page makes."""
    listing = MoexListing(["TQBR"])
    read(listing, lambda asked: page(*rows) if "start=0&" in asked else page())
    return listing


def test_a_paper_is_an_instrument_whose_tick_is_its_minstep() -> None:
    listing = listing_of(row("AKRN", LOTSIZE=1, DECIMALS=0, MINSTEP=2, ISIN="RU0009028674"))
    assert listing.instruments() == [
        Instrument(
            "moex", "TQBR.AKRN", 0, 7, isin="RU0009028674", lot=1.0, tick_size=2.0, decimals=0, currency="SUR",
            board="TQBR", type="1", status=None,
        )
    ]  # fmt: skip
    assert names(listing) == ["TQBR.AKRN"]
    assert listing.problems() == []


def test_pages_are_asked_for_until_one_is_empty_and_start_counts_the_rows_that_came() -> None:
    pages = {path(0): page(row("A"), row("B")), path(2): page(row("C")), path(3): page()}
    listing = MoexListing(["TQBR"])
    assert read(listing, pages.__getitem__) == [path(0), path(2), path(3)]
    assert names(listing) == ["TQBR.A", "TQBR.B", "TQBR.C"]


def test_a_server_that_ignores_start_is_asked_twice() -> None:
    listing = MoexListing(["TQBR"])
    assert read(listing, lambda asked: page(row("A"), row("B"))) == [path(0), path(2)]
    assert names(listing) == ["TQBR.A", "TQBR.B"]


def test_a_page_that_repeats_in_part_is_taken_for_what_is_new() -> None:
    pages = {path(0): page(row("A"), row("B")), path(2): page(row("B"), row("C")), path(4): page()}
    listing = MoexListing(["TQBR"])
    read(listing, pages.__getitem__)
    assert names(listing) == ["TQBR.A", "TQBR.B", "TQBR.C"]


def test_boards_are_listed_one_after_the_other_and_none_twice() -> None:
    listing = MoexListing(["TQTF", "TQBR", "TQTF"])
    assert listing.requests() == [Fetch(path(0, "TQTF")), Fetch(path(0))]
    listing = MoexListing(["TQTF", "TQBR"])
    read(listing, lambda asked: page(row("A", "TQTF" if "TQTF" in asked else "TQBR")))
    assert names(listing) == ["TQTF.A", "TQBR.A"]


def test_answers_may_come_in_any_order() -> None:
    listing = MoexListing(["TQTF", "TQBR"])
    first, second = listing.requests()
    assert listing.fetched(second, 200, page(row("B")), 7) == [Fetch(path(1))]
    listing.fetched(first, 200, page(row("A", "TQTF")), 7)
    assert names(listing) == ["TQTF.A", "TQBR.B"]


def test_a_list_without_an_end_is_bad_data() -> None:
    listing = MoexListing(["TQBR"])
    asked: list[str] = []

    def endless(path: str) -> bytes:
        asked.append(path)
        return page(row(f"S{len(asked)}"))

    with pytest.raises(BadData, match="the list has no end"):
        read(listing, endless)
    assert len(asked) == MAX_PAGES


HTML = "a page of HTML, as ISS answers without an entitlement, with an expired token, or in trouble"


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, b"\n <!DOCTYPE html><html>", f"ISS TQBR from row 0: HTTP 200: {HTML}"),
        (403, b"<html>", f"HTTP 403: {HTML}"),
        (404, b"", "ISS TQBR from row 0: HTTP 404"),
        (302, b"{}", "HTTP 302"),
        (200, b"", "Input data was truncated"),
        (200, b"\xff", "ISS TQBR from row 0"),
        (200, b"[" * 100_000, "ISS TQBR from row 0"),
        (200, b"[]", "Expected `object`, got `array`"),
        (200, b"{}", "missing required field `securities`"),
        (200, b'{"securities":{"columns":[]}}', "missing required field `data`"),
        (200, page(columns=["SECID"]), "column BOARDID is missing"),
        (200, page(columns=["BOARDID"]), "column SECID is missing"),
        (200, page(["A"]), f"row 0 has 1 cells for {len(COLUMNS)} columns"),
        (200, page(*[[]] * (MAX_ROWS + 1)), f"{MAX_ROWS + 1} rows, more than {MAX_ROWS}"),
    ],
)
def test_what_is_no_list_is_bad_data_that_says_what_came(status: int, body: bytes, complaint: str) -> None:
    listing = MoexListing(["TQBR"])
    (fetch,) = listing.requests()
    with pytest.raises(BadData) as caught:
        listing.fetched(fetch, status, body, 7)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_board_that_lists_nothing_is_bad_data() -> None:
    listing = MoexListing(["TQBR", "TQOB"])
    read(listing, lambda asked: page(row("A")) if "TQBR" in asked else page())
    with pytest.raises(
        BadData, match="ISS TQOB: no instruments that can be subscribed; is it a board of engines/stock/markets/bonds"
    ):
        names(listing)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(None), "ISS TQBR from row 0 row 1: not text: None"),
        (row(7), "row 1: not text: 7"),
        (row(""), "row 1: not BOARD.SECID, like TQBR.SBER"),
        (row("A B"), "row 1: holds a character that a selector can't carry: 'A B'"),
        (row('A"B\n'), "holds a character that a selector can't carry"),
        (row("ABCDEFGHIJKLMNOPQ"), "longer than 25 characters as MXSE.TQBR.ABCDEFGHIJKLMNOPQ"),
        (row("B", "TQTF"), "row 1: of another board, 'TQTF': 'B'"),
        (row("B", None), "of another board, None"),
    ],
)
def test_a_row_that_is_no_paper_is_passed_over_and_reported(bad: list[Any], problem: str) -> None:
    listing = listing_of(row("A"), bad, row("C"))
    assert names(listing) == ["TQBR.A", "TQBR.C"]
    (reported,) = listing.problems()
    assert problem in reported
    assert reported.isprintable()


@pytest.mark.parametrize(
    ("column", "cell", "field", "problem"),
    [
        ("LOTSIZE", "x", "lot", "LOTSIZE: not a number: 'x'"),
        ("LOTSIZE", 0, "lot", "LOTSIZE: not above zero, or absurd: 0"),
        ("MINSTEP", -0.5, "tick_size", "MINSTEP: not above zero, or absurd: -0.5"),
        ("DECIMALS", 2.0, "decimals", "DECIMALS: not a number of decimals: 2.0"),
        ("DECIMALS", -1, "decimals", "DECIMALS: not a number of decimals: -1"),
        ("ISIN", 7, "isin", "ISIN: not a short text: 7"),
        ("CURRENCYID", "S" * 65, "currency", "CURRENCYID: not a short text"),
    ],
)
def test_a_cell_that_can_not_be_read_is_none_and_reported(column: str, cell: Any, field: str, problem: str) -> None:
    listing = listing_of(row("A", **{column: cell}))
    (paper,) = listing.instruments()
    assert getattr(paper, field) is None
    (reported,) = listing.problems()
    assert problem in reported
    assert reported.isprintable()


def test_missing_columns_and_nulls_are_none() -> None:
    listing = MoexListing(["TQBR"])
    read(listing, lambda asked: page(["A", "TQBR", None], columns=["SECID", "BOARDID", "LOTSIZE"]))
    assert listing.instruments() == [
        Instrument("moex", "TQBR.A", 0, 7, None, None, None, None, None, board="TQBR", type=None, status=None)
    ]


def test_the_status_is_the_trading_status_as_in_the_tickers() -> None:
    listing = MoexListing(["TQBR"])
    statuses = {"A": "T", "B": "N", "D": "\x1b", "X": "T"}
    read(listing, lambda asked: page(row("A"), row("B"), row("C"), row("D"), statuses=statuses))
    assert [paper.status for paper in listing.instruments()] == ["T", "N", None, None]
    (reported,) = listing.problems()
    assert "TRADINGSTATUS: not a short text" in reported


@pytest.mark.parametrize(
    ("board", "where", "currency"),
    [
        ("TQBR", "engines/stock/markets/shares", "SUR"),
        ("TQCB", "engines/stock/markets/bonds", None),
        ("MXCX.CETS", "engines/currency/markets/selt", "SUR"),
        ("FORTS.RFUD", "engines/futures/markets/forts", None),
        ("INDICES.SNDX", "engines/stock/markets/index", None),
    ],
)
def test_each_market_has_its_path_and_a_currency_where_prices_are_money(
    board: str, where: str, currency: str | None
) -> None:
    listing = MoexListing([board])
    name = board.rpartition(".")[2]
    assert read(listing, lambda asked: page(row("A", name))) == [path(0, name, where), path(1, name, where)]
    (found,) = listing.instruments()
    assert (found.symbol, found.board, found.currency) == (f"{board}.A", name, currency)


def test_the_boards_of_named_symbols_are_asked_and_may_be_empty() -> None:
    symbols = ["TQBR.A", "TQBR.NO", "TQTF.X", "FORTS.RFUD.SiZ6", "SRATES.ABCD.E"]
    listing = MoexListing((), symbols=symbols)
    asked = read(listing, lambda asked: page(row("A")) if "TQBR" in asked else page())
    assert asked == [path(0), path(0, "TQTF"), path(0, "RFUD", "engines/futures/markets/forts"), path(1)]
    assert names(listing) == ["TQBR.A"]
    assert listing.unlistable() == ["SRATES.ABCD.E"], "ISS has no market that is known to be this one"


def test_the_turnover_of_the_last_day_comes_from_the_history_in_pages() -> None:
    def history(asked: str) -> bytes:
        rows = {"start=0&": [["TQBR", "A", 5.5], ["TQBR", "B", 7]], "start=2&": [["TQBR", "C", None]]}
        data = next((found for start, found in rows.items() if start in asked), [])
        return json.dumps({"history": {"columns": ["BOARDID", "SECID", "VALUE"], "data": data}}).encode()

    listing = MoexListing(["TQBR"], turnover=True)
    asked = read(listing, lambda asked: history(asked) if "/history/" in asked else page(row("A"), row("B"), row("C")))
    assert [path.partition("?")[2] for path in asked if "/history/" in path] == [
        f"iss.meta=off&iss.only=history&start={start}&limit=100" for start in (0, 2, 3)
    ]
    assert listing.turnovers() == {"TQBR.A": 5.5, "TQBR.B": 7.0}


def test_reported_rows_are_bounded_and_counted() -> None:
    listing = listing_of(row("A"), *[row(f"B {number}") for number in range(20)])
    assert len(listing.problems()) == MAX_PROBLEMS
    assert listing.problems()[-1] == f"ISS: {20 - MAX_PROBLEMS + 1} more of its rows or cells can't be used"


@pytest.mark.parametrize(
    ("board", "complaint"),
    [
        ("TQBR", None),
        ("SPEQ_2", None),
        ("tqbr", "a board is written in capitals: did you mean TQBR?"),
        ("", "not the code of a board, like TQBR"),
        ("TQBR/../x", "not the code of a board"),
        ("TQBR?start=0", "not the code of a board"),
        ("ТQBR", "not the code of a board"),  # noqa: RUF001 (a Cyrillic letter)
        ("TQBR\n", "not the code of a board"),
        ("A" * 13, "not the code of a board"),
        ("FORTS", "a market, not a board"),
        ("FORTS.RFUD", None),
        ("forts.rfud", "a board is written in capitals: did you mean FORTS.RFUD?"),
        ("MXSE.TQBR", "not the code of a board"),
        ("CBRF.CBRF_", "ISS isn't asked for this market; it is for FORTS, INDICES, MXCX, MXSE, OPTIONS"),
    ],
)
def test_a_board_is_a_short_code_in_capitals(board: str, complaint: str | None) -> None:
    assert (board_problem(board) or "").startswith(complaint or "")
    assert (board_problem(board) is None) == (complaint is None)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("TQBR.S*", None),
        ("TQBR.*", None),
        ("FORTS.RFUD.Si??", None),
        ("TQBR.SBER", None),
        ("S*", "a pattern begins with its board: did you mean TQBR.S*?"),
        ("*.SBER", "a pattern has its * and ? behind the board"),
        ("TQ?R.SBER", "a pattern has its * and ? behind the board"),
        ("tqbr.S*", "its board tqbr: a board is written in capitals: did you mean TQBR?"),
        ("FORTS.S*", "its board FORTS: a market, not a board"),
        ("", "a pattern has 1 to 64 characters"),
        ("TQBR. *", "a pattern holds no space"),
    ],
)
def test_a_pattern_names_its_board(pattern: str, complaint: str | None) -> None:
    found = pattern_of_symbols_problem(pattern)
    assert (found or "").startswith(complaint or "")
    assert (found is None) == (complaint is None)


def test_the_boards_of_a_selection_are_its_own_or_those_of_its_patterns() -> None:
    assert boards_of(Selection(("TQTF",), ("TQBR.S*",))) == ["TQTF"]
    assert boards_of(Selection(pattern=("TQBR.S*", "FORTS.RFUD.Si*", "TQBR.A"))) == ["TQBR", "FORTS.RFUD"]
    assert boards_of(Selection(quote="RUB", top=5)) == []


def assert_readable(error: BadData) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 300


CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
NAMES = st.sampled_from([*COLUMNS, "X"])


@given(st.lists(NAMES, max_size=6).flatmap(
    lambda names: st.tuples(st.just(names), st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)),
                                                     max_size=4))
))  # fmt: skip
def test_any_page_of_the_right_outer_shape_is_a_list_or_bad_data(content: tuple[list[str], list[list[Any]]]) -> None:
    columns, rows = content
    listing = MoexListing(["TQBR"])
    try:
        read(listing, lambda asked: page(row("A")) if "start=0&" in asked else page(*rows, columns=columns))
    except BadData as error:
        assert_readable(error)
    else:
        assert names(listing)[0] == "TQBR.A"
    assert all(problem.isprintable() for problem in listing.problems())


@given(st.binary(max_size=40), st.integers(100, 599))
def test_any_bytes_are_bad_data(body: bytes, status: int) -> None:
    listing = MoexListing(["TQBR"])
    (fetch,) = listing.requests()
    with pytest.raises(BadData) as caught:
        listing.fetched(fetch, status, body, 7)
    assert str(caught.value).isprintable()


def test_the_captured_page_is_read() -> None:
    if not CAPTURE.exists():
        pytest.skip("the captures aren't on this machine")
    listing = MoexListing(["TQBR"])
    read(listing, lambda asked: CAPTURE.read_bytes())
    assert names(listing) == ["TQBR.ABIO", "TQBR.ABRD", "TQBR.AFKS", "TQBR.AFLT", "TQBR.AKRN"]
    assert [paper.tick_size for paper in listing.instruments()] == [0.02, 0.2, 0.001, 0.01, 2]
    assert [paper.decimals for paper in listing.instruments()] == [2, 1, 3, 2, 0]
    assert listing.problems() == []
