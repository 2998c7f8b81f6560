"""Bodies of every shape into a Session of MOEX: its events are sound, and a bad frame costs that frame alone. What is
the same for every venue (frames cut, mutated, repeated, in any order) is in tests/properties/test_sessions.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from feedbus.schema.events import Bar, BookSnapshot, Event, Ticker
from feedbus.testing.strategies import examples, mutated
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.session import Session
from feedbus.venues.moex.stomp import build
from feedbus.venues.protocol import Effect, Send, Skipped
from tests.properties.soundness import sound

SYMBOLS = ("TQBR.SBER", "TQBR.GAZP")
CHANNELS = ("orderbooks", "securities", "candles.M1")  # ids 1, 2, 3 and 4, 5, 6
TIME = 1719825533789


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
CANDLE = table(
    3,
    '["FROM","TILL","OPEN","HIGH","LOW","CLOSE","VALUE","VOLUME"]',
    '[["2026-01-22 10:00:00","2026-01-22 10:00:59",[1.5,2],[2.5,2],[1,2],[2,2],[25.5,2],10],'
    '["2026-01-22 10:01:00","2026-01-22 10:01:10",[1.5,2],[2.5,2],[1,2],[2,2],[25.5,2],10]]',
)
NEXT_CANDLE = table(3, '["FROM","CLOSE"]', '[["2026-01-22 10:02:00",[2.5,2]]]', "updates")
UPDATE = table(2, '["TICKER","LAST"]', '[["MXSE.TQBR.SBER",[2.5,2]]]', "updates")
GOOD = [
    BOOK,
    BOOK.replace(b"subscription:1", b"subscription:4"),
    ROW,
    UPDATE,
    CANDLE,
    NEXT_CANDLE,
    NEXT_CANDLE.replace(b"[2.5,2]", b"[3.5,2]"),
    table(3, '["FROM"]', '[["2026-01-22 10:01:00"]]', "removal"),
    table(2, '["TICKER"]', '[["MXSE.TQBR.SBER"]]', "removal"),
    *(f"RECEIPT\nreceipt-id:{number}\n\n\0".encode() for number in range(1, 7)),
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
    session = Account({}, CHANNELS).session(SYMBOLS)
    check(session.opened(0.0), 0)
    return session


def live() -> Session:
    """Logged in, and every subscription live."""
    session = opened()
    check(session.frame(b'CONNECTED\n\n{"structure":{}}\0', 1, 0.0), 1)
    for number, frame in enumerate((BOOK, ROW, CANDLE), 1):
        check(session.frame(frame, 1, 0.0), 1)
        other = frame.replace(b"n:%d\n" % number, b"n:%d\n" % (number + 3)).replace(b"SBER", b"GAZP")
        check(session.frame(other, 1, 0.0), 1)
    assert session.instruments() == {"live": 2}
    return session


def check(effects: Iterable[Effect], ts_recv: int) -> list[Effect]:
    """What must hold of any effects, whatever came before."""
    found = sound(effects, "moex", SYMBOLS, ts_recv)
    for effect in found:
        match effect:
            case Ticker():
                assert effect.status is None or effect.status.isprintable()
            case Bar():
                assert effect.period_s == 60
                assert 0 < effect.start < 2**63
            case _:
                assert isinstance(effect, BookSnapshot) or not isinstance(effect, Event)
    return found


# Numbers and texts as a venue that has lost its mind may write them
TOKENS = st.sampled_from(
    r"""
null true 0 -0.0 -1 1.5 1e400 -1e400 1e308 5e-324 NaN 9223372036854775808 18446744073709551616 LONG
"2026-01-22@10:01:00" "2026-01-22@10:07:00" "1969-01-22@10:07:00"
"" "B" "T" "\ud800" "\udc00x" "\u0000" "\n" "\u001b[2J" "MXSE.TQBR.SBER"
[327.95,2] [null,2] [1,[2]] [1.5] [] {} {"a":[1]}
""".replace("LONG", "1" + "0" * 5000).split()
).map(lambda token: token.replace("@", " "))
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
        "FROM",
        "TILL",
        "CLOSE",
        "VOLUME",
        "X",
    ]
)
KINDS = st.sampled_from(["snapshot", "snapshot", "updates", "removal", "x", "\\n"])
WHOLES = st.sampled_from(["0", "1", str(TIME), str(2**63), str(2**64), "-1", "1.5", "null", '"1"', "9223372036855"])


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """The right outer shape, and anything within it."""
    columns = draw(st.lists(NAMES, max_size=5) | st.just(json.loads(BOOK_COLUMNS)))
    columns = [*draw(st.sampled_from([["TICKER"], ["FROM"], []])), *columns]
    wide = draw(st.booleans())
    cells = st.lists(CELLS, min_size=len(columns) if wide else 0, max_size=len(columns))
    rows = draw(st.lists(cells, max_size=3))
    data = [["B", "[1.5,1]", *row[2:]] if draw(st.booleans()) else row for row in rows]
    about = f'{{"type":"{draw(KINDS)}","seqnum":{draw(WHOLES)},"timestamp":{draw(WHOLES)}}}'
    written = ",".join(f"[{','.join(row)}]" for row in data)
    return f'{{"properties":{about},"columns":{json.dumps(columns)},"data":[{written}]}}'


@examples(150)
@given(st.lists(st.tuples(st.integers(1, 6), bodies()), min_size=1, max_size=4))
@example([(2, f'{{"properties":{properties()},"columns":["TICKER","NUMTRADES"],"data":[["MXSE.TQBR.SBER",1e308]]}}')])
@example([(1, f'{{"properties":{{"type":"snapshot","timestamp":{10**14}}},"columns":{BOOK_COLUMNS},"data":[]}}')])
def test_any_body_of_the_right_outer_shape_is_taken(messages: list[tuple[int, str]]) -> None:
    session = live()
    for at, (number, body) in enumerate(messages, 2):
        check(session.frame(message(number, body), at, 1.0), at)


def changed_cell(name: str, cell: str) -> bytes:
    """An update of a row: a good cell, and any."""
    return table(2, f'["TICKER","LAST","{name}"]', f'[["MXSE.TQBR.SBER",9.5,{cell}]]', "updates")


@examples(100)
@given(NAMES, CELLS)
@example("TRADINGSTATUS", '"\\u001b[2J"')
def test_any_cell_of_a_row_is_taken(name: str, cell: str) -> None:
    check(live().frame(changed_cell(name, cell), 2, 1.0), 2)


@examples(100)
@given(NAMES, CELLS, KINDS)
@example("VOLUME", "-1", "updates")
def test_any_cell_of_a_candle_is_taken(name: str, cell: str, kind: str) -> None:
    data = f'[["2026-01-22 10:01:00",9.5,{cell}]]'
    check(live().frame(table(3, f'["FROM","OPEN","{name}"]', data, kind), 2, 1.0), 2)


@examples(120)
@given(
    st.lists(
        mutated(GOOD + TURNING)
        | st.builds(message, st.integers(1, 3), bodies())
        | st.builds(changed_cell, NAMES, CELLS),
        max_size=4,
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
