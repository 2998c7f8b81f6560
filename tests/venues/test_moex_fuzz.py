"""Anything at all into a Session of MOEX: it never raises, its events are sound, and a bad frame costs that frame."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite

from hypothesis import example, given, settings
from hypothesis import strategies as st

from feedbus import codec
from feedbus.events import BookSnapshot, Event, MarketEvent, Ticker
from feedbus.session import Close, Effect, Fatal, Notice, Refused, Send, Skipped
from feedbus.venues.moex import Account, Session
from feedbus.venues.stomp import build

SYMBOLS = ("TQBR.SBER", "TQBR.GAZP")
TIME = 1719825533789
HEADER = codec.Header("book", "moex", "moex", 1, 1)


def properties(kind: str = "snapshot", seqnum: int = 569811206658952028) -> str:
    return f'{{"type":"{kind}","seqnum":{seqnum},"published":{TIME},"timestamp":{TIME}}}'


def message(number: int, body: str | bytes) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return build("MESSAGE", {"content-length": str(len(raw)), "subscription": str(number)}, raw)


def table(number: int, columns: str, data: str, kind: str = "snapshot") -> bytes:
    return message(number, f'{{"properties":{properties(kind)},\n"columns":{columns},\n"data":{data}}}')


BOOK_COLUMNS = '["BUYSELL","PRICE","QUANTITY","REPOVALUE"]'
BOOK = table(1, BOOK_COLUMNS, '[["B",[327.95,2],1044,null],["B",[327.96,2],34,null],["S",[328.05,2],1947,null]]')
ROW = table(2, '["TICKER","LAST","BID","NUMTRADES","TRADINGSTATUS"]', '[["MXSE.TQBR.SBER",[1.5,2],null,7,"T"]]')
UPDATE = table(2, '["TICKER","LAST"]', '[["MXSE.TQBR.SBER",[2.5,2]]]', "updates")
GOOD = [
    BOOK,
    BOOK.replace(b"subscription:1", b"subscription:3"),
    ROW,
    UPDATE,
    table(2, '["TICKER"]', '[["MXSE.TQBR.SBER"]]', "removal"),
    *(f"RECEIPT\nreceipt-id:{number}\n\n\0".encode() for number in (1, 2, 3, 4)),
    b"\n",
    b"REPLY\nrequest-id:1\n\n{}\0",
]
TURNING = [
    b'CONNECTED\n\n{"structure":{"MXSE":{"streams":[]}}}\0',
    b"ERROR\nmessage:Access denied\n\n\0",
    b"ERROR\nsubscription:1\nmessage:no\n\n\0",
    b"CLOSED\nsubscription:2\n\n\0",
    table(1, BOOK_COLUMNS, "[]", "updates"),
]


def opened() -> Session:
    session = Account({}, []).session(SYMBOLS)
    check(session.opened(0.0), 0)
    return session


def live() -> Session:
    """Logged in, and every subscription live."""
    session = opened()
    check(session.frame(b'CONNECTED\n\n{"structure":{}}\0', 1, 0.0), 1)
    for frame in (BOOK, ROW, BOOK.replace(b"n:1\n", b"n:3\n"), ROW.replace(b"n:2\n", b"n:4\n")):
        check(session.frame(frame, 1, 0.0), 1)
    assert session.instruments() == {"live": 2}
    return session


def check(effects: Iterable[Effect], ts_recv: int) -> list[Effect]:
    """What must hold of any effects, whatever came before."""
    found = list(effects)
    for effect in found:
        match effect:
            case MarketEvent():
                check_event(effect, ts_recv)
            case Skipped(error) | Close(error):
                assert str(error).isprintable()
                assert len(str(error)) < 300
            case Notice(text) | Fatal(text) | Refused(_, text):
                assert text.isprintable()
                assert len(text) < 300
            case _:
                assert not isinstance(effect, Event)
    return found


def check_event(event: MarketEvent, ts_recv: int) -> None:
    assert (event.venue, event.ts_recv) == ("moex", ts_recv)
    assert event.symbol in SYMBOLS
    groups = [(event.symbol, 1, [event])]
    assert codec.decode(codec.encode(HEADER, groups)) == (HEADER, groups)
    match event:
        case BookSnapshot(bids=bids, asks=asks):
            assert all(isfinite(price) and isfinite(size) and size >= 0 for price, size in [*bids, *asks])
            assert [price for price, _ in bids] == sorted((price for price, _ in bids), reverse=True)
            assert [price for price, _ in asks] == sorted(price for price, _ in asks)
        case Ticker():
            numbers = [getattr(event, name) for name in event.__struct_fields__[4:-1]]
            assert all(number is None or isfinite(number) for number in numbers)
            assert all(number is None or number >= 0 for number in (event.volume, event.turnover, event.trades))
            assert event.status is None or event.status.isprintable()
        case _:
            raise AssertionError(f"MOEX publishes no {event}")


# Numbers and texts as a venue that has lost its mind may write them
TOKENS = st.sampled_from(
    r"""
