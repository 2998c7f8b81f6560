"""ALOR's messages, against captured ones and the examples of its specification."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.alor import wire
from feedbus.sim.alor.wire import AlorBar, AlorBook, AlorTrade, AlorTradeWriter, WireFormat
from tests import places

CAPTURES = places.CAPTURES / "alor"
FORMATS: tuple[WireFormat, ...] = ("simple", "slim", "heavy")


def captured(name: str) -> list[str]:
    if not (CAPTURES / name).exists():
        pytest.skip("the captures aren't on this machine")
    return (CAPTURES / name).read_text().splitlines()


def examples() -> dict[str, Any]:
    """The data of the specification's examples, by schema."""
    lines = [msgspec.json.decode(line) for line in captured("docexamples_asyncapi.jsonl")]
    return {line["schema"]: line["example"].get("data") for line in lines}


def test_an_empty_book_and_its_acknowledgement_are_written_as_captured() -> None:
    guid = '"01GMM8RJ59N9AY05F8FGQEF3JC"'
    book = wire.book("simple", AlorBook((), (), 1671223802393, existing=True))
    assert [wire.enveloped(book, guid, "wide"), wire.acknowledgement(guid)] == captured(
        "captured_alor4go_orderbook_20221216.jsonl"
    )


def test_a_trade_is_written_as_captured() -> None:
    writer = AlorTradeWriter('"CNY-3.23"', None, 5, order="0", suffix="")
    trade = AlorTrade(2022426556961456082, 1673964718895000, 1024500, 39, buy=False, open_interest=9183872)
    frame = wire.enveloped(writer.trade("simple", trade, existing=False), '"01GQ00XMT11ZN2SB2KWQH53Y0W"', "wide")
    assert [frame] == captured("captured_alor4go_alltrades_20230117.json")


def test_acknowledgements_are_those_of_the_official_clients_tests() -> None:
    lines = captured("officialsdk_test_ack.jsonl")
    assert [wire.acknowledgement(wire.text(each)) for each in ("b0_2", "123", "a_123")] == lines


def test_the_spacing_can_be_compact_and_text_is_escaped() -> None:
    assert wire.enveloped("{}", '"a"', "compact") == '{"data":{},"guid":"a"}'
    assert wire.acknowledgement('"a"', 400, 'no "x"') == '{"requestGuid":"a","httpCode":400,"message":"no \\"x\\""}'


@pytest.mark.parametrize(
    ("form", "schema", "bond"),
    [
        ("simple", "SimpleOrderBook", False),
        ("slim", "SlimOrderBookCommon", False),
        ("slim", "SlimOrderBookBonds", True),
    ],
)
def test_books_are_those_of_the_specification(form: WireFormat, schema: str, bond: bool) -> None:
    example = examples()[f"PayloadResponse{schema}"]
    yields = (["16.21"], ["16.14"]) if bond else None
    time_ms = next(value for value in example.values() if isinstance(value, int) and value > 10**12)
    existing = bool(example.get("h", example.get("existing")))
    book = AlorBook([("257.7", 157)], [("257.71", 288)], time_ms, existing, yields)
    written = msgspec.json.decode(wire.book(form, book))
    assert written == example
    assert list(written) == list(example)


def test_a_heavy_book_has_its_own_name_for_the_time() -> None:
    book = AlorBook([("257.7", 157)], (), 1702631123780, existing=False)
    assert wire.book("heavy", book) == (
        '{"bids":[{"price":257.7,"volume":157}],"asks":[],"msTimestamp":1702631123780,"existing":false}'
    )


@pytest.mark.parametrize(("form", "schema"), [("simple", "Simple"), ("slim", "Slim"), ("heavy", "Heavy")])
def test_trades_are_those_of_the_specification(form: WireFormat, schema: str) -> None:
    example = examples()[f"PayloadResponse{schema}AllTrades"]
    writer = AlorTradeWriter('"SBER"', '"TQBR"', 2, order="0", suffix="Z")
    trade = AlorTrade(9328828503, 1703862267800547, 27157, 5, buy=False, open_interest=0)
    assert msgspec.json.decode(writer.trade(form, trade, existing=False)) == example


