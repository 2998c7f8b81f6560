"""The row of a security: what a snapshot, an update and a removal make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedbus.schema.events import Ticker
from feedbus.venues.moex.message_order import StaleMessage
from feedbus.venues.moex.securities import OtherTicker, Securities
from feedbus.venues.moex.tables import MAX_ROWS
from feedbus.venues.moex.trade_times import TradeTimes
from feedbus.venues.sessions import OutOfStep

SEQNUM = 569811206658952028
TIME = 1719825533789


def body(data: str, columns: str, kind: str = "snapshot", more: str = f',"seqnum":{SEQNUM}') -> bytes:
    properties = f'{{"type":{json.dumps(kind)}{more},"published":{TIME},"timestamp":{TIME}}}'
    return f'{{"properties":{properties},\n"columns":{columns},\n"data":{data}}}'.encode()


def row(columns: str, cells: str, kind: str = "updates", seqnum: int = 1) -> bytes:
    return body(f"[{cells}]", json.dumps(columns.split()), kind, f',"seqnum":{seqnum}')


SNAPSHOT = row(
    "TICKER CAPTION LAST BID OFFER HIGH LOW VOLTODAY VALTODAY NUMTRADES PREVPRICE TRADINGSTATUS STATUS",
    '["MXSE.TQBR.SBER","Sberbank",[306.13,2],[306.12,2],[306.13,2],[307.0,2],[305.89,2],[1322700,0],405375659,10774,'
    '[306.49,2],"T","A"]',
    "snapshot",
)
NUMBERS: dict[str, Any] = {
    "bid": 306.12,
    "ask": 306.13,
    "last": 306.13,
    "high": 307.0,
    "low": 305.89,
    "previous_close": 306.49,
    "volume": 1322700.0,
    "turnover": 405375659.0,
    "trades": 10774,
    "status": "T",
}
EMPTY: dict[str, Any] = dict.fromkeys(NUMBERS)


def tick(decoder: Securities, raw: bytes) -> dict[str, Any] | None:
    """The fields of the ticker that a message yields, without those that never differ."""
    event = decoder.decode(raw, 7)
    if event is None:
        return None
    assert (event.venue, event.symbol, event.ts_event, event.ts_recv) == ("moex", "TQBR.SBER", TIME * 1_000_000, 7)
    assert event.open is None
    return {name: getattr(event, name) for name in NUMBERS}


def begun() -> Securities:
    decoder = Securities("TQBR.SBER")
    assert tick(decoder, SNAPSHOT) == NUMBERS
    return decoder


def test_a_snapshot_is_a_whole_ticker() -> None:
    event = Securities("TQBR.SBER").decode(SNAPSHOT, 7)
    assert event == Ticker("moex", "TQBR.SBER", TIME * 1_000_000, 7, **NUMBERS)
    assert type(event.trades) is int
    assert type(event.turnover) is float


@pytest.mark.parametrize(
    ("columns", "cells", "changed"),
    [
        ("TICKER BIDDEPTHT", '["MXSE.TQBR.SBER",1685771]', {}),
        ("TICKER LAST", '["MXSE.TQBR.SBER",[306.12,2]]', {"last": 306.12}),
        ("LAST TICKER", '[[306.12,2],"MXSE.TQBR.SBER"]', {"last": 306.12}),
        ("TICKER BID OFFER", '["MXSE.TQBR.SBER",null,null]', {"bid": None, "ask": None}),
        ("TICKER BID", '["MXSE.TQBR.SBER",[null,2]]', {"bid": None}),
        ("TICKER TRADINGSTATUS", '["MXSE.TQBR.SBER","N"]', {"status": "N"}),
        ("TICKER TRADINGSTATUS", '["MXSE.TQBR.SBER",null]', {"status": None}),
        ("TICKER NUMTRADES", '["MXSE.TQBR.SBER",[10775,0]]', {"trades": 10775}),
        ("TICKER NUMTRADES", '["MXSE.TQBR.SBER",10775.0]', {"trades": 10775}),
        ("TICKER NEW LAST", '["MXSE.TQBR.SBER",{"x":[1]},1.5]', {"last": 1.5}),
        ("TICKER LAST", '["MXSE.TQBR.SBER",1.0],["MXSE.TQBR.SBER",2.0]', {"last": 2.0}),
    ],
)
def test_an_update_changes_the_cells_that_it_names(columns: str, cells: str, changed: dict[str, Any]) -> None:
    decoder = begun()
    assert tick(decoder, row(columns, cells)) == {**NUMBERS, **changed}
    assert tick(decoder, row("TICKER BIDDEPTHT", '["MXSE.TQBR.SBER",1]')) == {**NUMBERS, **changed}


def test_a_second_snapshot_replaces_the_row() -> None:
    decoder = begun()
    assert tick(decoder, row("TICKER LAST", '["MXSE.TQBR.SBER",[1.5,2]]', "snapshot")) == {**EMPTY, "last": 1.5}


def test_a_snapshot_without_rows_empties_the_row() -> None:
    decoder = begun()
    assert tick(decoder, row("TICKER LAST", "", "snapshot")) == EMPTY
    assert tick(decoder, row("TICKER LAST", '["MXSE.TQBR.SBER",1.5]')) == {**EMPTY, "last": 1.5}


def test_a_row_may_be_brought_by_an_update_after_a_snapshot_without_rows() -> None:
    decoder = Securities("TQBR.SBER")
    assert tick(decoder, row("TICKER LAST", "", "snapshot")) is None
    assert tick(decoder, row("TICKER", "")) is None
    assert tick(decoder, row("TICKER LAST", '["MXSE.TQBR.SBER",1.5]')) == {**EMPTY, "last": 1.5}


def test_a_removal_empties_the_row() -> None:
    decoder = begun()
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]', "removal")) == EMPTY
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]', "removal")) is None
    assert tick(decoder, row("TICKER LAST", '["MXSE.TQBR.SBER",1.5]')) == {**EMPTY, "last": 1.5}


@pytest.mark.parametrize("kind", ["updates", "removal"])
def test_without_rows_nothing_is_said(kind: str) -> None:
    decoder = begun()
    assert tick(decoder, row("TICKER LAST", "", kind)) is None
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]')) == NUMBERS


@pytest.mark.parametrize("kind", ["updates", "removal"])
def test_before_a_snapshot_all_else_is_out_of_step(kind: str) -> None:
    decoder = Securities("TQBR.SBER")
    with pytest.raises(OutOfStep, match=f"securities TQBR.SBER: {kind} before a snapshot"):
        decoder.decode(row("TICKER LAST", '["MXSE.TQBR.SBER",1.5]', kind), 7)
    assert tick(decoder, SNAPSHOT) == NUMBERS


@pytest.mark.parametrize("kind", ["snapshot", "updates", "removal"])
def test_a_row_of_another_ticker_is_out_of_step(kind: str) -> None:
    decoder = begun()
    with pytest.raises(OtherTicker, match=r"a row of another TICKER: 'MXSE\.TQBR\.SBERP'"):
        decoder.decode(row("TICKER LAST", '["MXSE.TQBR.SBERP",1.5]', kind), 7)
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]')) == NUMBERS


@pytest.mark.parametrize(
    ("columns", "cells", "kind", "complaint"),
    [
        ("LAST", "[1.5]", "updates", "securities TQBR.SBER: column TICKER is missing"),
        ("TICKER LAST", "[null,1.5]", "updates", "TICKER is not the same text in every row"),
        ("TICKER LAST", '[["MXSE.TQBR.SBER"],1.5]', "snapshot", "TICKER is not the same text in every row"),
        ("TICKER LAST", '["A",1.5],["B",1.5]', "snapshot", "TICKER is not the same text in every row"),
        ("TICKER LAST", '["MXSE.TQBR.SBER",1e400]', "updates", "Number out of range"),
        ("TICKER LAST", '["MXSE.TQBR.SBER",1.5]', "up\ndates", "unknown type 'up\\ndates'"),
        ("TICKER LAST", ",".join(['["MXSE.TQBR.SBER",1]'] * (MAX_ROWS + 1)), "updates", "rows, more than"),
    ],
)
def test_a_row_that_can_not_be_read_is_out_of_step_and_changes_nothing(
    columns: str, cells: str, kind: str, complaint: str
) -> None:
    decoder = begun()
    with pytest.raises(OutOfStep) as caught:
        decoder.decode(row(columns, cells, kind, seqnum=99), 7)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]', seqnum=2)) == NUMBERS
    assert decoder.seqnum_regressions == 0


@pytest.mark.parametrize(
    ("column", "cell", "field", "complaint"),
    [
        ("LAST", '"1.5"', "last", "securities TQBR.SBER LAST: not a number: '1.5'"),
        ("VOLTODAY", "-1", "volume", "VOLTODAY: not a size: -1.0"),
        ("VALTODAY", "[-0.01,2]", "turnover", "VALTODAY: not a size: -0.01"),
        ("NUMTRADES", "1.5", "trades", "NUMTRADES: not a count: 1.5"),
        ("NUMTRADES", "1e308", "trades", "NUMTRADES: not a count: 1e+308"),
        ("TRADINGSTATUS", '"\\u001b[2J"', "status", "not a short text: '\\x1b[2J'"),
    ],
)
def test_a_cell_that_can_not_be_read_becomes_none_rather_than_keep_what_is_no_longer_true(
    column: str, cell: str, field: str, complaint: str
) -> None:
    decoder = begun()
    assert tick(decoder, row(f"TICKER {column}", f'["MXSE.TQBR.SBER",{cell}]')) == {**NUMBERS, field: None}
    (problem,) = decoder.problems
    assert complaint in str(problem)
    assert str(problem).isprintable()
    assert tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]')) == {**NUMBERS, field: None}
    assert decoder.problems == ()


def test_a_row_of_nulls_is_a_ticker_of_nothing() -> None:
    columns = "TICKER BID OFFER LAST HIGH LOW PREVPRICE VOLTODAY VALTODAY NUMTRADES TRADINGSTATUS"
    assert tick(begun(), row(columns, '["MXSE.TQBR.SBER"' + ",null" * 10 + "]", "snapshot")) == EMPTY


def test_a_step_back_of_the_seqnum_of_a_row_is_counted() -> None:
    decoder = begun()
    for seqnum in (5, 3, 900, 900, 899):
        tick(decoder, row("TICKER", '["MXSE.TQBR.SBER"]', seqnum=seqnum))
    assert decoder.seqnum_regressions == 2


def test_an_update_that_comes_again_changes_nothing_and_one_that_was_overtaken_is_missing() -> None:
    def last(price: float, seqnum: int) -> bytes:
        properties = f'{{"type":"updates","seqnum":{seqnum},"timestamp":{TIME + seqnum}}}'
        cells = f'[["MXSE.TQBR.SBER",[{price},2]]]'
        return f'{{"properties":{properties},"columns":["TICKER","LAST"],"data":{cells}}}'.encode()

    decoder = begun()
    decoder.decode(last(1.5, 10), 7)
    decoder.decode(last(2.5, 20), 7)
    with pytest.raises(StaleMessage, match="the message of number 10 came again after 20"):
        decoder.decode(last(1.5, 10), 7)
    ticker = decoder.decode(row("TICKER BID", '["MXSE.TQBR.SBER",[2.25,2]]', seqnum=30), 7)
    assert ticker is not None
    assert (ticker.last, ticker.bid) == (2.5, 2.25)
    decoder.decode(last(2.5, 31), 7)
    with pytest.raises(OutOfStep, match="the message of number 11 came after 31"):
        decoder.decode(last(1.5, 11), 7)


CELLS = {
    "LAST": st.floats(0, 1e9, exclude_min=True) | st.none(),
    "VOLTODAY": st.integers(0, 10**12) | st.none(),
    "NUMTRADES": st.integers(0, 10**9) | st.none(),
    "TRADINGSTATUS": st.sampled_from("NOCTL") | st.none(),
    "BIDDEPTHT": st.integers() | st.text(max_size=3),
}
NAMES = {"LAST": "last", "VOLTODAY": "volume", "NUMTRADES": "trades", "TRADINGSTATUS": "status"}
CHANGES = st.fixed_dictionaries({}, optional=CELLS)


@given(st.lists(st.tuples(st.sampled_from(["snapshot", "updates", "updates", "removal"]), CHANGES), max_size=12))
@example([("updates", {"LAST": 1.0})])
def test_merging_is_that_of_a_plain_dict(messages: list[tuple[str, dict[str, Any]]]) -> None:
    decoder = begun()
    model = dict(NUMBERS)
    held = True
    for kind, cells in messages:
        known = {NAMES[name]: cell for name, cell in cells.items() if name in NAMES}
        model = {**(model if kind == "updates" else EMPTY), **({} if kind == "removal" else known)}
        says_nothing = kind == "removal" and not held
        held = kind != "removal"
        data = json.dumps(["K", *cells.values()]).replace('"K"', '"MXSE.TQBR.SBER"')
        assert tick(decoder, row(" ".join(["TICKER", *cells]), data, kind)) == (None if says_nothing else model)


PRICES = {"BID": "bid", "OFFER": "ask", "LAST": "last", "HIGH": "high", "LOW": "low", "PREVPRICE": "previous_close"}


@pytest.mark.parametrize(("column", "field"), PRICES.items())
def test_a_price_below_zero_is_one(column: str, field: str) -> None:
    decoder = begun()
    assert tick(decoder, row(f"TICKER {column}", '["MXSE.TQBR.SBER",[-37.63,2]]')) == {**NUMBERS, field: -37.63}
    assert decoder.values_left_out == 0


@pytest.mark.parametrize(
    ("cell", "told"), [("[0,2]", 0), ("0.0", 0), ("[-1e100,2]", 1), ("[1e100,2]", 1), ("1e308", 1)]
)
@pytest.mark.parametrize(("column", "field"), PRICES.items())
def test_what_is_no_price_becomes_none_and_is_counted(column: str, field: str, cell: str, told: int) -> None:
    decoder = begun()
    assert tick(decoder, row(f"TICKER {column}", f'["MXSE.TQBR.SBER",{cell}]')) == {**NUMBERS, field: None}
    assert (decoder.values_left_out, len(decoder.problems)) == (1, told)


def test_updates_that_tell_of_a_new_trade_say_how_late_the_data_is() -> None:
    times = TradeTimes()
    decoder = Securities("TQBR.SBER", times)
    at = TIME * 1_000_000  # 12:18:53 in Moscow
    decoder.decode(SNAPSHOT, at)
    messages = [
        ("TICKER LAST NUMTRADES", '["MXSE.TQBR.SBER",[306.1,2],10775]', None),  # no time
        ("TICKER LAST TIME", '["MXSE.TQBR.SBER",[306.2,2],"12:03:53"]', None),  # no new trade
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",10775,"12:03:53"]', None),
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",10776,"12:03:53"]', 900),
        ("TICKER TIME NUMTRADES", '["MXSE.TQBR.SBER","12:18:50",10779]', 3),
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",10780,null]', None),
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",null,"12:18:50"]', None),
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",5,"12:18:50"]', None),  # the sums have begun anew
        ("TICKER NUMTRADES TIME", '["MXSE.TQBR.SBER",6,"12:18:50"]', 3),
    ]
    for seqnum, (columns, cells, late) in enumerate(messages, SEQNUM + 1):
        decoder.decode(row(columns, cells, seqnum=seqnum), at + 789_000_000)
        told = times.take()
        assert (told and told // 1_000_000_000) == late, cells