null true 0 -0.0 -1 1.5 1e400 -1e400 1e308 5e-324 NaN 9223372036854775808 18446744073709551616 LONG
"" "B" "T" "\ud800" "\udc00x" "\u0000" "\n" "\u001b[2J" "MXSE.TQBR.SBER"
[327.95,2] [null,2] [1,[2]] [1.5] [] {} {"a":[1]}
""".replace("LONG", "1" + "0" * 5000).split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
).map(json.dumps)
CELLS = TOKENS | JSON
NAMES = st.sampled_from(
    [
        "TICKER",
        "BUYSELL",
        "PRICE",
        "QUANTITY",
        "REPOVALUE",
        "LAST",
        "BID",
        "OFFER",
        "HIGH",
        "VOLTODAY",
        "VALTODAY",
        "NUMTRADES",
        "TRADINGSTATUS",
        "X",
    ]
)
KINDS = st.sampled_from(["snapshot", "snapshot", "updates", "removal", "x", "\\n"])
WHOLES = st.sampled_from(["0", "1", str(TIME), str(2**63), str(2**64), "-1", "1.5", "null", '"1"', "9223372036855"])


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """The right outer shape, and anything within it."""
    columns = draw(st.lists(NAMES, max_size=5) | st.just(json.loads(BOOK_COLUMNS)))
    if draw(st.booleans()):
        columns = ["TICKER", *columns]
    wide = draw(st.booleans())
    cells = st.lists(CELLS, min_size=len(columns) if wide else 0, max_size=len(columns))
    rows = draw(st.lists(cells, max_size=3))
    data = [["B", "[1.5,1]", *row[2:]] if draw(st.booleans()) else row for row in rows]
    about = f'{{"type":"{draw(KINDS)}","seqnum":{draw(WHOLES)},"timestamp":{draw(WHOLES)}}}'
    written = ",".join(f"[{','.join(row)}]" for row in data)
    return f'{{"properties":{about},"columns":{json.dumps(columns)},"data":[{written}]}}'


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), bodies()), min_size=1, max_size=4))
@example([(2, f'{{"properties":{properties()},"columns":["TICKER","NUMTRADES"],"data":[["MXSE.TQBR.SBER",1e308]]}}')])
@example([(1, f'{{"properties":{{"type":"snapshot","timestamp":{10**14}}},"columns":{BOOK_COLUMNS},"data":[]}}')])
def test_any_body_of_the_right_outer_shape_is_taken(messages: list[tuple[int, str]]) -> None:
    session = live()
    for at, (number, body) in enumerate(messages, 2):
        check(session.frame(message(number, body), at, 1.0), at)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2), CELLS, WHOLES, WHOLES, st.booleans())
@example(1, "-1", "1", "1", True)
@example(2, "null", "18446744073709551616", "1", True)
def test_any_cell_of_a_book_is_taken(at: int, cell: str, seqnum: str, timestamp: str, usual: bool) -> None:
    columns = BOOK_COLUMNS if usual else '["BUYSELL","PRICE","QUANTITY","X"]'
    cells = ["[1.5,1]", "7", "null"]
    cells[at] = cell
    about = f'{{"type":"snapshot","seqnum":{seqnum},"timestamp":{timestamp}}}'
    body = f'{{"properties":{about},"columns":{columns},"data":[["B",{",".join(cells)}]]}}'
    check(live().frame(message(1, body), 2, 1.0), 2)


def changed_cell(name: str, cell: str) -> bytes:
    """An update of a row: a good cell, and any."""
    return table(2, f'["TICKER","LAST","{name}"]', f'[["MXSE.TQBR.SBER",9.5,{cell}]]', "updates")


@settings(max_examples=150, deadline=None)
@given(NAMES, CELLS)
@example("TRADINGSTATUS", '"\\u001b[2J"')
def test_any_cell_of_a_row_is_taken(name: str, cell: str) -> None:
    check(live().frame(changed_cell(name, cell), 2, 1.0), 2)


FRAMES = st.sampled_from(GOOD + TURNING)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame mutated, cut, doubled, or with another tail."""
    data = bytearray(draw(FRAMES))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    how = draw(st.sampled_from(["whole", "cut", "tail", "double"]))
    if how == "cut":
        return bytes(data[: draw(st.integers(0, len(data)))])
    if how == "tail":
        return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=20))
    return bytes(data * 2 if how == "double" else data)


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.lists(st.tuples(damaged(), st.floats(0, 20)), max_size=6))
def test_any_frames_in_any_order_are_taken_and_the_clock_goes_on(
    begun: bool, received: list[tuple[bytes, float]]
) -> None:
    session = live() if begun else opened()
    now = 0.0
    for at, (data, pause) in enumerate(received, 1):
        check(session.frame(data, at, now), at)
        now += pause
        check(session.tick(now), 0)
    check(session.subscribe(["TQBR.GAZP"], now), 0)
    check(session.unsubscribe(SYMBOLS, now), 0)
    check(session.closing(), 0)
    assert session.instruments() == {}
    assert all(type(count) is int and count >= 0 for count in session.counters().values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), FRAMES)