@pytest.mark.parametrize(("form", "schema"), [("simple", "Simple"), ("slim", "Slim"), ("heavy", "Heavy")])
def test_bars_are_those_of_the_specification(form: WireFormat, schema: str) -> None:
    example = examples()[f"PayloadResponse{schema}Bars"]
    written = msgspec.json.decode(wire.bar(form, AlorBar(1537529040, 19218, 19220, 19215, 19215, 1960), 2))
    assert written == example
    assert list(written) == list(example)


QUOTE = {
    "symbol": "SBER", "exchange": "MOEX", "description": "Сбербанк России ПАО ао", "currency": "RUB",  # noqa: RUF001
    "previous": 271.74, "last": 272, "traded_s": 1703844426, "high": 272.59, "low": 271.48, "accrued": 0,
    "volume": 5614360, "interest": None, "ask": 272, "bid": 271.99, "ask_lots": 4097, "bid_lots": 237,
    "book_ms": None, "opening": 272.19, "yield": None, "lot": 10, "lot_value": 2720, "face": 3, "type": "CS",
    "all_bids": 328865, "all_asks": 543594, "change": 0.26, "change_percent": 0.1,
}  # fmt: skip
STATE = {
    "symbol": "SBER", "exchange": "MOEX", "board": "TQBR", "status": 17, "status_text": "нормальный период торгов",
    "price_min": 228.78, "price_max": 279.96,
}  # fmt: skip


@pytest.mark.parametrize(("form", "schema"), [("simple", "Simple"), ("slim", "Slim"), ("heavy", "Heavy")])
def test_quotes_and_instruments_are_those_of_the_specification(form: WireFormat, schema: str) -> None:
    for written, feed in ((wire.quote(form, QUOTE), "Quotes"), (wire.instrument(form, STATE), "Instruments")):
        example = examples()[f"PayloadResponse{schema}{feed}"]
        assert msgspec.json.decode(written) == example
        assert list(msgspec.json.decode(written)) == list(example)


def test_what_has_not_changed_of_an_instrument_is_left_out() -> None:
    assert wire.instrument("slim", {"symbol": "SBER", "price_max": 3}) == '{"sym":"SBER","pxmx":3}'


def test_a_trade_may_lack_its_board_and_its_open_interest() -> None:
    writer = AlorTradeWriter('"SBER"', None, 2, order='"0"', suffix="Z")
    for form in FORMATS:
        written = msgspec.json.decode(
            writer.trade(form, AlorTrade(1, 1_000_000, 5, 1, buy=True, open_interest=None), existing=True)
        )
        assert not written.keys() & {"board", "bd"}
        assert written["oi"] is None
        assert written.get("side", written.get("s")) == "buy"
        assert written.get("existing", written.get("h")) is True
        assert written.get("orderno", "0") == "0"


@given(st.integers(0, 10**12), st.integers(0, 6))
def test_a_short_price_is_the_price_without_idle_zeros(value: int, decimals: int) -> None:
    written = wire.short(value, decimals)
    assert Decimal(written) == Decimal(value).scaleb(-decimals)
    assert "." not in written or not written.endswith(("0", "."))


@given(st.integers(0, 4 * 10**15))
def test_the_time_of_a_trade_has_seven_digits_and_its_milliseconds_are_cut_off(time_us: int) -> None:
    writer = AlorTradeWriter('"SBER"', None, 2, order="0", suffix="Z")
    trade = AlorTrade(1, time_us, 5, 1, buy=True, open_interest=0)
    written = msgspec.json.decode(writer.trade("heavy", trade, existing=True))
    assert written["timestamp"] == time_us // 1000
    assert len(written["time"]) == len("2023-12-19T07:00:08.9878590Z")
    assert int(written["time"][20:27]) == time_us % 1_000_000 * 10
