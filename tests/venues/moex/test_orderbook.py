"""Order books of MOEX: one of them, and what is said of those that can't be read.

That any book, in whatever columns and numbers, is what its body says is held by a reference in
tests/properties/test_moex_books.py.
"""

from __future__ import annotations

import json

import msgspec
import pytest

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot
from feedbus.venues.moex.orderbook import COLUMNS, Orderbook
from feedbus.venues.moex.tables import MAX_ROWS
from feedbus.venues.sessions import OutOfStep

SEQNUM = 569811206658952028
TIME = 1719825533789
USUAL = json.dumps(COLUMNS)


def body(data: str, columns: str = USUAL, kind: str = "snapshot") -> bytes:
    properties = f'{{"type":{json.dumps(kind)},"seqnum":{SEQNUM},"published":{TIME},"timestamp":{TIME}}}'
    return f'{{"properties":{properties},\n"columns":{columns},\n"data":{data}}}'.encode()


def book(data: str, columns: str = USUAL, kind: str = "snapshot") -> BookSnapshot:
    return Orderbook("TQBR.SBER").decode(body(data, columns, kind), 7)


BID = '["B",[327.95,2],1044,null]'
ASK = '["S",[328.05,2],1947,null]'


def test_a_book_is_a_whole_event() -> None:
    event = book(f"[{BID},{ASK}]")
    expected = ([(327.95, 1044.0)], [(328.05, 1947.0)])
    assert event == BookSnapshot("moex", "TQBR.SBER", TIME * 1_000_000, 7, *expected, SEQNUM, True, True)
    assert all(type(number) is float for level in event.bids + event.asks for number in level)


@pytest.mark.parametrize(
    ("data", "columns", "complaint"),
    [
        ('[["X",[1,0],1,null]]', USUAL, "orderbooks TQBR.SBER row 0: BUYSELL is neither B nor S"),
        ('[["B","1.5",1,null]]', USUAL, "row 0 PRICE: not a number: '1.5'"),
        ('[["B",[1.5,"x\\u0007"],1,null]]', USUAL, "row 0 PRICE: not a number: [1.5, 'x\\x07']"),
        ('[["B",[1,0],1e400,null]]', USUAL, "Number out of range"),
        ('[["B",[1,0],"' + "9" * 100 + '",null]]', USUAL, "QUANTITY: not a number: '" + "9" * 39),
        ('[["B",[1,0],1]]', USUAL, "row 0 has 3 cells for 4 columns"),
        ("[" * 100_000, USUAL, "recursion"),
        ("[7]", USUAL, "Expected `array`, got `int` - at `$.data[0]`"),
        ("[]", "[]", "column BUYSELL is missing"),
        (f"[{','.join(['[1]'] * (MAX_ROWS + 1))}]", USUAL, f"{MAX_ROWS + 1} rows, more than {MAX_ROWS}"),
    ],
)
def test_a_book_of_another_shape_is_bad_data_that_says_where(data: str, columns: str, complaint: str) -> None:
    with pytest.raises(BadData) as caught:
        book(data, columns=columns)
    assert complaint in str(caught.value)
    assert caught.value.place.startswith("orderbooks TQBR.SBER")
    assert str(caught.value).isprintable()
    assert type(caught.value) is BadData


@pytest.mark.parametrize(
    ("data", "columns"),
    [(f"[{BID}]", USUAL), ("[]", "[]"), ('[["B",[1,0],null,null]]', USUAL), ('[["MXSE.TQBR.SBER"]]', '["TICKER"]')],
)
@pytest.mark.parametrize("kind", ["updates", "removal", "", "sn\napshot"])
def test_a_book_that_is_no_snapshot_is_out_of_step_whatever_it_holds(data: str, columns: str, kind: str) -> None:
    with pytest.raises(OutOfStep, match="where every book is a snapshot") as caught:
        book(data, columns=columns, kind=kind)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("columns", [USUAL, USUAL.replace("REPOVALUE", "X")])
def test_a_price_below_zero_is_one(columns: str) -> None:
    decoder = Orderbook("TQBR.SBER")
    book = decoder.decode(body('[["B",[-1.5,2],9,null],["S",[-1.25,2],8,null]]', columns), 7)
    assert (book.bids, book.asks) == ([(-1.5, 9.0)], [(-1.25, 8.0)])
    assert (book.bids_whole, book.asks_whole) == (True, True)
    assert (decoder.levels_left_out, decoder.problems) == (0, [])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('["S",[0,2],9,null]', None),
        ('["B",[0,2],9,null]', None),
        ('["B",null,10,null]', None),
        ('["B",[null,2],10,null]', None),
        ('["B",[330,2],0,null]', None),
        ('["B",[330,2],null,null]', None),
        ('["S",[-0.0,2],9,null]', None),
        ('["S",[-1e100,2],9,null]', "row 1: not a level: (-1e+100, 9.0)"),
        ('["B",[330,2],-9,null]', "row 1: not a level: (330.0, -9.0)"),
        ('["B",[1e308,2],9,null]', "row 1: not a level: (1e+308, 9.0)"),
        ('["B",[330,2],1e100,null]', "row 1: not a level: (330.0, 1e+100)"),
    ],
)
@pytest.mark.parametrize("columns", [USUAL, USUAL.replace("REPOVALUE", "X")])
def test_a_row_that_is_no_level_is_left_out_alone_and_counted(bad: str, said: str | None, columns: str) -> None:
    decoder = Orderbook("TQBR.SBER")
    sides = ([(327.95, 1044.0)], [(328.05, 1947.0)])
    expected = BookSnapshot("moex", "TQBR.SBER", TIME * 1_000_000, 7, *sides, SEQNUM, True, True)
    rest = {"bids_whole": False} if bad.startswith('["B"') else {"asks_whole": False}
    assert decoder.decode(body(f"[{BID},{bad},{ASK}]", columns), 7) == msgspec.structs.replace(expected, **rest)
    assert decoder.levels_left_out == 1
    assert [str(error) for error in decoder.problems] == ([f"orderbooks TQBR.SBER {said}"] if said else [])
    assert decoder.decode(body(f"[{BID},{ASK}]", columns), 7) == expected
    assert (decoder.levels_left_out, len(decoder.problems)) == (1, 0)


def rows(bids: int, asks: int) -> str:
    return json.dumps(
        [[side, [at + 1, 0], 5, None] for side, count in (("B", bids), ("S", asks)) for at in range(count)]
    )


@pytest.mark.parametrize("columns", [USUAL, USUAL.replace("REPOVALUE", "X")])
@pytest.mark.parametrize(("symbol", "shown"), [("TQBR.SBER", 10), ("MXCX.CETS.CNYRUB_TOM", 0)])
def test_a_side_is_whole_when_the_market_would_show_more_levels(columns: str, symbol: str, shown: int) -> None:
    """How many levels other markets than MXSE show isn't known, so nobody knows whether there are more."""
    for bids, asks in ((10, 10), (9, 10), (10, 9), (0, 11), (10, 0), (0, 0)):
        found = Orderbook(symbol).decode(body(rows(bids, asks), columns), 7)
        assert (len(found.bids), len(found.asks)) == (bids, asks)
        assert (found.bids_whole, found.asks_whole) == (bids < shown, asks < shown)
