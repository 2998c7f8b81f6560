"""Bodies of MOEX messages: books and securities, in the usual columns and in others, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot
from feedbus.venues.moex.orderbook import COLUMNS, Orderbook
from feedbus.venues.moex.securities import Securities
from feedbus.venues.moex.tables import MAX_ROWS, OutOfStep

SEQNUM = 569811206658952028
TIME = 1719825533789
USUAL = json.dumps(COLUMNS)


def body(data: str, columns: str = USUAL, kind: str = "snapshot", more: str = f',"seqnum":{SEQNUM}') -> bytes:
    properties = f'{{"type":{json.dumps(kind)}{more},"published":{TIME},"timestamp":{TIME}}}'
    return f'{{"properties":{properties},\n"columns":{columns},\n"data":{data}}}'.encode()


def book(data: str, **parts: str) -> BookSnapshot:
    return Orderbook("TQBR.SBER").decode(body(data, **parts), 7)


def sides(event: BookSnapshot) -> tuple[list[Any], list[Any]]:
    return event.bids, event.asks


BID = '["B",[327.95,2],1044,null]'
ASK = '["S",[328.05,2],1947,null]'


def test_a_book_is_a_whole_event() -> None:
    event = book(f"[{BID},{ASK}]")
    expected = ([(327.95, 1044.0)], [(328.05, 1947.0)])
    assert event == BookSnapshot("moex", "TQBR.SBER", TIME * 1_000_000, 7, *expected, SEQNUM)
    assert all(type(number) is float for side in sides(event) for level in side for number in level)


@pytest.mark.parametrize(
    ("data", "columns", "expected"),
    [
        ("[]", USUAL, ([], [])),
        (f"[{BID}]", USUAL, ([(327.95, 1044)], [])),
        (f"[{ASK}]", USUAL, ([], [(328.05, 1947)])),
        ('[["B",[1.5,1],0,null]]', USUAL, ([(1.5, 0)], [])),
        ('[["B",[-37.63,2],1,null]]', USUAL, ([(-37.63, 1)], [])),
        ('[["B",[5,0],1,[2.50,2]]]', USUAL, ([(5, 1)], [])),
        (
            '[["B",[1,0],1,null],["S",[9,0],1,null],["B",[2,0],2,null],["S",[8,0],2,null]]',
            USUAL,
            ([(2, 2), (1, 1)], [(8, 2), (9, 1)]),
        ),
        ('[["B",[5,0],1,null],["S",[4,0],1,null]]', USUAL, ([(5, 1)], [(4, 1)])),  # crossed, as in an auction
        ('[["B",[1.5,1],3]]', '["BUYSELL","PRICE","QUANTITY"]', ([(1.5, 3)], [])),
        ('[[3,"S",[1.5,1]]]', '["QUANTITY","BUYSELL","PRICE"]', ([], [(1.5, 3)])),
        ('[["x",{},"B",1.5,[3,0]]]', '["NEW","OTHER","BUYSELL","PRICE","QUANTITY"]', ([(1.5, 3)], [])),
        ('[["B",1.5,3,null]]', USUAL, ([(1.5, 3)], [])),
        ("[]", '["QUANTITY","BUYSELL","PRICE"]', ([], [])),
    ],
)
def test_the_columns_of_every_message_are_read(data: str, columns: str, expected: tuple[Any, Any]) -> None:
    assert sides(book(data, columns=columns)) == expected


@pytest.mark.parametrize(
    ("data", "columns", "complaint"),
    [
        ('[["X",[1,0],1,null]]', USUAL, "orderbooks TQBR.SBER row 0: BUYSELL is neither B nor S"),
        ("[[null,[1,0],1,null]]", USUAL, "orderbooks TQBR.SBER row 0: BUYSELL is neither B nor S: None"),
        ('[[["B"],[1,0],1,null]]', USUAL, "row 0: BUYSELL is neither B nor S"),
        (f'[{BID},["B",null,1,null]]', USUAL, "row 1: PRICE or QUANTITY is null"),
        ('[["B",[null,2],1,null]]', USUAL, "row 0: PRICE or QUANTITY is null"),
        ('[["B",[1,0],null,null]]', USUAL, "row 0: PRICE or QUANTITY is null"),
        ("[[null,null,null,null]]", USUAL, "row 0: PRICE or QUANTITY is null"),
        ('[["B","1.5",1,null]]', USUAL, "row 0 PRICE: not a number: '1.5'"),
        ('[["B",[1,2,3],1,null]]', USUAL, "row 0 PRICE: not a number: [1, 2, 3]"),
        ('[["B",[1.5,"x\\u0007"],1,null]]', USUAL, "row 0 PRICE: not a number: [1.5, 'x\\x07']"),
        ('[["B",[true,0],1,null]]', USUAL, "row 0 PRICE: not a number: [True, 0]"),
        ('[["B",{"a":"\\n"},1,null]]', USUAL, "row 0 PRICE: not a number"),
        ('[["B",[1,0],-1,null]]', USUAL, "row 0 QUANTITY: negative: -1"),
        ('[["B",[1,0],1e400,null]]', USUAL, "Number out of range"),
        ('[["B",[1e400,0],1,null]]', USUAL, "Number out of range"),
        ('[["B",[1,0],NaN,null]]', USUAL, "invalid character"),
        ('[["B",[1,0],1,1' + "0" * 5000 + "]]", USUAL, "Integer value out of range"),
        ('[["B",[1,0],"' + "9" * 100 + '",null]]', USUAL, "QUANTITY: not a number: '" + "9" * 39),
        ('[["B",[1,0],1]]', USUAL, "row 0 has 3 cells for 4 columns"),
        ('[["B",[1,0],1,null,5]]', USUAL, "row 0 has 5 cells for 4 columns"),
        (f"[{BID},[]]", USUAL, "row 1 has 0 cells for 4 columns"),
        ("[7]", USUAL, "Expected `array`, got `int` - at `$.data[0]`"),
        ("null", USUAL, "Expected `array`, got `null` - at `$.data`"),
        ("[]", "[]", "column BUYSELL is missing"),
        ("[]", '["BUYSELL","PRICE"]', "column QUANTITY is missing"),
        ("[]", "[1]", "Expected `str`, got `int` - at `$.columns[0]`"),
        (f"[{','.join([BID] * (MAX_ROWS + 1))}]", USUAL, "rows"),
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
    ("more", "complaint"),
    [
        (',"seqnum":-1', "`$.properties.seqnum`"),
        (',"seqnum":"1"', "`$.properties.seqnum`"),
        (',"seqnum":null', "`$.properties.seqnum`"),
        (f',"seqnum":{2**64}', "seqnum beyond 64 bits"),
        (',"seqnum":1' + "0" * 5000, "out of range"),
    ],
)
def test_bad_properties_are_bad_data(more: str, complaint: str) -> None:
    with pytest.raises(BadData, match="orderbooks TQBR") as caught:
        book("[]", more=more)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"properties":null,"columns":[],"data":[]}',
        b'{"properties":{},"columns":[],"data":[]}',
        b'{"properties":{"type":7},"columns":[],"data":[]}',
        b'{"properties":{"type":"snapshot"},"columns":["\xff"],"data":[]}',
        b'{"properties":{"type":"snapshot"},"columns":[],"data":[],"x":' + b"[" * 100_000,
        b'{"properties":{"type":"snapshot"},"columns":["\\ud800x"],"data":[]}',
    ],
)
@pytest.mark.parametrize("decoder", [Orderbook, Securities])
def test_what_is_no_table_is_bad_data(decoder: type[Orderbook | Securities], raw: bytes) -> None:
    with pytest.raises(BadData) as caught:
        decoder("TQBR.SBER").decode(raw, 1)
    assert str(caught.value).isprintable()


def test_seqnum_and_times_may_be_missing() -> None:
    raw = b'{"properties":{"type":"snapshot"},"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],"data":[]}'
    assert Orderbook("A.B").decode(raw, 5) == BookSnapshot("moex", "A.B", 0, 5, [], [], 0)


def test_the_largest_numbers_still_fit_the_bus() -> None:
    largest = (2**63 // 1_000_000) - 1
    raw = body("[]", more=f',"seqnum":{2**64 - 1}').replace(str(TIME).encode(), str(largest).encode())
    event = Orderbook("A.B").decode(raw, 5)
    assert (event.venue_sequence, event.ts_event) == (2**64 - 1, largest * 1_000_000)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=BookSnapshot) == event
    with pytest.raises(BadData, match="timestamp"):
        Orderbook("A.B").decode(raw.replace(str(largest).encode(), str(largest + 1).encode()), 5)


@pytest.mark.parametrize(
    ("data", "columns"),
    [(f"[{BID}]", USUAL), ("[]", "[]"), ('[["B",[1,0],null,null]]', USUAL), ('[["MXSE.TQBR.SBER"]]', '["TICKER"]')],
)
@pytest.mark.parametrize("kind", ["updates", "removal", "", "sn\napshot"])
def test_a_book_that_is_no_snapshot_is_out_of_step_whatever_it_holds(data: str, columns: str, kind: str) -> None:
    with pytest.raises(OutOfStep, match="where every book is a snapshot") as caught:
        book(data, columns=columns, kind=kind)
    assert str(caught.value).isprintable()


def test_a_jump_of_the_seqnum_is_nothing_and_a_step_back_is_counted() -> None:
    decoder = Orderbook("TQBR.SBER")
    for seqnum in (10, 14, 14, 1000, 999, 5, 6):
        decoder.decode(body("[]", more=f',"seqnum":{seqnum}'), 1)
    assert decoder.seqnum_regressions == 2


def test_a_refused_book_leaves_the_decoder_as_it_was() -> None:
    decoder = Orderbook("TQBR.SBER")
    decoder.decode(body("[]", more=',"seqnum":10'), 1)
    for data in ("[7]", '[["X",[1,0],1,null]]'):
        with pytest.raises(BadData):
            decoder.decode(body(data, more=',"seqnum":99'), 1)
    decoder.decode(body("[]", more=',"seqnum":11'), 1)
    assert decoder.seqnum_regressions == 0


PRICES = st.decimals(-(10**9), 10**9, places=4)
LEVELS = st.tuples(st.sampled_from("BS"), PRICES, st.integers(0, 10**9))


@given(st.lists(LEVELS, max_size=30))
def test_bids_descend_asks_ascend_and_every_price_comes_back_exactly(levels: list[tuple[str, Any, int]]) -> None:
    rows = ",".join(f'["{side}",[{price:f},4],{size},null]' for side, price, size in levels)
    usual = book(f"[{rows}]")
    rows = ",".join(f'[{size},"{side}",{price:f}]' for side, price, size in levels)
    assert book(f"[{rows}]", columns='["QUANTITY","BUYSELL","PRICE"]') == usual
    expected = [(float(price), float(size)) for side, price, size in levels if side == "B"]
    assert usual.bids == sorted(expected, reverse=True)
    expected = [(float(price), float(size)) for side, price, size in levels if side == "S"]
    assert usual.asks == sorted(expected)
