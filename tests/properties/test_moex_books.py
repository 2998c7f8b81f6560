"""The decoder of MOEX order books against a slow one that is plainly right: the same book, or both refuse."""

from __future__ import annotations

import json
from math import isfinite

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.schema.events import BookSnapshot
from feedbus.testing.strategies import examples, mutated
from feedbus.venues.fields import LARGEST
from feedbus.venues.moex.orderbook import Orderbook
from feedbus.venues.moex.tables import MAX_ROWS
from tests.places import CAPTURES
from tests.properties.moex_reference import SYMBOL, USUAL, Reference, Refused

CAPTURE = CAPTURES / "moex" / "ws_orderbooks_SBER_20240701_1.frame"


# The comparison


def compare(bodies: list[bytes]) -> None:
    """One subscription's messages, one after the other: books, refusals, and what the decoder keeps between them."""
    decoder = Orderbook(SYMBOL)
    last, steps_back = -1, 0
    for at, body in enumerate(bodies):
        expected, undecided = read(body, at)
        found = decoded(decoder, bytearray(body) if at % 2 else body, at)
        if isinstance(found, BookSnapshot):
            assert found == expected
            assert found.venue_sequence is not None
            steps_back += found.venue_sequence < last
            last = found.venue_sequence
        elif not undecided:
            assert found is expected
        assert (decoder.last_seqnum, decoder.seqnum_regressions) == (last, steps_back)


def read(body: bytes, at: int) -> tuple[BookSnapshot | type[BadData], bool]:
    """What the reference makes of a body, and whether a decoder may refuse it all the same."""
    try:
        reference = Reference(body)
    except Refused as error:
        return error.kind, False
    return reference.book(at), reference.huge


def decoded(decoder: Orderbook, body: bytes | bytearray, at: int) -> BookSnapshot | type[BadData]:
    try:
        return decoder.decode(body, at)
    except BadData as error:
        return type(error)


# Bodies