def test_garbage_is_skipped_alone_and_behind_a_valid_beginning(garbage: bytes, frame: bytes) -> None:
    for begun in (opened, live):
        check(begun().frame(garbage, 1, 0.0), 1)
        check(begun().frame(frame + garbage, 1, 0.0), 1)
        check(begun().frame(bytearray(frame[: len(frame) // 2] + garbage), 1, 0.0), 1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        damaged() | st.builds(message, st.integers(1, 2), bodies()) | st.builds(changed_cell, NAMES, CELLS), max_size=4
    ),
    st.permutations(GOOD),
)
@example([changed_cell("BID", '"x"')], [UPDATE.replace(b"LAST", b"HIGH")])
@example([changed_cell("BID", '"x"').replace(b"028,", b"029,")], [UPDATE])
def test_a_skipped_frame_changes_no_later_result(bad: list[bytes], good: list[bytes]) -> None:
    session, reference = live(), live()
    for data in bad:
        trial = live()
        effects = list(trial.frame(data, 1, 0.0))
        if effects and all(isinstance(effect, Skipped) for effect in effects):
            assert list(map(type, session.frame(data, 1, 0.0))) == [Skipped] * len(effects)
    for frame in good:
        found, expected = (check(each.frame(frame, 2, 1.0), 2) for each in (session, reference))
        assert list(map(repr, found)) == list(map(repr, expected))
    assert not any(isinstance(effect, Send) for effect in session.tick(1.0))
    assert session.instruments() == reference.instruments()
    assert session.counters()["seqnum_regressions"] == reference.counters()["seqnum_regressions"]
