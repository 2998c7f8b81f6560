"""Lists of securities over REST, without a socket."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.moex.catalogue import securities
from feedbus.sim.moex.rest import MAX_LIMIT, SECURITIES_COLUMNS, MoexRest
from feedbus.sim.seam import HTML, JSON
from feedbus.venues.moex.listing import MoexListing
from tests.places import CAPTURES

START_NS = 1_769_065_132_000_000_000  # Thursday, 2026-01-22
CAPTURE = CAPTURES / "moex" / "iss_rest_tqbr_securities_example.json"


def target(board: str = "TQBR", **query: Any) -> str:
    asked = "&".join(f"{name.replace('_', '.')}={value}" for name, value in query.items())
    return f"/iss/engines/stock/markets/shares/boards/{board}/securities.json?{asked}"


def blocks(board: str = "TQBR", **query: Any) -> dict[str, Any]:
    answer = MoexRest(START_NS).answer(target(board, **query))
    assert (answer.status, answer.content_type) == (200, JSON)
    decoded: dict[str, Any] = msgspec.json.decode(answer.body)
    return decoded


def rows(board: str = "TQBR", **query: Any) -> list[dict[str, Any]]:
    block = blocks(board, **query)["securities"]
    return [dict(zip(block["columns"], row, strict=True)) for row in block["data"]]


def test_a_row_is_a_paper_of_the_catalogue_whose_tick_is_its_minstep() -> None:
    security = next(security for security in securities() if security.secid == "AKRN")
    (row,) = [row for row in rows() if row["SECID"] == "AKRN"]
    wanted = {
        "BOARDID": "TQBR",
        "LOTSIZE": security.lot,
        "DECIMALS": 0,
        "MINSTEP": 2,
        "PREVPRICE": 18012,
        "STATUS": "A",
    }
    assert wanted.items() <= row.items()
    assert (row["ISIN"], row["CURRENCYID"], row["SECTYPE"]) == ("RU0009028674", "SUR", "1")
    assert (row["PREVDATE"], row["SETTLEDATE"]) == ("2026-01-21", "2026-01-23")
    (vtb,) = [row for row in rows() if row["SECID"] == "VTBR"]
    assert (vtb["DECIMALS"], vtb["MINSTEP"]) == (3, 0.005)


@pytest.mark.parametrize(
    ("day", "previous", "settled"), [(2, "2026-01-23", "2026-01-26"), (4, "2026-01-23", "2026-01-27")]
)
def test_days_are_working_days(day: int, previous: str, settled: str) -> None:
    answer = MoexRest(START_NS + day * 86_400_000_000_000).answer(target(limit=1, iss_meta="off"))
    assert previous.encode() in answer.body
    assert settled.encode() in answer.body


def test_pages_of_100_are_given_unless_more_are_asked_for_and_1000_at_most() -> None:
    bonds = [security.secid for security in securities() if security.board == "TQCB"]
    assert [row["SECID"] for row in rows("TQCB")] == bonds[:100]
    assert [row["SECID"] for row in rows("TQCB", start=100, limit=2)] == bonds[100:102]
    assert [row["SECID"] for row in rows("TQCB", limit=99999)] == bonds[:MAX_LIMIT]
    assert rows("TQCB", start=len(bonds)) == []


def test_every_paper_can_be_listed_as_the_session_does_it() -> None:
    iss = MoexRest(START_NS)
    listing = MoexListing(["TQBR", "TQTF", "TQCB"])
    todo = listing.requests()
    while todo:
        fetch = todo.pop(0)
        answer = iss.answer(fetch.path)
        todo += listing.fetched(fetch, answer.status, answer.body, 7)
    assert [each.symbol for each in listing.instruments()] == [security.symbol for security in securities()]
    assert listing.problems() == []
    ticks = [security.tick / 10**security.decimals for security in securities()]
    assert [instrument.tick_size for instrument in listing.instruments()] == ticks


def test_the_board_is_read_in_any_case_and_an_unknown_one_lists_nothing() -> None:
    assert rows("tqbr", limit=3) == rows("TQBR", limit=3)
    assert rows("TQXX") == []


def test_metadata_come_unless_they_are_not_wanted_and_blocks_as_asked_for() -> None:
    everything = blocks(limit=1)
    assert list(everything) == ["securities", "marketdata", "dataversion"]
    assert list(everything["securities"]) == ["metadata", "columns", "data"]
    assert list(everything["securities"]["metadata"]) == list(SECURITIES_COLUMNS)
    assert list(blocks(iss_meta="off", iss_only="securities")) == ["securities"]
    assert list(blocks(iss_meta="off")["securities"]) == ["columns", "data"]
    assert list(blocks(iss_only="dataversion,securities")) == ["securities", "dataversion"]
    assert blocks(iss_only="nothing") == {}


def test_columns_and_metadata_are_those_of_the_captured_answer() -> None:
    if not CAPTURE.exists():
        pytest.skip("the captures aren't on this machine")
    captured = msgspec.json.decode(CAPTURE.read_bytes())
    simulated = blocks()
    assert simulated["securities"]["columns"] == captured["securities"]["columns"]
    assert simulated["securities"]["metadata"] == captured["securities"]["metadata"]
    assert list(simulated) == list(captured)
    assert set(simulated["marketdata"]["columns"]) <= set(captured["marketdata"]["columns"])
    assert simulated["dataversion"]["columns"] == captured["dataversion"]["columns"]
    kinds = {
        name: {type(row[place]) for row in captured["securities"]["data"]}
        for place, name in enumerate(SECURITIES_COLUMNS)
    }
    for row in rows(limit=1):
        for name, value in row.items():
            assert value is None or type(value) in kinds[name] or {type(value), *kinds[name]} <= {int, float}, name


def test_the_failure_is_a_page_with_status_200() -> None:
    for asked in (target(), "/"):
        answer = MoexRest(START_NS, "html").answer(asked)
        assert (answer.status, answer.content_type) == (200, HTML)
        assert answer.body.lstrip().startswith(b"<")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/", 404),
        ("", 404),
        ("/iss/engines/stock/markets/shares/boards/TQBR/securities.xml", 404),
        ("/iss/engines/stock/markets/shares/boards/TQ%42R/securities.json", 404),
        ("http://[::1/iss", 404),
        (target(start=-1), 400),
        (target(start="x"), 400),
        (target(limit="1" * 4000), 400),
        (target(limit="٣"), 400),
        (target() + "&a=b" * 40, 404),
    ],
)
def test_anything_else_is_refused(asked: str, status: int) -> None:
    assert MoexRest(START_NS).answer(asked).status == status


@given(st.text(st.characters(max_codepoint=127), max_size=40), st.booleans())
def test_any_target_is_answered(text: str, as_query: bool) -> None:
    assert MoexRest(START_NS).answer(target() + text if as_query else text).status in (200, 400, 404)