DIGITS = st.integers(0, 10**9).map(str)
PRICES = st.one_of(
    st.tuples(st.integers(0, 99999), st.integers(0, 99)).map(lambda parts: f"{parts[0]}.{parts[1]:02}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(DIGITS, DIGITS, st.sampled_from(["e", "E"]), st.integers(-320, 300)).map(
        lambda parts: f"{parts[0]}.{parts[1]}{parts[2]}{parts[3]:+}"
    ),
    st.decimals(0, 1000, places=25).map(str),
    DIGITS,
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["0", "-0", "-0.0", "0.1", "1e5", "1E+2", "1e23", "5e-324", "2.5e-324", "1e-400"]),
    st.sampled_from(["9007199254740993", "0.30000000000000004", "1.7976931348623157e308", "1.7976931348623159e308"]),
    st.sampled_from(["9223372036854775807", "9223372036854775808"]),
)
BAD_CELLS = st.sampled_from(
    r"""null [null,2] true "1" [1.5] [1.5,2,3] [1.5,2.0] [1.5,null] [[1.5,2],2] [] {} 1e400 [1e400,2] -1 [-1,0]
    NaN 01 1. +1 - [1.5,] "\ud800" "\u0042" LONG""".replace("LONG", "1" + "0" * 400).split()
)
SIZES = st.integers(0, 10**7).map(str)
FIXED = st.builds(lambda price, places: f"[{price},{places}]", PRICES, st.integers(-2, 12))
MOSTLY = st.integers(0, 30).map(bool)
OTHER_CELLS = st.sampled_from(["null", "0", "1.5", '"x"', "[1,2]", '{"a":[1]}', "[327.95,2]", '"\\u0041"']) | BAD_CELLS
SPACES = st.sampled_from(["", "", "", " ", "\n", "\r\n\t "])
COUNTS = st.integers(0, 2**64 + 1).map(str) | st.sampled_from(
    ["0", "-1", "1.0", "1e3", "null", '"1"', str(2**63 // 10**6)]
)
SIDES = st.sampled_from(['"B"', '"S"'])
ODD_SIDES = st.sampled_from(['"\\u0042"', '"b"', '""', "null", "1", '["B"]', '"BS"'])
COLUMNS = st.one_of(
    st.just(USUAL),
    st.permutations(USUAL),
    st.permutations([*USUAL, "X"]),
    st.lists(st.sampled_from([*USUAL, "X", "buysell"]), max_size=6),
)


@st.composite
def ladders(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """(side, price, size) as the venue writes them: bids first, each side ascending; perhaps a side is empty."""
    prices = draw(st.lists(st.integers(1, 10**7), max_size=12, unique=True).map(sorted))
    spread = draw(st.integers(0, len(prices)))
    places = draw(st.integers(0, 6))
    return [
        ('"B"' if at < spread else '"S"', f"[{price / 10**places:.{places}f},{places}]", draw(SIZES))
        for at, price in enumerate(prices)
    ]


ODD_ROWS = st.lists(
    st.tuples(
        MOSTLY.flatmap(lambda usual: SIDES if usual else ODD_SIDES),
        MOSTLY.flatmap(lambda usual: FIXED | PRICES if usual else BAD_CELLS),
        MOSTLY.flatmap(lambda usual: SIZES | FIXED | PRICES if usual else BAD_CELLS),
    ),
    max_size=5,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A book as it always is, or odd in one way or several."""
    odd = draw(st.booleans())
    columns = draw(COLUMNS) if odd else USUAL
    data = draw(ladders() | ODD_ROWS)
    if odd:
        data = draw(st.permutations(data))
    written = []
    for row in data:
        cells = dict(zip(USUAL, [*row, "null"], strict=True))
        written.append([cells.get(name) or draw(OTHER_CELLS) for name in columns])
        if odd and draw(st.integers(0, 30)) == 30:
            written[-1] = draw(st.lists(st.sampled_from(written[-1] or ["1"]), max_size=5))
    space = draw(SPACES) if odd else ""
    comma = f"{space},{space}"
    lines = comma.join(f"[{space}{comma.join(row)}{space}]" for row in written)
    parts = [
        ("properties", draw(odd_properties(comma)) if odd else PROPERTIES.format(draw(st.integers(1, 2**60)))),
        ("columns", f"[{comma.join(map(json.dumps, columns))}]"),
        ("data", f"[{lines}]"),
    ]
    if odd:
        extra = draw(st.lists(st.tuples(st.sampled_from(["x", "data", "type"]), OTHER_CELLS), max_size=1))
        parts = draw(st.permutations(parts + extra))
    fields = comma.join(f'"{name}"{space}:{space}{value}' for name, value in parts)
    return f"{space}{{{fields}}}{space}".encode()


PROPERTIES = '{{"type":"snapshot","seqnum":{},"published":1719825533789,"timestamp":1719825533789}}'


@st.composite
def odd_properties(draw: st.DrawFn, comma: str) -> str:
    parts = [
        ("type", draw(st.sampled_from(['"snapshot"'] * 8 + ['"updates"', '"snapsho\\u0074"', "null", "1"]))),
        ("seqnum", draw(COUNTS)),
        ("timestamp", draw(st.integers(0, 2**43).map(str) | COUNTS)),
        ("published", draw(OTHER_CELLS)),
    ]
    kept = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=5)) if draw(st.booleans()) else parts
    return "{" + comma.join(f'"{name}":{value}' for name, value in kept) + "}"


BOOK = (
    b'{"properties":{"type":"snapshot","seqnum":569811206658952028,"published":1719825533789,"timestamp":1719825533789},\n'
    b'"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],\n'
    b'"data":[["B",[327.95,2],1044,null],["B",[328.00,2],35581,null],["S",[328.05,2],1947,null],["S",[328.06,2],81,null]]}'
)
BOOKS = [
    BOOK,
    BOOK.replace(b"\n", b"").replace(b"2028", b"2027"),
    BOOK.replace(b"327.95,2]", b"327.951,3]").replace(b"952028", b"952030"),
    BOOK.replace(b"null", b"1.5"),
    BOOK[:-1].partition(b'"data"')[0] + b'"data":[]}',
]


@examples(100)
@given(st.lists(bodies(), min_size=1, max_size=3))
@example([BOOK, BOOK.replace(b"2028", b"2027"), BOOK[:-1], BOOK])
@example([BOOK.replace(b'"S"', b'"B"'), BOOK.replace(b'"B"', b'"S"'), BOOK.replace(b"328.05", b"27.96")])
@example(
    [BOOK.replace(b'"published"', b'"seqnum"'), BOOK.replace(b'"published"', b'"\xff"'), BOOK.replace(b"B", b"\xff")]
)
@example([BOOK.replace(b"[328.05,2],1947", b"1947,[328.05,2]"), BOOK.replace(b"PRICE", b"QUANTITY")])
@example([BOOK.replace(b"1044", b"-1"), BOOK.replace(b"1044", b"-5e-324"), BOOK.replace(b"[327.95,2]", b"-327.95")])
@example([BOOK.replace(b"1044", b"-0"), BOOK.replace(b"1044", b"-0.0"), BOOK.replace(b"1044", b"-1e-400")])
def test_a_book_is_what_the_reference_reads_or_both_refuse(messages: list[bytes]) -> None:
    compare(messages)


@examples(100)
@given(mutated(BOOKS), mutated(BOOKS), st.sampled_from(BOOKS))
def test_a_damaged_book_is_what_the_reference_reads_or_both_refuse(first: bytes, second: bytes, whole: bytes) -> None:
    compare([first, whole, second, whole])


@examples(50)
@given(mutated(BOOKS) | bodies(), st.data())
def test_a_body_cut_anywhere_is_refused(body: bytes, data: st.DataObject) -> None:
    compare([body[: data.draw(st.integers(0, len(body)))], body])


def test_every_length_of_a_book_is_what_the_reference_reads() -> None:
    for book in BOOKS:
        compare([book[:length] for length in range(len(book) + 1)])


@examples(100)
@given(PRICES, PRICES)
def test_numbers_are_those_of_float(price: str, size: str) -> None:
    body = BOOK.partition(b'"data"')[0] + f'"data":[["B",[{price},2],{size},null]]}}'.encode()
    try:
        book = Orderbook(SYMBOL).decode(body, 1)
    except BadData:
        assert any(not isfinite(float(text)) or abs(float(text)) >= 2**63 for text in (price, size))
    else:
        level = float(price), float(size)
        sound = level[0] != 0 and abs(level[0]) < LARGEST and 0 < level[1] < LARGEST
        assert book.bids == ([level] if sound else [])


def test_a_book_may_be_as_long_as_the_limit_and_no_longer() -> None:
    begin, row = BOOK.partition(b'"data"')[0] + b'"data":[', b'["B",[1.5,2],1,null]'
    compare([begin + b",".join([row] * count) + b"]}" for count in (MAX_ROWS, MAX_ROWS + 1)])


def test_the_captured_book_is_what_the_reference_reads() -> None:
    if not CAPTURE.exists():
        pytest.skip("the capture is not here")
    body = CAPTURE.read_bytes().partition(b"\n\n")[2].rstrip(b"\0")
    compare([body])
    book = Reference(body).book(0)
    assert (len(book.bids), len(book.asks), book.bids[0][0], book.asks[0][0]) == (10, 10, 328.04, 328.05)
